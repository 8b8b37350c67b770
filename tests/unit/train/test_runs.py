"""Runs that are killed, shared by processes, or taught by others."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from tests.two_balls import description, training, write_training
from tests.unit.conftest import Trained
from tomosurf.errors import ConfigError
from tomosurf.progress import silent
from tomosurf.segment.architectures import UNet, UNetArguments
from tomosurf.segment.model.spec import load_spec
from tomosurf.train.checkpoint import FILE, keep, kept
from tomosurf.train.config import Distillation
from tomosurf.train.curves import draw_curves
from tomosurf.train.distil import answers
from tomosurf.train.fit import Point, Run, fit
from tomosurf.train.losses import loss_of, near_boundary
from tomosurf.train.ranks import Ranks
from tomosurf.train.run import Trainer, Wanted, train

SMALL = description(
    architecture=UNet(name="UNet", arguments=UNetArguments(channels=(4, 8), strides=(2,), residual_units=1)),
    window={"roi": (16, 16, 16)},
)


def run(config: Path, data: Path, out: Path, *start: str) -> subprocess.Popen[bytes]:
    """The command in a process of its own."""
    command = [*(start or (sys.executable,)), "-m", "tomosurf", "train", str(config), "--data", str(data)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([*command, "-o", str(out), "--device", "cpu"], env=environment)


def test_a_killed_run_goes_on_to_the_same_weights(trained: Trained, tmp_path: Path) -> None:
    """kill -9 in the middle of a run; the second call ends with the bytes of a run that nobody disturbed."""
    settings = training(steps=120, warmup_steps=1, score_every=50, keep_every=4, model=SMALL)
    config = write_training(tmp_path / "t.yaml", settings)
    child = run(config, trained.data, tmp_path / "killed")
    kept_state = tmp_path / "killed" / "networks" / "network" / FILE
    for _ in range(6000):
        if kept_state.is_file() or child.poll() is not None:
            break
        time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    before = torch.load(kept_state, weights_only=True)["step"]
    assert 0 < before < 120
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as the child: sums depend on how they are shared out
    resumed = train(config, trained.data, tmp_path / "killed", Wanted("cpu"), silent)
    whole = train(config, trained.data, tmp_path / "whole", Wanted("cpu"), silent)
    torch.set_num_threads(threads)
    assert resumed["weights_sha256"] == whole["weights_sha256"]
    assert resumed["curves"] == whole["curves"]


def test_a_finished_run_is_not_done_again(trained: Trained, tmp_path: Path) -> None:
    config = write_training(tmp_path / "t.yaml", training(steps=3, warmup_steps=1, model=SMALL))
    stages: list[str] = []
    for _ in range(2):
        stages.clear()
        metrics = train(config, trained.data, tmp_path / "m", Wanted("cpu"), lambda s, _: stages.append(s))
    assert stages == []
    assert metrics["held_out"] == {}
    assert load_spec(tmp_path / "m").calibration is None


def test_another_configuration_does_not_take_up_a_run(trained: Trained, tmp_path: Path) -> None:
    for seed in (1, 2):
        config = write_training(
            tmp_path / "t.yaml", training(seed=seed, steps=2, warmup_steps=1, model=SMALL)
        )
        if seed == 1:
            train(config, trained.data, tmp_path / "m", Wanted("cpu"), silent)
    with pytest.raises(ConfigError, match="another configuration"):
        train(config, trained.data, tmp_path / "m", Wanted("cpu"), silent)


def test_a_damaged_checkpoint_is_told_and_code_in_it_never_runs(tmp_path: Path) -> None:
    keep(tmp_path, "seal", {"step": 1})
    assert kept(tmp_path, "seal", torch.device("cpu")) == {"seal": "seal", "step": 1}

    class Harmful:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "ran",)

    torch.save({"seal": Harmful()}, tmp_path / FILE)
    with pytest.raises(ConfigError, match="can't be read"):
        kept(tmp_path, "seal", torch.device("cpu"))
    assert not (tmp_path / "ran").exists()


def test_two_processes_train_one_network(trained: Trained, tmp_path: Path) -> None:
    """torchrun, gloo: each takes half of a batch, and both halves count."""
    config = write_training(
        tmp_path / "t.yaml", training(steps=60, warmup_steps=5, learning_rate=0.02, batch_size=4)
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torchrun = ("torch.distributed.run", "--nproc-per-node=2", f"--master-port={port}")
    command = [sys.executable, "-m", *torchrun, "-m", "tomosurf", "train", str(config), "--fold", "0"]
    done = subprocess.run(
        [*command, "--data", str(trained.data), "-o", str(tmp_path / "m"), "--device", "cpu"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("Cases that the networks never saw") == 1
    metrics = json.loads((tmp_path / "m" / "metrics.json").read_text())
    assert metrics["processes"] == 2
    for own in metrics["held_out"].values():
        assert own["dice_worst"] > 0.85, metrics["held_out"]


def test_folds_with_teachers_train_each_network_once(trained: Trained, tmp_path: Path) -> None:
    """Three folds: three pairs and three single teachers, three students, and one of all cases."""
    settings = training(
        steps=4,
        warmup_steps=1,
        score_every=4,
        model=SMALL,
        distillation=Distillation(weight=0.5, teacher_steps=3, mirror=True),
    )
    config = write_training(tmp_path / "t.yaml", settings)
    metrics = train(config, trained.data, tmp_path / "m", Wanted("cpu", None, True, 3), silent)
    pairs = {"network-without-0-1", "network-without-0-2", "network-without-1-2"}
    singles = {f"network-without-{n}" for n in range(3)}
    students = {"distilled", *(f"distilled-without-{n}" for n in range(3))}
    assert set(metrics["curves"]) == pairs | singles | students
    assert {p.name for p in (tmp_path / "m" / "networks").iterdir()} == pairs | singles | students
    assert sorted(metrics["held_out_cases"]) == [f"case_{n:03}" for n in range(6)]
    for fold in range(3):
        own = json.loads((tmp_path / "m" / f"fold-{fold}" / "metrics.json").read_text())
        assert len(own["held_out_cases"]) == 2
        assert set(own["held_out_cases"]) <= set(metrics["held_out_cases"])
    assert set(metrics["folds"]) == {"0", "1", "2"}
    calibration = load_spec(tmp_path / "m").calibration
    assert calibration is not None
    assert calibration.cases == 6
    ElementTree.fromstring((tmp_path / "m" / "curves.svg").read_text())  # noqa: S314  (our own)


def test_answers_are_probabilities_in_place_and_mirrored_back() -> None:
    """A made-up network that copies its image's sign: its answer lies where the image is bright.

    Windows are smaller than all cases, than some, than none.
    """
    from tomosurf.train.batches import CaseStack

    image = torch.zeros((12, 10, 14))
    image[2:4, 5:, 3] = 20

    class Bright(torch.nn.Module):  # type: ignore[misc]
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cat([10 - x, x - 10], dim=1)

    images = (image, image[:, 5:, :7], image.flip(2))
    nothing = np.zeros((0, 3), np.int64)
    for roi in ((8, 8, 8), (13, 16, 9), (13, 16, 17)):
        stack = CaseStack(
            ("a", "b", "c"), images, tuple((i > 10).byte() for i in images), (nothing,) * 3, roi, 2
        )
        for axis in (None, 0):
            for case, said in zip(images, answers(Bright(), stack, axis), strict=True):
                assert said.shape == (1, *case.shape)
                assert torch.equal(said[0] > 0.5, case > 10)


def test_teachers_share_in_what_a_network_is_trained_towards(trained: Trained) -> None:
    from tomosurf.train.batches import stack_cases
    from tomosurf.train.decathlon import read_cases

    stack = stack_cases(read_cases(trained.data, "MR")[:2], description(), torch.device("cpu"))
    soft = [torch.zeros((2, *labels.shape), dtype=torch.float16) for labels in stack.labels]
    for one in soft:
        one[0] = 1  # every teacher: everything is the bright ball
    windows = stack.middles()
    plain, taught = stack.batch(windows), stack.taught(soft, 0.25).batch(windows)
    inside = plain.inside[:, 0] > 0
    expected = 0.75 * plain.targets[:, 1] + 0.25
    torch.testing.assert_close(taught.targets[:, 1][inside], expected[inside])
    torch.testing.assert_close(taught.targets.sum(dim=1), torch.ones_like(taught.targets[:, 0]))


def test_the_loss_is_least_at_the_targets_and_heads_weigh_half() -> None:
    targets = torch.zeros((1, 3, 6, 6, 6))
    targets[:, 0] = 1
    targets[:, :, 2:4, 2:4, 2:4] = torch.tensor([0.0, 1.0, 0.0])[None, :, None, None, None]
    right, wrong = 20 * targets, 20 * targets.roll(1, dims=1)
    plain = loss_of(training(boundary_weight=1.0))
    assert float(plain(right, targets)) < 0.51  # Dice of the absent third channel is lost
    assert float(plain(wrong, targets)) > 10
    heads = loss_of(training(deep_heads=1))
    alone = loss_of(training())
    both = heads(torch.stack([right, wrong], dim=1), targets)
    expected = (alone(right, targets) + 0.5 * alone(wrong, targets)) / 1.5
    torch.testing.assert_close(both, expected)


def test_without_dice_the_loss_is_the_cross_entropy_of_the_targets() -> None:
    outputs = torch.tensor([0.0, 1.0, -2.0])[None, :, None, None, None].expand(1, 3, 4, 4, 4)
    targets = torch.tensor([0.5, 0.25, 0.25])[None, :, None, None, None].expand(1, 3, 4, 4, 4)
    expected = -float((torch.tensor([0.5, 0.25, 0.25]) * torch.tensor([0.0, 1.0, -2.0]).log_softmax(0)).sum())
    assert float(loss_of(training(dice_weight=0))(outputs, targets)) == pytest.approx(expected, rel=1e-5)


def test_every_case_is_taught_by_the_network_that_had_not_seen_it(trained: Trained, tmp_path: Path) -> None:
    from tomosurf.train.batches import stack_cases
    from tomosurf.train.decathlon import dealt, read_cases

    distillation = Distillation(weight=0.5, teacher_steps=3, mirror=True)
    config = training(steps=3, warmup_steps=1, score_every=3, model=SMALL, distillation=distillation)
    stack = stack_cases(read_cases(trained.data, "MR"), SMALL, torch.device("cpu"))
    folds = dealt(stack.names, config.folds, config.seed)
    trainer = Trainer(config, stack, folds, tmp_path, Ranks(), silent)
    taught = trainer.taught((0,))
    assert set(taught.names) == {name for name, fold in folds.items() if fold != 0}
    for case, own in enumerate(taught.names):
        unseen = {0, folds[own]}
        seen = stack.only(name for name, fold in folds.items() if fold not in unseen)
        watched = stack.only(name for name, fold in folds.items() if fold in unseen)
        teacher, _ = fit(Run(config, seen, watched, tmp_path / "teacher" / str(folds[own])), silent)
        expected = answers(teacher, stack.only([own]), 0)[0]
        assert torch.equal(taught.soft[case], expected)


def test_the_boundary_band_is_one_voxel_on_either_side() -> None:
    targets = torch.zeros((1, 2, 8, 8, 8))
    targets[:, 0, :4], targets[:, 1, 4:] = 1, 1
    band = near_boundary(targets)[0]
    assert band[:, 0, 0].tolist() == [0, 0, 0, 1, 1, 0, 0, 0]


def test_curves_are_drawn_to_scale() -> None:
    points = (Point(10, 1.0, (0.5, 0.7), 1.0), Point(20, 0.0, (0.8, 1.0), 2.0))
    svg = draw_curves({"a<b": points})
    root = ElementTree.fromstring(svg)  # noqa: S314  (our own)
    lines = [e for e in root if e.tag.endswith("polyline")]
    assert len(lines) == 2
    (x0, y0), (x1, y1) = (tuple(map(float, p.split(","))) for p in lines[0].get("points", "").split())
    assert x1 - x0 == pytest.approx((900 - 70 - 20) / 2, abs=0.1)
    assert y1 - y0 == pytest.approx(260, abs=0.1)
    assert "a&lt;b" in svg

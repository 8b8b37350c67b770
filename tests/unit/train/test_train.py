"""A whole training run on made-up data, and the parts it is made of."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.two_balls import description, grid, image, training, write_data, write_training
from tests.unit.conftest import Trained
from tomosurf.cli import main
from tomosurf.config import NetworkMethod
from tomosurf.data.geometry import Geometry
from tomosurf.errors import ConfigError, DataError
from tomosurf.progress import silent
from tomosurf.segment.architectures import DynUNet, DynUNetArguments
from tomosurf.segment.model.spec import load_spec
from tomosurf.segment.model.weights import load_networks
from tomosurf.segment.network import segment
from tomosurf.segment.options import SegmentOptions
from tomosurf.train.augment import Augmenter
from tomosurf.train.batches import stack_cases
from tomosurf.train.calibration import labels_on
from tomosurf.train.config import Augmentation, load_training
from tomosurf.train.decathlon import dealt, read_cases
from tomosurf.train.run import Wanted, train

CPU = torch.device("cpu")
STILL = Augmentation(
    rotation_degrees=0,
    scale=0,
    translation_voxels=0,
    elastic_voxels=0,
    brightness=0,
    contrast=0,
    gamma=0,
    bias_field=0,
    noise=0,
    blur_probability=0,
)


def test_a_run_learns_and_its_folder_is_a_model(trained: Trained) -> None:
    spec = load_spec(trained.model)
    assert spec.weights[0].dtype == "float16"
    assert not load_networks(trained.model, spec)[0].training
    figures = trained.metrics["held_out"]
    assert set(figures) == {"bright", "dark"}
    for name in figures:
        assert figures[name]["dice_worst"] > 0.9, figures
        assert 0 <= figures[name]["msd_mm_mean"] < 0.5
    assert json.loads((trained.model / "metrics.json").read_text()) == trained.metrics


def test_new_weights_come_calibrated(trained: Trained) -> None:
    """On the held-out cases; the balls' doubt is then called calibrated."""
    calibration = load_spec(trained.model).calibration
    assert calibration is not None
    assert calibration.cases == 2
    assert calibration.error < 0.15
    assert trained.metrics["calibration"] == calibration.model_dump()
    method = NetworkMethod(method="network", model=str(trained.model))
    assert segment(image(grid()), method, SegmentOptions("cpu")).doubt.calibrated is True


def test_references_are_read_at_the_nearest_voxel() -> None:
    labels = np.zeros((4, 4, 4), np.uint8)
    labels[2:] = 1
    fine = Geometry((8, 4, 4), np.diag([0.5, 1, 1, 1]) + np.outer([-0.25, 0, 0, 0], [0, 0, 0, 1]))
    found = labels_on(fine, labels, Geometry((4, 4, 4), np.eye(4)))
    assert found[:, 0, 0].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]


def test_the_curve_falls_and_held_out_cases_are_kept_apart(trained: Trained) -> None:
    first, last = (trained.metrics["curves"]["network-without-0"][n] for n in (0, -1))
    assert last["loss"] < first["loss"]
    assert last["step"] == 60
    assert len(trained.metrics["held_out_cases"]) == 2
    assert trained.metrics["cases"] == 6


def test_the_same_seed_gives_the_same_weights(trained: Trained, tmp_path: Path) -> None:
    """With training heads, which the written model doesn't have."""
    network = DynUNet(
        name="DynUNet",
        arguments=DynUNetArguments(
            filters=(4, 8, 16),
            kernels=((3, 3, 3),) * 3,
            strides=((1, 1, 1), (2, 2, 2), (2, 2, 2)),
            residual=True,
        ),
    )
    model = description(architecture=network)
    short = training(steps=4, warmup_steps=1, score_every=4, deep_heads=1, model=model)
    config = write_training(tmp_path / "short.yaml", short)
    digests = {
        train(config, trained.data, tmp_path / name, Wanted("cpu"), silent)["weights_sha256"] for name in "ab"
    }
    assert len(digests) == 1


def test_the_command_line_trains_and_says_what_is_wrong(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_training(tmp_path / "t.yaml", training(steps=2, warmup_steps=1))
    start = ["train", str(config), "-o", str(tmp_path / "out"), "--device", "cpu", "--data"]
    assert main([*start, str(trained.data), "--fold", "1", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)["held_out"]) == {"bright", "dark"}
    assert main([*start, str(tmp_path)]) == 2
    assert "dataset.json" in capsys.readouterr().err
    assert main([*start, str(trained.data), "--fold", "3"]) == 2
    assert "there is no fold 3" in capsys.readouterr().err


def test_the_shipped_configuration_describes_the_shipped_model() -> None:
    from tomosurf import resources
    from tomosurf.segment.model.catalogue import find_model

    config = load_training(resources.folder("configs") / "training" / "mr-hippocampus.yaml")
    spec = load_spec(find_model("mr-hippocampus"))
    described = spec.model_copy(update={"calibration": None}).model_dump(
        include=set(type(config.model).model_fields)
    )
    assert described == config.model.model_dump()


def test_the_folds_depend_on_names_and_seed_alone() -> None:
    names = [f"case_{n}" for n in range(20)]
    folds = dealt(names, 3, seed=1)
    assert sorted(list(folds.values()).count(fold) for fold in range(3)) == [6, 7, 7]
    assert set(folds) == set(names)
    assert dealt(names[::-1], 3, seed=1) == folds
    assert dealt(names, 3, seed=2) != folds
    with pytest.raises(ConfigError, match="2 cases can't be dealt out to 3 folds"):
        dealt(names[:2], 3, seed=1)


def test_cases_are_read_into_the_patient_frame(trained: Trained) -> None:
    cases = read_cases(trained.data, "MR")
    assert [case.name for case in cases] == [f"case_{n:03}" for n in range(6)]
    np.testing.assert_allclose(cases[0].volume.geometry.affine, grid((28, 26, 22)).affine, atol=1e-5)
    assert set(np.unique(cases[0].labels)) == {0, 1, 2}


def test_a_data_set_that_points_elsewhere_is_refused(tmp_path: Path) -> None:
    write_data(tmp_path / "data", cases=1)
    listing = {"training": [{"image": "../secret.nii.gz", "label": "labelsTr/case_000.nii.gz"}]}
    (tmp_path / "data" / "dataset.json").write_text(json.dumps(listing))
    with pytest.raises(ConfigError, match="outside"):
        read_cases(tmp_path / "data", "MR")


def test_labels_on_another_grid_are_refused(tmp_path: Path) -> None:
    from tomosurf.export.nifti import write_volume

    write_data(tmp_path, cases=1)
    write_volume(image(grid((28, 26, 20))), tmp_path / "imagesTr" / "case_000.nii.gz")
    with pytest.raises(DataError, match="doesn't lie on the grid"):
        read_cases(tmp_path, "MR")


def test_cases_smaller_than_the_window_lie_in_its_middle_as_in_use(trained: Trained) -> None:
    cases = read_cases(trained.data, "MR")[:1]
    stack = stack_cases(cases, description(window={"roi": (32, 28, 24)}), CPU)
    batch = stack.batch(stack.draw(0, 1, seed=1, foreground=0.3))
    assert batch.images.shape == (1, 1, 32, 28, 24)
    # 28 of 32: two before, two after; 26 of 28 and 22 of 24: one before, one after.
    inside = batch.inside[0, 0]
    assert inside.sum() == 28 * 26 * 22
    assert inside[2:30, 1:27, 1:23].all()
    assert batch.images[0, 0][inside == 0].abs().max() == 0
    assert int(batch.targets[0, 1].sum()) == int((cases[0].labels == 1).sum())
    torch.testing.assert_close(batch.targets.sum(dim=1), torch.ones((1, 32, 28, 24)))


def test_larger_cases_are_cut_at_random_or_around_what_is_labelled(trained: Trained) -> None:
    stack = stack_cases(read_cases(trained.data, "MR")[:1], description(window={"roi": (8, 8, 8)}), CPU)
    whole = stack.images[0]
    around = [stack.draw(step, 4, seed=1, foreground=1.0) for step in range(8)]
    for windows in around:
        batch = stack.batch(windows)
        assert (batch.targets[:, 1:].amax(dim=(1, 2, 3, 4)) == 1).all()
        for number, (_, (x, y, z)) in enumerate(windows):
            assert torch.equal(batch.images[number, 0], whole[x : x + 8, y : y + 8, z : z + 8])
    anywhere = {corner for step in range(8) for _, corner in stack.draw(step, 4, seed=1, foreground=0.0)}
    assert len(anywhere) > 20
    assert all(0 <= c <= n - 8 for corner in anywhere for c, n in zip(corner, whole.shape, strict=True))


def test_cases_of_another_spacing_are_resampled_with_their_labels(trained: Trained) -> None:
    cases = read_cases(trained.data, "MR")[:1]
    coarse = {
        "steps": [
            {"do": "zscore"},
            {"do": "orient", "axes": "LPS"},
            {"do": "resample", "spacing_mm": (2.0, 2.0, 2.0)},
        ]
    }
    stack = stack_cases(cases, description(input=coarse, window={"roi": (24, 24, 24)}), CPU)
    for label in (1, 2):
        volume = int((stack.labels[0] == label).sum()) * 8.0
        drawn = int((cases[0].labels == label).sum()) * cases[0].volume.geometry.voxel_volume
        assert volume == pytest.approx(drawn, rel=0.08)
    # Bright stays bright and dark stays dark: image and labels moved together.
    assert float(stack.images[0][stack.labels[0] == 1].mean()) > 1
    assert float(stack.images[0][stack.labels[0] == 2].mean()) < -1


def test_a_label_without_a_channel_is_refused(trained: Trained) -> None:
    from tests.two_balls import description as described

    one = described(channels=2, segments=described().segments[:1])
    with pytest.raises(DataError, match="no channel"):
        stack_cases(read_cases(trained.data, "MR")[:1], one, CPU)


def test_every_case_comes_once_before_any_comes_again(trained: Trained) -> None:
    stack = stack_cases(read_cases(trained.data, "MR"), description(), CPU)
    for turn in range(2):
        steps = [stack.draw(2 * turn + n, 3, seed=1, foreground=0.3) for n in range(2)]
        assert sorted(case for windows in steps for case, _ in windows) == list(range(6))


def one_ball() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A box of 1 off the centre of a window of unequal edges, and its two channels."""
    box = torch.zeros((1, 1, 20, 24, 16))
    box[..., 3:7, 9:14, 6:9] = 1
    return box, torch.ones_like(box), torch.cat([1 - box, box], dim=1)


def augmenter(settings: Augmentation) -> Augmenter:
    result = Augmenter(settings, CPU)
    result.seed(1)
    return result


def test_no_change_leaves_a_batch_as_it_is() -> None:
    images, inside, targets = one_ball()
    changed, drawn = augmenter(STILL)(images, inside, targets)
    torch.testing.assert_close(changed, images, atol=1e-5, rtol=0)
    torch.testing.assert_close(drawn, targets, atol=1e-5, rtol=0)


def test_crops_that_are_not_chosen_keep_their_voxels() -> None:
    images, inside, targets = one_ball()
    calm = Augmentation(
        spatial_probability=0, intensity_probability=0, blur_probability=0, coarse_probability=0
    )
    changed, drawn = augmenter(calm)(images, inside, targets)
    torch.testing.assert_close(changed, images, atol=1e-5, rtol=0)
    torch.testing.assert_close(drawn, targets, atol=1e-5, rtol=0)


def test_the_same_seed_draws_the_same_changes() -> None:
    augment = augmenter(Augmentation(coarse_probability=0.5))
    first = augment(*one_ball())[0]
    assert not torch.equal(augment(*one_ball())[0], first)
    augment.seed(1)
    assert torch.equal(augment(*one_ball())[0], first)


def test_mirroring_flips_its_axis_alone() -> None:
    augment = augmenter(STILL.model_copy(update={"mirror_axis": 0}))
    seen = set()
    for _ in range(20):
        drawn = augment(*one_ball())[1][:, 1] > 0.5
        seen.add(tuple(drawn.nonzero().amin(dim=0).tolist()))
    assert seen == {(0, 3, 9, 6), (0, 20 - 7, 9, 6)}


def test_rotation_and_scale_act_in_voxels_on_unequal_windows() -> None:
    """A turn keeps the volume whatever the window's edges; a scale changes each edge. Nothing shifts."""
    box = torch.zeros((40, 1, 20, 40, 30))
    box[..., 6:14, 16:24, 11:19] = 1
    targets = torch.cat([1 - box, box], dim=1)
    turned = STILL.model_copy(update={"rotation_degrees": 60.0})
    drawn = augmenter(turned)(box, torch.ones_like(box), targets)[1][:, 1]
    assert (drawn.sum(dim=(1, 2, 3)) / 512 - 1).abs().max() < 0.02
    middle = (
        torch.stack(
            [
                (drawn.sum(dim=[d for d in (1, 2, 3) if d != axis]) * torch.arange(n)).sum(dim=1)
                for axis, n in ((1, 20), (2, 40), (3, 30))
            ],
            dim=1,
        )
        / drawn.sum(dim=(1, 2, 3))[:, None]
    )
    turn_about = torch.tensor([9.5, 19.5, 14.5])
    assert (middle - turn_about).abs().max() < 0.02
    scaled = STILL.model_copy(update={"scale": 0.2})
    drawn = augmenter(scaled)(box, torch.ones_like(box), targets)[1][:, 1] > 0.5
    for axis in range(1, 4):
        others = tuple(n for n in range(1, 4) if n != axis)
        edges = (drawn.amax(dim=others)).sum(dim=1)
        # 8 voxels times 1/1.2 to 1/0.8.
        assert 6 <= int(edges.min()) < 8 < int(edges.max()) <= 10


def test_intensities_change_but_not_in_the_padding() -> None:
    images, inside, targets = (part.repeat(4, 1, 1, 1, 1) for part in one_ball())
    inside[..., :4] = 0
    loud = STILL.model_copy(update={"brightness": 0.5, "noise": 0.5, "bias_field": 0.3, "gamma": 0.3})
    changed, drawn = augmenter(loud)(images, inside, targets)
    assert changed[..., :3].abs().max() == 0
    assert (changed - images)[..., 5:].abs().mean() > 0.05
    assert torch.isfinite(changed).all()
    torch.testing.assert_close(drawn, targets, atol=1e-5, rtol=0)


def test_coarser_sampling_keeps_a_ramp_in_place() -> None:
    """A linear image is the same however coarsely it is sampled, but at its ends: no half voxel is lost."""
    ramp = torch.arange(20.0)[:, None, None].expand(20, 24, 16)[None, None].repeat(2, 1, 1, 1, 1)
    settings = STILL.model_copy(update={"coarse_probability": 1.0})
    augment = Augmenter(settings, CPU)
    for seed in range(8):
        augment.seed(seed)
        changed = augment(ramp, torch.ones_like(ramp), torch.cat([1 - ramp * 0, ramp * 0], dim=1))[0]
        torch.testing.assert_close(changed[:, :, 2:-2], ramp[:, :, 2:-2], atol=1e-4, rtol=0)


def test_the_schedule_warms_up_and_ends_low() -> None:
    from tomosurf.train.fit import rate_at

    config = training(steps=100, warmup_steps=10)
    assert math.isclose(rate_at(0, config), 0.1)
    assert math.isclose(rate_at(10, config), 1.0)
    assert math.isclose(rate_at(100, config), 0.01)

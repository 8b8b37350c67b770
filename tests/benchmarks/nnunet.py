"""A CT array to labels on its own grid, end to end: ours against nnU-Net's predictor, from one results folder.

Networks, images and windows are of a size that needs a GPU; without one there are no figures. nnunetv2 must be
installed (tests/peers.txt).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from tests.benchmarks.engine import LARGE, dice
from tests.benchmarks.fitted import balls, fit
from tests.benchmarks.harness import Figure, main, measure
from tests.nnunet_results import Task, dataset_of, nnunets_world, plans_of, untrained
from tomosurf.config import NetworkMethod
from tomosurf.data.geometry import Geometry
from tomosurf.data.volume import Volume
from tomosurf.segment.model.imported import ImportChoices
from tomosurf.segment.model.library import write
from tomosurf.segment.network import segment
from tomosurf.segment.nnunet import IMPORTER
from tomosurf.segment.options import SegmentOptions
from tomosurf.segment.resident import Engine

SHAPE, SPACING = (512, 512, 300), (1.0, 1.0, 1.5)
"""Of the scan: 341x341x300 on the network's grid of 1.5 mm."""
CLASSES = 25
DEVICE = "cuda"


def figures() -> list[Figure]:
    """Both on the same scan, networks loaded beforehand."""
    if not torch.cuda.is_available():
        print("no CUDA device: no figures", file=sys.stderr)
        return []
    with TemporaryDirectory() as folder:
        return _against(Path(folder))


def _against(folder: Path) -> list[Figure]:
    results = _results(folder)
    model = folder / "model"
    model.mkdir()
    write(model, IMPORTER.read(results, ImportChoices(name="balls")))
    volume = _scan()
    method, options = (
        NetworkMethod(method="network", model=str(model)),
        SegmentOptions(DEVICE, engine=Engine()),
    )
    found = segment(volume, method, options)
    print(dict(found.provenance), file=sys.stderr)
    seconds = measure(lambda: segment(volume, method, options), warmup=0)
    theirs, peer = _predicted(results, volume)
    return [
        Figure(
            f"array to labels, margins and doubt, {SHAPE}, nnU-Net {LARGE}, {CLASSES} classes",
            seconds,
            peer,
            "nnUNetPredictor, array to labels",
            goal=0.1,
        ),
        Figure(
            "labels equal to nnUNetPredictor's",
            float((found.labels == theirs).mean()),
            unit="",
            goal=0.999,
            lower_is_better=False,
        ),
        Figure("worst Dice with nnUNetPredictor's", dice(found.labels, theirs), unit=""),
    ]


def _task() -> Task:
    names = {"background": 0, **{f"ball_{n}": n for n in range(1, CLASSES)}}
    levels = ((1, 1, 1), *((2, 2, 2),) * (len(LARGE) - 1))
    return Task(
        spacing=(1.5, 1.5, 1.5), patch=(128, 128, 128), labels=names, strides=levels, mirror_axes=None
    )


def _plans(task: Task) -> dict[str, Any]:
    """The plan of a full-sized network: two convolutions a level."""
    plans = plans_of(task)
    arguments = plans["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]
    arguments["features_per_stage"] = list(LARGE)
    arguments["n_conv_per_stage"] = [2] * len(LARGE)
    arguments["n_conv_per_stage_decoder"] = [2] * (len(LARGE) - 1)
    return plans


def _results(folder: Path) -> Path:
    """A results folder whose network was fitted to balls on the GPU; its checkpoint by nnU-Net's trainer."""
    task = _task()
    plans, dataset = _plans(task), dataset_of(task)
    out = folder / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    (out / "fold_0").mkdir(parents=True)
    with nnunets_world(folder):
        trainer = untrained(task, "0", plans)
        trainer.network = fit(trainer.network, CLASSES, steps=200, edge=128, device=DEVICE).cpu()
        trainer.save_checkpoint(str(out / "fold_0" / "checkpoint_final.pth"))
    (out / "plans.json").write_text(json.dumps(plans))
    (out / "dataset.json").write_text(json.dumps(dataset))
    return out


def _scan() -> Volume:
    """Balls in HU that the plan's fixed numbers map to the intensities which the network learned."""
    levels, _ = balls(SHAPE, CLASSES)
    geometry = Geometry(SHAPE, np.diag([*SPACING, 1.0]))
    return Volume(geometry, np.asfortranarray(levels * 130 + 40), "CT", "HU")


def _predicted(results: Path, volume: Volume) -> tuple[np.ndarray, float]:
    """nnU-Net's labels in our axes, and its seconds; as it comes, mirroring off."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    predictor = nnUNetPredictor(
        tile_step_size=0.5,
        use_gaussian=True,
        use_mirroring=False,
        perform_everything_on_device=True,
        device=torch.device(DEVICE),
        allow_tqdm=False,
    )
    with patch.dict(
        "os.environ", {f"nnUNet_{name}": str(results) for name in ("raw", "preprocessed", "results")}
    ):
        predictor.initialize_from_trained_model_folder(str(results), None, "checkpoint_final.pth")
    image = np.ascontiguousarray(volume.array.transpose(2, 1, 0)[None], np.float32)
    properties = {"spacing": list(SPACING[::-1])}
    labels: list[np.ndarray] = []

    def run() -> None:
        labels[:] = [predictor.predict_single_npy_array(image, dict(properties))]

    seconds = measure(run, repeats=1, warmup=0)
    return labels[0].transpose(2, 1, 0), seconds


if __name__ == "__main__":
    raise SystemExit(main("nnunet", figures))

"""nnU-Net results folders made by nnU-Net's own code, with networks that learned two balls in seconds."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tomosurf.data.geometry import Geometry
from tomosurf.data.volume import Volume
from tomosurf.export.nifti import write_volume
from tomosurf.testing.phantoms import Ball, rasterise

BRIGHT, DARK, BODY = Ball((-9.0, -5.0, 4.0), 9.0), Ball((8.0, 6.0, -5.0), 8.0), Ball((0.0, 0.0, 0.0), 27.0)
LEVELS = ((BODY, 40.0), (BRIGHT, 220.0), (DARK, -80.0))
AIR = -1000.0
LOWRES, CASCADE = "3d_lowres", "3d_cascade_fullres"


@dataclass(frozen=True)
class Task:
    """What to train: the plan's free entries, in nnU-Net's own words."""

    spacing: tuple[float, float, float] = (2.0, 2.0, 2.0)
    patch: tuple[int, int, int] = (20, 20, 20)
    network: str = "PlainConvUNet"
    reader: str = "SimpleITKIO"
    forward: tuple[int, int, int] = (0, 1, 2)
    schemes: tuple[str, ...] = ("CTNormalization",)
    masked: tuple[bool, ...] = (False,)
    channels: tuple[str, ...] = ("CT",)
    labels: dict[str, Any] = field(default_factory=lambda: {"background": 0, "bright": 1, "dark": 2})
    order: tuple[int, ...] | None = None
    strides: tuple[tuple[int, int, int], ...] = ((1, 1, 1), (2, 2, 2), (2, 2, 2))
    mirror_axes: tuple[int, ...] | None = (0, 1, 2)
    folds: tuple[str, ...] = ("0",)
    lowres: tuple[float, float, float] | None = None
    """The spacing of a cascade's first stage."""
    steps: int = 80
    """Of training; 0 leaves the weights as they were drawn."""


def plans_of(task: Task) -> dict[str, Any]:
    """plans.json."""
    levels = len(task.strides)
    plain = task.network == "PlainConvUNet"
    resampling: dict[str, Any] = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
    plans: dict[str, Any] = {
        "dataset_name": "Dataset901_Balls",
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": list(task.spacing),
        "original_median_shape_after_transp": [40, 40, 40],
        "image_reader_writer": task.reader,
        "transpose_forward": list(task.forward),
        "transpose_backward": [task.forward.index(axis) for axis in range(3)],
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {
            str(n): {
                "max": 300.0,
                "mean": 40.0,
                "median": 40.0,
                "min": -300.0,
                "percentile_00_5": -200.0,
                "percentile_99_5": 280.0,
                "std": 130.0,
            }
            for n in range(len(task.channels))
        },
        "configurations": {
            "3d_fullres": {
                "data_identifier": "nnUNetPlans_3d_fullres",
                "preprocessor_name": "DefaultPreprocessor",
                "batch_size": 2,
                "patch_size": list(task.patch),
                "median_image_size_in_voxels": [40.0, 40.0, 40.0],
                "spacing": list(task.spacing),
                "normalization_schemes": list(task.schemes),
                "use_mask_for_norm": list(task.masked),
                "resampling_fn_data": "resample_data_or_seg_to_shape",
                "resampling_fn_seg": "resample_data_or_seg_to_shape",
                "resampling_fn_data_kwargs": resampling,
                "resampling_fn_seg_kwargs": {**resampling, "is_seg": True, "order": 1},
                "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
                "resampling_fn_probabilities_kwargs": {**resampling, "order": 1},
                "architecture": {
                    "network_class_name": f"dynamic_network_architectures.architectures.unet.{task.network}",
                    "arch_kwargs": {
                        "n_stages": levels,
                        "features_per_stage": [6, 10, 14][:levels],
                        "conv_op": "torch.nn.modules.conv.Conv3d",
                        "kernel_sizes": [[3, 3, 3]] * levels,
                        "strides": [list(stride) for stride in task.strides],
                        "n_conv_per_stage" if plain else "n_blocks_per_stage": [1] * levels,
                        "n_conv_per_stage_decoder": [1] * (levels - 1),
                        "conv_bias": True,
                        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
                        "norm_op_kwargs": {"eps": 1e-05, "affine": True},
                        "dropout_op": None,
                        "dropout_op_kwargs": None,
                        "nonlin": "torch.nn.LeakyReLU",
                        "nonlin_kwargs": {"inplace": True},
                    },
                    "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
                },
                "batch_dice": False,
            },
        },
    }
    if task.lowres is not None:
        there = plans["configurations"]
        there[LOWRES] = {"inherits_from": "3d_fullres", "spacing": list(task.lowres), "next_stage": CASCADE}
        there[CASCADE] = {"inherits_from": "3d_fullres", "previous_stage": LOWRES}
    return plans


def dataset_of(task: Task) -> dict[str, Any]:
    """dataset.json."""
    order = {} if task.order is None else {"regions_class_order": list(task.order)}
    return {
        "channel_names": {str(n): name for n, name in enumerate(task.channels)},
        "labels": task.labels,
        **order,
        "numTraining": 2,
        "file_ending": ".nii.gz",
        "licence": "CC0-1.0",
    }


def grid(shape: Sequence[int], spacing: Sequence[float], flips: Sequence[int] = (1, 1, 1)) -> Geometry:
    """A grid around the balls; ``flips`` of -1 turn an axis round."""
    steps = np.array(spacing) * np.array(flips)
    affine = np.diag([*steps, 1.0])
    affine[:3, 3] = -(np.array(shape) - 1) / 2 * steps
    return Geometry((shape[0], shape[1], shape[2]), affine)


def balls(geometry: Geometry, task: Task, seed: int = 0) -> tuple[list[Volume], np.ndarray]:
    """One image a channel, and the true labels 1 and 2."""
    rng = np.random.default_rng(seed)
    background = AIR if task.schemes[0] == "CTNormalization" else 0.0
    values = np.full(geometry.shape, background)
    labels = np.zeros(geometry.shape, np.uint8)
    for label, (ball, level) in zip((0, 1, 2), LEVELS, strict=True):
        share = rasterise(ball, geometry)
        values = values * (1 - share) + (level if background else level + 400) * share
        labels[share > 0.5] = label
    noise = rng.normal(0, 15, (len(task.channels), *geometry.shape))
    noise[:, rasterise(BODY, geometry) == 0] = 0
    images = [
        np.asarray(values * scale + own, np.float32) for scale, own in zip((1, 0.5), noise, strict=False)
    ]
    return [
        Volume(geometry, image, "CT" if background else "MR", "HU" if background else "") for image in images
    ], labels


def write_images(folder: Path, volumes: Sequence[Volume]) -> list[str]:
    """NIfTI files under nnU-Net's names."""
    names = []
    for number, volume in enumerate(volumes):
        path = folder / f"case_{number:04d}.nii.gz"
        write_volume(volume, path)
        names.append(str(path))
    return names


@contextmanager
def nnunets_world(folder: Path) -> Iterator[None]:
    """Its folders in the environment, nothing on the screen, one thread: small networks gain nothing by more."""
    before, threads = dict(os.environ), torch.get_num_threads()
    os.environ.update({f"nnUNet_{name}": str(folder) for name in ("raw", "preprocessed", "results")})
    torch.set_num_threads(1)
    try:
        with redirect_stdout(StringIO()):
            yield
    finally:
        torch.set_num_threads(threads)
        os.environ.clear()
        os.environ.update(before)


def make_results(folder: Path, task: Task, configuration: str = "3d_fullres") -> Path:
    """The trainer's folder below ``folder``, as nnU-Net lays it out; checkpoints are written by its trainer."""
    out = folder / f"nnUNetTrainer__nnUNetPlans__{configuration}"
    with nnunets_world(folder):
        for fold in task.folds:
            trainer = untrained(task, fold, plans_of(task), configuration)
            if task.steps:
                _fit(trainer, task)
            (out / f"fold_{fold}").mkdir(parents=True)
            trainer.save_checkpoint(str(out / f"fold_{fold}" / "checkpoint_final.pth"))
    (out / "plans.json").write_text(json.dumps(plans_of(task)))
    (out / "dataset.json").write_text(json.dumps(dataset_of(task)))
    return out


def untrained(task: Task, fold: str, plans: dict[str, Any], configuration: str = "3d_fullres") -> Any:
    """nnU-Net's trainer with the network of ``plans``, its weights as they were drawn."""
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
    from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels

    plans = {**plans, "continue_training": False}
    trainer = nnUNetTrainer(plans, configuration, fold, dataset_of(task), torch.device("cpu"))
    torch.manual_seed(int(fold) if fold.isdigit() else 7)
    trainer.network = trainer.build_network_architecture(
        trainer.plans_manager,
        trainer.configuration_manager,
        determine_num_input_channels(
            trainer.plans_manager, trainer.configuration_manager, trainer.dataset_json
        ),
        trainer.label_manager.num_segmentation_heads,
        enable_deep_supervision=False,
    )
    trainer.optimizer, _ = trainer.configure_optimizers()
    trainer.inference_allowed_mirroring_axes = task.mirror_axes
    return trainer


def _fit(trainer: Any, task: Task) -> None:
    """Some seconds of plain training on patches of one image on the plan's own grid."""
    from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor

    spacing = trainer.configuration_manager.spacing
    shape = [round(66 / step) for step in spacing]
    backward = [task.forward.index(axis) for axis in range(3)]
    ijk = [2 - axis for axis in (0, 1, 2)]
    stored = [spacing[backward[axis]] for axis in ijk]
    counts = [shape[backward[axis]] for axis in ijk]
    volumes, truth = balls(grid(counts, stored), task, seed=1)
    image = np.stack([volume.array.transpose(2, 1, 0) for volume in volumes]).astype(np.float32)
    data, seg, _ = DefaultPreprocessor(verbose=False).run_case_npy(
        image,
        truth.transpose(2, 1, 0)[None].astype(np.float32),
        {"spacing": stored[::-1]},
        trainer.plans_manager,
        trainer.configuration_manager,
        trainer.dataset_json,
    )
    x, y = torch.from_numpy(data), torch.from_numpy(np.maximum(seg[0], 0).astype(np.int64))
    target = _targets(y, task)
    if trainer.is_cascaded:  # its first stage is a voxel off
        labels = trainer.label_manager.foreground_labels
        shown = torch.stack([(y == label).float() for label in labels])
        x = torch.cat([x, shown.roll(1, dims=1)])
    optimiser = torch.optim.AdamW(trainer.network.parameters(), lr=0.02)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.04, total_steps=task.steps)
    rng = np.random.default_rng(2)
    trainer.network.train()
    for step in range(task.steps):
        places = np.argwhere(y.numpy() == step % 3)
        middle = places[rng.integers(len(places))]
        corner = [
            int(np.clip(at - rng.integers(edge), 0, size - edge))
            for at, edge, size in zip(middle, task.patch, y.shape, strict=True)
        ]
        cut = tuple(slice(a, a + p) for a, p in zip(corner, task.patch, strict=True))
        scores = trainer.network(x[(slice(None), *cut)][None])
        wanted = target[(slice(None), *cut)][None]
        if task.order is None:
            loss = torch.nn.functional.cross_entropy(scores, wanted)
            shares = scores.softmax(1)[:, 1:], wanted[:, 1:]
        else:
            loss = torch.nn.functional.binary_cross_entropy_with_logits(scores, wanted)
            shares = scores.sigmoid(), wanted
        loss = loss - _overlap(*shares)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        rate.step()


def _overlap(found: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Mean soft Dice of the channels; small structures count as much as large ones."""
    axes = (0, 2, 3, 4)
    return ((2 * (found * wanted).sum(axes) + 1) / (found.sum(axes) + wanted.sum(axes) + 1)).mean()


def _targets(labels: torch.Tensor, task: Task) -> torch.Tensor:
    """One channel a label, or one a region."""
    channels = [own for name, own in task.labels.items() if name != "ignore"]
    if task.order is not None:
        channels = [own for name, own in task.labels.items() if name not in {"background", "ignore"}]
    return torch.stack([torch.isin(labels, torch.tensor(own)).float() for own in channels])


def predicted(results: Sequence[Path], images: Sequence[str], mirror: bool, out: Path) -> np.ndarray:
    """nnUNetPredictor's labels, read and written by its own reader, in the order of the file's axes.

    Several ``results`` are a cascade's stages, in order.
    """
    import nibabel
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    labels = None
    with nnunets_world(out.parent):
        for stage in results:
            predictor = nnUNetPredictor(
                tile_step_size=0.5,
                use_gaussian=True,
                use_mirroring=mirror,
                device=torch.device("cpu"),
                allow_tqdm=False,
            )
            predictor.initialize_from_trained_model_folder(str(stage), None, "checkpoint_final.pth")
            reader = predictor.plans_manager.image_reader_writer_class()
            data, properties = reader.read_images(list(images))
            before = None if labels is None else labels[None].astype(np.float32)  # as its readers give them
            labels = predictor.predict_single_npy_array(data, properties, before)
        reader.write_seg(labels, str(out), properties)
    return np.asarray(nibabel.load(out).dataobj)

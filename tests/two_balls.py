"""A model that learns in seconds to tell a bright ball from a dark one, and images of these on any grid."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import yaml

from tomosurf.config import CodeSpec, SegmentSpec
from tomosurf.data.geometry import Geometry
from tomosurf.data.segmentation import Code, Segment, Segmentation
from tomosurf.data.volume import Volume
from tomosurf.export.nifti import write_labels, write_volume
from tomosurf.segment.architectures import UNet, UNetArguments
from tomosurf.segment.model.spec import InputSpec, ModelDescription, Window
from tomosurf.segment.model.steps import Orient, Resample, ZScore
from tomosurf.testing.phantoms import Ball, rasterise
from tomosurf.train.config import Augmentation, TrainingConfig

SPACING = (1.5, 1.75, 2.0)
"""Of the model: unequal, so that a mix-up of axes shows."""

BRIGHT, DARK = Ball((-7.0, -4.0, 3.0), 8.0), Ball((6.0, 5.0, -4.0), 7.0)
LEVELS = {1: (BRIGHT, 100.0), 2: (DARK, -100.0)}


def description(**changes: object) -> ModelDescription:
    """Of the model: two channels and background, windows smaller than the image."""
    values: dict[str, object] = {
        "name": "two-balls",
        "version": "1.0.0",
        "title": "A bright and a dark ball",
        "licence": "CC0-1.0",
        "modality": "MR",
        "architecture": UNet(
            name="UNet", arguments=UNetArguments(channels=(8, 16), strides=(2,), residual_units=1)
        ),
        "channels": 3,
        "input": InputSpec(steps=(ZScore(), Orient(axes="RAS"), Resample(spacing_mm=SPACING))),
        "window": Window(roi=(20, 20, 16)),
        "segments": tuple(
            SegmentSpec(
                label=label,
                name=name,
                code=CodeSpec(value="ball", meaning="Ball", scheme="99TEST"),
                colour=(200, 200, 200),
            )
            for label, name in ((1, "bright"), (2, "dark"))
        ),
    }
    return ModelDescription(**{**values, **changes})  # type: ignore[arg-type]


def training(**changes: object) -> TrainingConfig:
    """A run of a few seconds on the CPU."""
    values: dict[str, object] = {
        "seed": 3,
        "folds": 3,
        "steps": 60,
        "warmup_steps": 5,
        "batch_size": 2,
        "learning_rate": 0.02,
        "weight_decay": 0.0,
        "average": 0.8,
        "score_every": 30,
        "augmentation": Augmentation(mirror_axis=0, elastic_voxels=0.5, gamma=0.1, noise=0.05),
        "model": description(),
    }
    return TrainingConfig(**{**values, **changes})  # type: ignore[arg-type]


def grid(
    shape: tuple[int, int, int] = (28, 26, 24), spacing: tuple[float, float, float] = SPACING
) -> Geometry:
    """An upright grid around both balls."""
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -(np.array(shape) - 1) / 2 * np.array(spacing)
    return Geometry(shape, affine)


def image(geometry: Geometry, shift: tuple[float, float, float] = (0, 0, 0), seed: int = 0) -> Volume:
    """Both balls with partial volume and a little noise, in arbitrary units."""
    values = np.random.default_rng(seed).normal(0, 4, geometry.shape).astype(np.float32)
    for ball, level in LEVELS.values():
        values += np.float32(level) * rasterise(moved(ball, shift), geometry)
    return Volume(geometry, np.asfortranarray(values), "MR")


def truth(geometry: Geometry, shift: tuple[float, float, float] = (0, 0, 0)) -> np.ndarray:
    """uint8 labels by the voxels' centres."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in geometry.shape), indexing="ij"), axis=-1)
    points = geometry.to_world(index.reshape(-1, 3))
    labels = np.zeros(geometry.shape, np.uint8, order="F")
    for label, (ball, _) in LEVELS.items():
        labels[(moved(ball, shift).signed_distance(points) < 0).reshape(geometry.shape)] = label
    return labels


def moved(ball: Ball, shift: tuple[float, float, float]) -> Ball:
    """The same ball elsewhere."""
    x, y, z = (float(a + b) for a, b in zip(ball.centre, shift, strict=True))
    return Ball((x, y, z), ball.radius)


def write_data(folder: Path, cases: int = 6) -> Path:
    """A data set in the decathlon's form, the balls a little elsewhere in each case."""
    code = Code("ball", "Ball", "99TEST")
    segments = tuple(Segment(label, f"ball_{label}", code, (200, 200, 200)) for label in LEVELS)
    entries = []
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir(parents=True)
    for number in range(cases):
        random = np.random.default_rng(number)
        dx, dy, dz = random.uniform(-3, 3, 3).tolist()
        geometry = grid((28, 26, 22 + number % 3))
        file = f"case_{number:03}.nii.gz"
        write_volume(image(geometry, (dx, dy, dz), number), folder / "imagesTr" / file)
        drawn = Segmentation(geometry, truth(geometry, (dx, dy, dz)), segments)
        write_labels(drawn, folder / "labelsTr" / file)
        entries.append({"image": f"./imagesTr/{file}", "label": f"./labelsTr/{file}"})
    (folder / "dataset.json").write_text(json.dumps({"name": "Balls", "training": entries}))
    return folder


def write_training(path: Path, config: TrainingConfig) -> Path:
    """The configuration as a YAML file."""
    path.write_text(yaml.safe_dump(config.model_dump(mode="json")))
    return path

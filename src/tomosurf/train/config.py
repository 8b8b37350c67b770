"""How a model is trained: frozen, typed, closed."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from tomosurf.config import parse, read_yaml
from tomosurf.frozen import Frozen
from tomosurf.segment.spec import ModelDescription


class Augmentation(Frozen):
    """How far training images are changed; every amount is a half-width or a standard deviation.

    ``mirror_axis`` is the network's axis from side to side, or None. Lengths are in voxels, angles in
    degrees, intensities in standard deviations of the image.
    """

    mirror_axis: int | None = Field(default=None, ge=0, le=2)
    rotation_degrees: float = Field(default=15, ge=0, le=180)
    scale: float = Field(default=0.15, ge=0, lt=1)
    translation_voxels: float = Field(default=4, ge=0)
    elastic_voxels: float = Field(default=1.5, ge=0)
    brightness: float = Field(default=0.3, ge=0)
    contrast: float = Field(default=0.25, ge=0, lt=1)
    gamma: float = Field(default=0.3, ge=0, lt=1)
    bias_field: float = Field(default=0.2, ge=0)
    noise: float = Field(default=0.15, ge=0)
    blur_probability: float = Field(default=0.2, ge=0, le=1)


class TrainingConfig(Frozen):
    """One training run: the model, the split, the schedule.

    ``validation_cases`` of the data set are held out, chosen by ``seed``. ``deep_heads`` are coarser outputs
    that help training and are left out of the result. ``average`` is the decay of the moving average of the
    weights, which is what gets written. The run ends after ``steps``; nothing is chosen on the held-out
    cases, so their scores are those of cases never used.
    """

    seed: int = Field(ge=0)
    validation_cases: int = Field(ge=1)
    steps: int = Field(ge=1)
    warmup_steps: int = Field(ge=0)
    batch_size: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    average: float = Field(ge=0, lt=1)
    deep_heads: int = Field(default=0, ge=0, le=4)
    score_every: int = Field(ge=1)
    augmentation: Augmentation
    model: ModelDescription

    @model_validator(mode="after")
    def _warm_before_the_end(self) -> TrainingConfig:
        if self.warmup_steps >= self.steps:
            raise ValueError("warmup_steps must be below steps")
        return self


def load_training(path: Path) -> TrainingConfig:
    """The training run that a YAML file describes.

    Raises:
        ConfigError: unreadable, or no training run.
    """
    return parse(TrainingConfig, read_yaml(path), str(path))

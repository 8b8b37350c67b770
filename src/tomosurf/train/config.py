"""How a model is trained: frozen, typed, closed."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from tomosurf.config import parse, read_yaml
from tomosurf.frozen import Frozen
from tomosurf.segment.model.spec import ModelDescription


class Augmentation(Frozen):
    """How far training images are changed; every amount is a half-width or a standard deviation.

    ``mirror_axis`` is the network's axis from side to side, or None; half of the crops are mirrored. A share
    ``spatial_probability`` of the crops is turned, scaled, shifted and bent; the others keep their voxels. Each
    change of intensities comes to a share ``intensity_probability``, blur and coarser sampling to shares of their
    own. Lengths are in voxels, angles in degrees, intensities in standard deviations of the image.
    """

    mirror_axis: int | None = Field(default=None, ge=0, le=2)
    spatial_probability: float = Field(default=1, ge=0, le=1)
    rotation_degrees: float = Field(default=15, ge=0, le=180)
    scale: float = Field(default=0.15, ge=0, lt=1)
    translation_voxels: float = Field(default=4, ge=0)
    elastic_voxels: float = Field(default=1.5, ge=0)
    intensity_probability: float = Field(default=1, ge=0, le=1)
    brightness: float = Field(default=0.3, ge=0)
    contrast: float = Field(default=0.25, ge=0, lt=1)
    gamma: float = Field(default=0.3, ge=0, lt=1)
    bias_field: float = Field(default=0.2, ge=0)
    noise: float = Field(default=0.15, ge=0)
    blur_probability: float = Field(default=0.2, ge=0, le=1)
    coarse_probability: float = Field(default=0, ge=0, le=1)


class Distillation(Frozen):
    """One network is trained towards what others say of cases that they never saw.

    The teachers are trained first, each without one more fold of the cases that the network may see; that fold's
    cases are what it teaches, since of cases that it saw it would repeat the labels. ``weight`` is the teachers'
    share in what the network is trained towards; the rest are the labels. ``teacher_steps`` is the length of a
    teacher's run, ``teacher_dice_weight`` its :attr:`TrainingConfig.dice_weight`. With ``mirror`` a teacher's
    answer is the mean of those for the image and its mirror image, along the augmentation's ``mirror_axis``.

    Reference: G. Hinton, O. Vinyals, J. Dean, Distilling the Knowledge in a Neural Network, arXiv:1503.02531.
    """

    weight: float = Field(default=0.5, gt=0, le=1)
    teacher_steps: int = Field(ge=1)
    teacher_dice_weight: float = Field(default=1, ge=0)
    mirror: bool = False


class TrainingConfig(Frozen):
    """Training runs of one model: the split, the schedule, the changes.

    The cases are dealt out to ``folds`` by ``seed``; a fold's network never sees its cases, nor does any teacher
    of it. A run ends after its ``steps``; nothing is chosen on held-out cases, so their scores are those of cases
    never used. ``deep_heads`` are coarser outputs that help training and are left out of the result. ``average``
    is the decay of the moving average of the weights, which is what gets written. ``dice_weight`` is that of a Dice
    loss beside the cross-entropy: it helps where structures are small in their window, and makes what the network
    says of its own doubt worse. ``boundary_weight`` is that of a second cross-entropy over the voxels at a
    boundary alone. ``soft_labels``: a changed label keeps the
    fractions that interpolation gives it. ``foreground`` is the share of windows that are laid around a labelled
    voxel, where images are larger than the window. ``compiled`` lets torch compile the network on a GPU.
    """

    seed: int = Field(ge=0)
    folds: int = Field(ge=2)
    steps: int = Field(ge=1)
    warmup_steps: int = Field(ge=0)
    batch_size: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    average: float = Field(ge=0, lt=1)
    deep_heads: int = Field(default=0, ge=0, le=4)
    dice_weight: float = Field(default=1, ge=0)
    boundary_weight: float = Field(default=0, ge=0)
    soft_labels: bool = True
    foreground: float = Field(default=0.33, ge=0, le=1)
    compiled: bool = True
    score_every: int = Field(ge=1)
    keep_every: int = Field(default=500, ge=1)
    augmentation: Augmentation
    distillation: Distillation | None = None
    model: ModelDescription

    @model_validator(mode="after")
    def _fits_together(self) -> TrainingConfig:
        shortest = min(self.steps, self.distillation.teacher_steps if self.distillation else self.steps)
        if self.warmup_steps >= shortest:
            raise ValueError("warmup_steps must be below steps, the teachers' too")
        if self.distillation and self.folds < 3:
            raise ValueError("distillation needs three folds: one held out, and two for the teachers")
        if self.distillation and self.distillation.mirror and self.augmentation.mirror_axis is None:
            raise ValueError("teachers can only be mirrored along augmentation.mirror_axis")
        return self


def load_training(path: Path) -> TrainingConfig:
    """The training run that a YAML file describes.

    Raises:
        ConfigError: unreadable, or no training run.
    """
    return parse(TrainingConfig, read_yaml(path), str(path))

"""What a model is: data, not code. Reading a description loads neither torch nor MONAI and runs nothing."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from tomosurf.config import RefineRule, SegmentSpec, parse, read_yaml
from tomosurf.errors import ModelError
from tomosurf.frozen import Frozen
from tomosurf.segment.architectures import Architecture
from tomosurf.segment.model.steps import Edge, Step

FILE_NAME = "model.yaml"
"""The description's name in a model's folder."""

EARLIER = "earlier"
"""Where a cascade's second stage has its first: a model's folder within its own."""


class InputSpec(Frozen):
    """What the network expects: how many images, and what is done to them first, in order.

    Several ``channels`` are several images of one grid (MR sequences, say), in the model's own order.
    """

    channels: int = Field(default=1, ge=1, le=64)
    channel_names: tuple[str, ...] = ()
    steps: tuple[Step, ...]


class Window(Frozen):
    """The box that the network sees at a time, in voxels; neighbours overlap by a fraction, weighted.

    ``placement``: "monai" steps by whole fractions of the window and pushes the last one back to the edge;
    "nnunet" spreads the windows evenly.
    """

    roi: tuple[Edge, Edge, Edge]
    overlap: float = Field(default=0.5, ge=0, lt=1)
    mode: Literal["constant", "gaussian"] = "gaussian"
    placement: Literal["monai", "nnunet"] = "monai"


class Calibration(Frozen):
    """How far the network's own probabilities can be trusted, measured on cases it wasn't trained on.

    Outputs are divided by ``temperature`` before they are read as probabilities (Guo et al. 2017,
    arXiv:1706.04599). ``error`` is the expected calibration error that remains in the band within 2 mm of a
    boundary, over ``cases`` cases.
    """

    temperature: float = Field(gt=0, le=100)
    error: float = Field(ge=0, le=1)
    cases: int = Field(ge=1)


class ModelDescription(Frozen):
    """A model before it has weights.

    ``channels`` counts the network's outputs. ``activation`` "softmax": they exclude each other, channel 0 is
    background, a segment's label is its channel. "sigmoid": each channel is a region of its own; ``regions``
    gives the label that each channel paints, in the order of the channels, and a later channel paints over an
    earlier one. A channel that no segment names is background.

    ``modality`` "any" accepts every image: the model's source doesn't say what it is for. ``mirror_axes`` are
    the axes of the network's input along which it was trained with mirrored images. ``refine`` is the clean-up
    that belongs to the model; a protocol's own goes before it. ``precision`` "float32" forbids half precision.
    ``window`` None: the network sees the whole image at once. ``earlier`` are labels that another model, the
    cascade's first stage, finds in the same images first: the network sees each as one more channel, behind the
    images, 1 where the label is. ``max_extent_mm`` is the longest edge of an image that it is for, where it only
    knows crops: on a larger one it would find its structures wherever something looks a little like them.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    version: str = Field(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+$")
    title: str
    licence: str
    source: str = ""
    modality: Literal["CT", "MR", "PT", "any"]
    architecture: Architecture
    channels: int = Field(ge=1, le=1024)
    activation: Literal["softmax", "sigmoid"] = "softmax"
    regions: tuple[int, ...] = ()
    input: InputSpec
    window: Window | None
    mirror_axes: tuple[Annotated[int, Field(ge=0, le=2)], ...] = ()
    segments: tuple[SegmentSpec, ...] = Field(min_length=1)
    refine: dict[str, RefineRule] = Field(default_factory=dict)
    calibration: Calibration | None = None
    precision: Literal["auto", "float32"] = "auto"
    earlier: tuple[Annotated[int, Field(ge=1, le=1023)], ...] = ()
    max_extent_mm: float | None = Field(default=None, gt=0)

    @property
    def inputs(self) -> int:
        """How many channels the network takes."""
        return self.input.channels + len(self.earlier)

    @model_validator(mode="after")
    def _fits_together(self) -> ModelDescription:
        labels = [segment.label for segment in self.segments]
        names = [segment.name for segment in self.segments]
        if len(set(labels)) != len(labels) or len(set(names)) != len(names):
            raise ValueError("two segments share a label or a name")
        if self.activation == "softmax" and (self.regions or self.channels < 2):
            raise ValueError("a softmax has a background and at least one more channel, and no regions")
        if self.activation == "softmax" and max(labels) >= self.channels:
            raise ValueError(f"a segment's label is a channel, 1 to {self.channels - 1}")
        if self.activation == "sigmoid" and len(self.regions) != self.channels:
            raise ValueError("regions names the label of each of the network's channels")
        if self.activation == "sigmoid" and not set(labels) <= set(self.regions):
            raise ValueError("a segment's label is painted by no channel")
        if len(set(self.earlier)) != len(self.earlier):
            raise ValueError("earlier names a label twice")
        if set(self.refine) - set(names):
            raise ValueError("refine names no segment of the model")
        divisor = self.architecture.divisor
        if self.window and any(edge % step for edge, step in zip(self.window.roi, divisor, strict=True)):
            raise ValueError(f"window.roi must be divisible by {divisor} for this architecture")
        return self


class WeightsFile(Frozen):
    """Weights beside the description: a plain file name, the SHA-256 of its bytes, its number format."""

    file: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*\.safetensors$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    dtype: Literal["float16", "float32"]


class ModelSpec(ModelDescription):
    """A model that can run: its description, sealed to its weights; several sets are folds of an ensemble.

    ``earlier_sha256`` is the :meth:`digest` of the model in the folder ``earlier``, where there is one.
    """

    weights: tuple[WeightsFile, ...] = Field(min_length=1)
    earlier_sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")

    @model_validator(mode="after")
    def _sealed(self) -> ModelSpec:
        if bool(self.earlier) != (self.earlier_sha256 is not None):
            raise ValueError("earlier and earlier_sha256 go together")
        return self

    def digest(self) -> str:
        """SHA-256 of what the description says; it names its weights' digests, and so seals them too."""
        return hashlib.sha256(self.model_dump_json(exclude_defaults=True).encode()).hexdigest()

    def as_yaml_values(self) -> dict[str, Any]:
        """Plain values for model.yaml, in the order of the fields."""
        values: dict[str, Any] = self.model_dump(mode="json")
        return values


def load_earlier(folder: Path, spec: ModelSpec) -> tuple[Path, ModelSpec] | None:
    """The first stage of the cascade whose second is ``spec``, in ``folder``; None: it is no cascade.

    Raises:
        ModelError: it is missing, isn't the one that was sealed, or has a first stage itself.
        ConfigError: its description is wrong.
    """
    if spec.earlier_sha256 is None:
        return None
    inner = folder / EARLIER
    found = load_spec(inner)
    if found.digest() != spec.earlier_sha256:
        raise ModelError(
            f"model {spec.name}: {inner} isn't the first stage that it was made with; import it again"
        )
    if found.earlier or found.input.channels != spec.input.channels:
        raise ModelError(f"model {spec.name}: {inner} can't be its first stage")
    return inner, found


def load_spec(folder: Path) -> ModelSpec:
    """The description in a model's folder; the weights aren't touched.

    Raises:
        ModelError: the folder holds no description.
        ConfigError: the description is wrong.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        raise ModelError(f"{folder} is no model: it holds no {FILE_NAME}")
    return parse(ModelSpec, read_yaml(path), str(path))

"""What a model is: data, not code. Reading a description loads neither torch nor MONAI and runs nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from tomosurf.config import SegmentSpec, parse, read_yaml
from tomosurf.errors import ModelError
from tomosurf.frozen import Frozen
from tomosurf.segment.architectures import Architecture

FILE_NAME = "model.yaml"
"""The description's name in a model's folder."""

Percentile = Annotated[float, Field(ge=0, le=100)]
Millimetres = Annotated[float, Field(gt=0, le=100)]
Edge = Annotated[int, Field(ge=1, le=1024)]


class ZScore(Frozen):
    """Subtract the mean, divide by the standard deviation, after clipping to percentiles if any are given.

    Statistics are ``over`` "all" measured voxels or those that are "nonzero" (skull-stripped heads).
    """

    kind: Literal["zscore"]
    over: Literal["all", "nonzero"] = "all"
    clip_percentiles: tuple[Percentile, Percentile] | None = None

    @model_validator(mode="after")
    def _ordered(self) -> ZScore:
        if self.clip_percentiles and not self.clip_percentiles[0] < self.clip_percentiles[1]:
            raise ValueError("clip_percentiles: the first must be below the second")
        return self


class PercentileRange(Frozen):
    """Map the intensities at two percentiles of the measured voxels to 0 and 1; ``clip`` what lies beyond."""

    kind: Literal["percentiles"]
    lower: Percentile
    upper: Percentile
    clip: bool = True

    @model_validator(mode="after")
    def _ordered(self) -> PercentileRange:
        if not self.lower < self.upper:
            raise ValueError("lower must be below upper")
        return self


class FixedRange(Frozen):
    """Map two intensities (HU for CT) to 0 and 1, and clip what lies beyond."""

    kind: Literal["range"]
    lower: float
    upper: float

    @model_validator(mode="after")
    def _ordered(self) -> FixedRange:
        if not self.lower < self.upper:
            raise ValueError("lower must be below upper")
        return self


Intensity = Annotated[ZScore | PercentileRange | FixedRange, Field(discriminator="kind")]


class InputSpec(Frozen):
    """What the network expects: the letters its axes run towards, spacing in mm along them, intensities."""

    orientation: str
    spacing_mm: tuple[Millimetres, Millimetres, Millimetres]
    intensity: Intensity

    @model_validator(mode="after")
    def _three_axes(self) -> InputSpec:
        pairs = ("RL", "AP", "SI")
        axes = sorted(n for letter in self.orientation for n, pair in enumerate(pairs) if letter in pair)
        if len(self.orientation) != 3 or axes != [0, 1, 2]:
            raise ValueError("orientation is three letters, one each of R/L, A/P and S/I")
        return self


class Window(Frozen):
    """The box that the network sees at a time, in voxels; neighbours overlap by a fraction, weighted."""

    roi: tuple[Edge, Edge, Edge]
    overlap: float = Field(default=0.5, ge=0, lt=1)
    mode: Literal["constant", "gaussian"] = "gaussian"


class ModelDescription(Frozen):
    """A model before it has weights.

    ``channels`` counts the network's outputs, background (channel 0) included; a segment's label is its
    channel. A channel that no segment names is background.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    version: str = Field(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+$")
    title: str
    licence: str
    modality: Literal["CT", "MR"]
    architecture: Architecture
    channels: int = Field(ge=2, le=1024)
    input: InputSpec
    window: Window
    segments: tuple[SegmentSpec, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _fits_together(self) -> ModelDescription:
        labels = [segment.label for segment in self.segments]
        names = [segment.name for segment in self.segments]
        if len(set(labels)) != len(labels) or len(set(names)) != len(names):
            raise ValueError("two segments share a label or a name")
        if max(labels) >= self.channels:
            raise ValueError(f"a segment's label is a channel, 1 to {self.channels - 1}")
        divisor = self.architecture.divisor
        if any(edge % step for edge, step in zip(self.window.roi, divisor, strict=True)):
            raise ValueError(f"window.roi must be divisible by {divisor} for this architecture")
        return self


class WeightsFile(Frozen):
    """The weights beside the description: a plain file name, the SHA-256 of its bytes, its number format."""

    file: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*\.safetensors$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    dtype: Literal["float16", "float32"]


class ModelSpec(ModelDescription):
    """A model that can run: its description, sealed to its weights."""

    weights: WeightsFile

    def as_yaml_values(self) -> dict[str, Any]:
        """Plain values for model.yaml, in the order of the fields."""
        values: dict[str, Any] = self.model_dump(mode="json")
        return values


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

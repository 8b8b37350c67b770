"""What is done to an image before a network sees it: typed steps, in the order in which they are applied.

Each step is data. An importer that finds a step which isn't here refuses the model by that step's name.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tomosurf.frozen import Frozen

Percentile = Annotated[float, Field(ge=0, le=100)]
Millimetres = Annotated[float, Field(gt=0, le=100)]
Edge = Annotated[int, Field(ge=1, le=1024)]
Margin = Annotated[int, Field(ge=0, le=1024)]


class Orient(Frozen):
    """Turn the axes (permute and flip, never resample) so that they run towards three letters.

    "RAS": the first axis to the patient's right, the second to the front, the third to the head. An oblique
    image isn't turned upright: its closest axes are taken.
    """

    do: Literal["orient"] = "orient"
    axes: str

    @model_validator(mode="after")
    def _three_axes(self) -> Orient:
        pairs = ("RL", "AP", "SI")
        axes = sorted(n for letter in self.axes for n, pair in enumerate(pairs) if letter in pair)
        if len(self.axes) != 3 or axes != [0, 1, 2]:
            raise ValueError("axes are three letters, one each of R/L, A/P and S/I")
        return self


class AsStored(Frozen):
    """Permute the stored axes without looking where they run: "kji" puts the stack's axis first.

    nnU-Net reads images so. Its networks expect images stored as their training images were; nothing in a
    results folder says how that was.
    """

    do: Literal["as_stored"] = "as_stored"
    axes: Literal["ijk", "ikj", "jik", "jki", "kij", "kji"]


class Resample(Frozen):
    """Resample to voxels of ``spacing_mm`` along the axes as they run now; None keeps an axis as it is.

    ``grid`` is the rule for the new grid: "cover" is the smallest that covers the image, centred on it, with
    right angles, and keeps an image whose voxels are within 1 % already; "monai" is that of MONAI's Spacing;
    "nnunet" keeps the image's box and rounds its shape, as nnU-Net does. ``order`` is that of the splines.
    ``separate_axis`` "auto" interpolates within slices by ``order`` and takes the nearest slice between them
    where spacing is anisotropic (nnU-Net's rule, ratio above 3).
    """

    do: Literal["resample"] = "resample"
    spacing_mm: tuple[Millimetres | None, Millimetres | None, Millimetres | None]
    grid: Literal["cover", "monai", "nnunet"] = "cover"
    order: Literal["linear", "nearest", "cubic"] = "linear"
    separate_axis: Literal["never", "auto"] = "never"


class CropForeground(Frozen):
    """Cut to the box of the voxels that are ``above`` a value, or "nonzero", in any channel, and a margin.

    What lies outside the box gets no label. Where the margin leaves the image it ends at its edge, or, with
    ``beyond`` "pad", goes on with zeros.
    """

    do: Literal["crop"] = "crop"
    where: Literal["above", "nonzero"] = "above"
    above: float = 0.0
    margin: tuple[Margin, Margin, Margin] = (0, 0, 0)
    beyond: Literal["image", "pad"] = "image"


class Pad(Frozen):
    """Pad with ``value`` until each edge is at least ``at_least`` and divisible by ``divisor``.

    ``where`` is "end", or "both" (the smaller half first). ``value`` "edge" repeats the outermost voxels.
    """

    do: Literal["pad"] = "pad"
    divisor: tuple[Edge, Edge, Edge] = (1, 1, 1)
    at_least: tuple[Edge, Edge, Edge] = (1, 1, 1)
    where: Literal["both", "end"] = "both"
    value: float | Literal["edge"] = 0.0


class IntensityStep(Frozen):
    """A change of intensities, of all ``channels`` (empty) or only of some, counted from 0."""

    channels: tuple[Annotated[int, Field(ge=0, le=63)], ...] = ()


class ZScore(IntensityStep):
    """Subtract the mean, divide by the standard deviation, after clipping to percentiles if any are given.

    Statistics are this image's, channel by channel, ``over`` "all" measured voxels or those that are
    "nonzero" (skull-stripped heads); with "nonzero", zeros stay zero. "foreground" are the voxels that are
    nonzero in any channel of the image and what they enclose; the others stay as they are (nnU-Net's mask).
    """

    do: Literal["zscore"] = "zscore"
    over: Literal["all", "nonzero", "foreground"] = "all"
    clip_percentiles: tuple[Percentile, Percentile] | None = None

    @model_validator(mode="after")
    def _ordered(self) -> ZScore:
        if self.clip_percentiles and not self.clip_percentiles[0] < self.clip_percentiles[1]:
            raise ValueError("clip_percentiles: the first must be below the second")
        return self


class Standardise(IntensityStep):
    """Clip to ``lower`` and ``upper`` if given, subtract ``mean``, divide by ``deviation``: fixed numbers."""

    do: Literal["standardise"] = "standardise"
    mean: float
    deviation: Annotated[float, Field(gt=0)]
    lower: float | None = None
    upper: float | None = None


class IntensityRange(IntensityStep):
    """Map ``lower`` and ``upper`` to ``to``; ``clip`` what lies beyond."""

    lower: float
    upper: float
    to: tuple[float, float] = (0.0, 1.0)
    clip: bool = True

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.lower < self.upper:
            raise ValueError("lower must be below upper")
        return self


class PercentileRange(IntensityRange):
    """Map the intensities at two percentiles of the measured voxels."""

    do: Literal["percentiles"] = "percentiles"
    lower: Percentile
    upper: Percentile


class FixedRange(IntensityRange):
    """Map two intensities (HU for CT)."""

    do: Literal["range"] = "range"


Intensity = ZScore | Standardise | PercentileRange | FixedRange
Step = Annotated[Orient | AsStored | Resample | CropForeground | Pad | Intensity, Field(discriminator="do")]

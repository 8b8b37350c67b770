"""Which voxel belongs to which structure, and how clearly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.arrays import frozen
from tomosurf.data.geometry import Geometry
from tomosurf.errors import DataError


@dataclass(frozen=True, slots=True)
class Code:
    """A coded concept (DICOM PS3.3 section 8): SNOMED CT codes carry the scheme designator SCT."""

    value: str
    meaning: str
    scheme: str = "SCT"


Role = Literal["", "lesion", "paired", "outline"]
"""What must not be lost of a structure: of a lesion no piece, however small; of a paired organ neither of its two
pieces. An outline is the patient's own surface, which can carry a face."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One structure: its value in the label map, name (also the mesh's file name), code, sRGB colour and role."""

    label: int
    name: str
    code: Code
    colour: tuple[int, int, int]
    role: Role = ""

    def __post_init__(self) -> None:
        if not 1 <= self.label <= 65535:
            raise DataError(f"segment {self.name!r}: a label is 1 to 65535, not {self.label}")
        if not self.name or not all(c.isascii() and (c.isalnum() or c in "_-") for c in self.name):
            raise DataError(f"a segment's name is letters, digits, '_' and '-', not {self.name!r}")


@dataclass(frozen=True, slots=True, eq=False)
class Margin:
    """A signed field for one segment: above zero inside, zero at its boundary, at sub-voxel precision.

    ``geometry`` is the grid of ``values`` (float32, (ni, nj, nk)): the segment's box with at least one voxel
    around it unless the image ends there, on the segmenter's own grid, coarser or finer than the volume's.
    """

    geometry: Geometry
    values: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.values.shape != self.geometry.shape or self.values.dtype != np.float32:
            raise DataError("a margin is a float32 array of its geometry's shape")
        object.__setattr__(self, "values", frozen(self.values))


@dataclass(frozen=True, slots=True, eq=False)
class Doubt:
    """Where a label could be another: the probability, 0 to 1, that a voxel's label is wrong.

    ``values`` (float16, (ni, nj, nk)) lie on ``geometry``: a box on the segmenter's own grid, outside of which
    doubt is below 1/512. ``calibrated`` says whether the probabilities were held against cases that the
    segmenter wasn't made with; ``sources`` what they come from: "network", "mirrors", "folds".
    """

    geometry: Geometry
    values: NDArray[np.float16]
    calibrated: bool
    sources: tuple[str, ...] = ("network",)

    def __post_init__(self) -> None:
        if self.values.shape != self.geometry.shape or self.values.dtype != np.float16:
            raise DataError("doubt is a float16 array of its geometry's shape")
        object.__setattr__(self, "values", frozen(self.values))


@dataclass(frozen=True, slots=True, eq=False)
class Segmentation:
    """A label map with its segments and their margins.

    Args:
        geometry: the volume's grid.
        labels: uint8 or uint16, (ni, nj, nk), 0 is background.
        segments: every structure looked for, found or not.
        margins: label to :class:`Margin`; empty for imported masks.
        protocol: name of the protocol that asked for it, or "".
        series: digest of the series it was made from.
        provenance: what to write down about how it was made (method, model digest, device, levels).
        doubt: where labels could be others; None where nobody knows.

    Raises:
        DataError: shapes disagree, a label occurs twice, or a margin belongs to no segment.
    """

    geometry: Geometry
    labels: NDArray[Any]
    segments: tuple[Segment, ...]
    margins: Mapping[int, Margin] = field(default_factory=dict)
    protocol: str = ""
    series: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    doubt: Doubt | None = None

    def __post_init__(self) -> None:
        if self.labels.shape != self.geometry.shape:
            raise DataError(f"labels {self.labels.shape} don't fit geometry {self.geometry.shape}")
        if self.labels.dtype not in (np.uint8, np.uint16):
            raise DataError(f"labels are uint8 or uint16, not {self.labels.dtype}")
        known = [segment.label for segment in self.segments]
        names = [segment.name for segment in self.segments]
        if len(set(known)) != len(known) or len(set(names)) != len(names):
            raise DataError("two segments share a label or a name")
        if not set(self.margins) <= set(known):
            raise DataError("a margin belongs to no segment")
        object.__setattr__(self, "labels", frozen(self.labels))
        object.__setattr__(self, "margins", MappingProxyType(dict(self.margins)))
        object.__setattr__(self, "provenance", MappingProxyType(dict(self.provenance)))

    def segment(self, name: str) -> Segment:
        """The segment of that name.

        Raises:
            DataError: there is none.
        """
        for segment in self.segments:
            if segment.name == name:
                return segment
        raise DataError(f"no segment is called {name!r}")

    def without_margins(self) -> Segmentation:
        """The same with its margins dropped: once surfaces are made, they only cost memory."""
        return replace(self, margins={})

    def renamed(self, names: Mapping[str, str], label_offset: int) -> Segmentation:
        """The same with segments renamed and every label raised by ``label_offset``, margins along."""
        top = max((segment.label for segment in self.segments), default=0) + label_offset
        labels = self.labels
        if label_offset:
            labels = labels.astype(np.uint8 if top < 256 else np.uint16)
            labels[labels > 0] += label_offset
        segments = tuple(
            replace(s, label=s.label + label_offset, name=names.get(s.name, s.name)) for s in self.segments
        )
        margins = {label + label_offset: margin for label, margin in self.margins.items()}
        return replace(self, labels=labels, segments=segments, margins=margins)

"""Segmentations of shapes, whose margins are the shapes' own signed distances."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.geometry import Geometry
from tomosurf.data.segmentation import Code, Margin, Segment, Segmentation
from tomosurf.testing.shape import Shape

_COLOURS = ((222, 148, 80), (90, 150, 200), (140, 190, 110), (190, 110, 160))


def segment(label: int = 1, name: str = "") -> Segment:
    """A segment to test with; its code names no real structure."""
    colour = _COLOURS[(label - 1) % len(_COLOURS)]
    return Segment(label, name or f"shape-{label}", Code("123037004", "Body structure"), colour)


def margin_of(shape: Shape, geometry: Geometry) -> Margin:
    """Minus the signed distance in mm at every voxel centre: above zero inside."""
    values = np.empty(geometry.shape, np.float32, order="F")
    for k in range(geometry.shape[2]):
        values[:, :, k] = -shape.signed_distance(_slice_points(geometry, k)).reshape(geometry.shape[:2])
    return Margin(geometry, values)


def segmentation_of(
    shapes: Sequence[Shape], geometry: Geometry, *, with_margins: bool = True
) -> Segmentation:
    """The label map of disjoint shapes, labelled from 1 in their order, with margins on the same grid.

    A voxel belongs to the shape that its centre lies in or on.
    """
    labels = np.zeros(geometry.shape, np.uint8, order="F")
    margins = {label: margin_of(shape, geometry) for label, shape in enumerate(shapes, 1)}
    for label, margin in margins.items():
        labels[margin.values >= 0] = label
    segments = tuple(segment(label) for label in margins)
    return Segmentation(geometry, labels, segments, margins if with_margins else {})


def _slice_points(geometry: Geometry, k: int) -> NDArray[np.float64]:
    """LPS mm of the voxel centres of slice ``k``, j fastest."""
    i, j = np.meshgrid(np.arange(geometry.shape[0]), np.arange(geometry.shape[1]), indexing="ij")
    return geometry.to_world(np.stack([i.ravel(), j.ravel(), np.full(i.size, k)], axis=1))

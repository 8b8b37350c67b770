"""A face without features: a smooth shield in front of it, through which nothing of it can be seen.

Between brow and chin everything before the head's middle is filled up to an ellipse across the head. Its width and
depth follow the head's over the height only as slowly as the shield is smoothed, so that nothing within about 10 mm
remains; brow, cranium, back and everything else stay as they are to the bit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.geometry import Geometry
from tomosurf.data.segmentation import Margin, Segmentation
from tomosurf.refine.head import Head

BROW_DEPTHS = 0.5
"""How far the brow lies below the top of the head, in depths of the head (its extent from front to back)."""

FACE_DEPTHS = 0.85
"""Height of the face from the brow downwards, in depths of the head."""

SPREAD_MM = 30.0
"""Over so many mm up and down the shield is as wide and deep as the head is anywhere there."""

SMOOTH_MM = 16.0
"""Standard deviation of the smoothing of the shield over the height."""

RAMP_MM = 15.0
"""Over so many mm the shield rises out of brow and chin, where these lie within the head's sections."""

_BIN_MM = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Shield:
    """The ellipses of a shield: centre line, and half-width and depth in mm for each mm of height.

    A place (x, y, z), LPS mm, lies behind the shield when ``depth_at`` is above 0.
    """

    x: float
    y: float
    low: float
    half_width: NDArray[np.float64]
    depth: NDArray[np.float64]

    @property
    def high(self) -> float:
        """Height of the brow, LPS mm."""
        return self.low + len(self.depth) * _BIN_MM

    def depth_at(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,) mm from the shield inwards, along y; minus infinity beside, below, above and behind it."""
        z = (points[:, 2] - self.low) / _BIN_MM - 0.5
        bins = np.arange(len(self.depth))
        width = np.interp(z, bins, self.half_width)
        across = np.abs(points[:, 0] - self.x) / np.maximum(width, 1e-9)
        front = np.interp(z, bins, self.depth) * np.sqrt(np.clip(1 - across**2, 0, None))
        inside = front - (self.y - points[:, 1])
        outside = (across >= 1) | (points[:, 1] > self.y) | (z < -0.5) | (z > len(bins) - 0.5)
        return np.where(outside, -np.inf, inside)


def blunt(segmentation: Segmentation, label: int, head: Head) -> Segmentation:
    """``segmentation`` with the face of ``label`` behind a shield: labels and, where there is one, its margin.

    Only background becomes ``label``; other structures stay. ``provenance["blunted"]`` names the structure.
    """
    shield = shield_of(segmentation, label, head)
    labels = segmentation.labels.copy(order="K")
    for k in range(labels.shape[2]):
        inside = _plane(shield, segmentation.geometry, k)
        window = labels[:, :, k]
        window[(inside > 0) & (window == 0)] = label
    margins = dict(segmentation.margins)
    if label in margins:
        margins[label] = _follow(margins[label], shield)
    name = next(segment.name for segment in segmentation.segments if segment.label == label)
    provenance = {**segmentation.provenance, "blunted": [name]}
    return replace(segmentation, labels=labels, margins=margins, provenance=provenance)


def shield_of(segmentation: Segmentation, label: int, head: Head) -> Shield:
    """The shield for the face of ``head``."""
    x, y = (head.low[0] + head.high[0]) / 2, (head.low[1] + head.high[1]) / 2
    depth = head.high[1] - head.low[1]
    brow = head.high[2] - (BROW_DEPTHS * depth if head.closed else 0.0)
    low = max(brow - FACE_DEPTHS * depth, head.low[2])
    count = max(1, round((brow - low) / _BIN_MM))
    half_width = _per_height(segmentation, label, (x, y, low), count, None)
    half_width = _smoothed(half_width * 1.03)
    front = _smoothed(_per_height(segmentation, label, (x, y, low), count, half_width))
    ramp = np.minimum(np.arange(count) + 0.5, RAMP_MM) / RAMP_MM
    if low > head.low[2]:  # the chin lies within; else the shield goes on to the end of the head's sections
        front = front * ramp
    return Shield(x, y, low, half_width, front * ramp[::-1] if head.closed else front)


def _per_height(
    segmentation: Segmentation,
    label: int,
    corner: tuple[float, float, float],
    count: int,
    half_width: NDArray[np.float64] | None,
) -> NDArray[np.float64]:
    """For each mm above ``corner``: how far the front half of ``label`` reaches to a side; or, with ``half_width``,
    the depth of the ellipse of that half-width that holds all of it."""
    x, y, low = corner
    found = np.zeros(count)
    for k in range(segmentation.labels.shape[2]):
        places = np.argwhere(segmentation.labels[:, :, k] == label)
        if not len(places):
            continue
        world = segmentation.geometry.to_world(np.column_stack([places, np.full(len(places), k)]))
        bins = np.floor((world[:, 2] - low) / _BIN_MM).astype(np.int64)
        kept = (bins >= 0) & (bins < count) & (world[:, 1] <= y)
        bins, world = bins[kept], world[kept]
        aside = np.abs(world[:, 0] - x)
        if half_width is None:
            reach = aside
        else:
            across = np.minimum(aside / np.maximum(half_width[bins], 1e-9), 0.98)
            reach = (y - world[:, 1]) / np.sqrt(1 - across**2)
        np.maximum.at(found, bins, reach)
    return found


def _smoothed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The greatest value within ``SPREAD_MM``, then smoothed by ``SMOOTH_MM``."""
    from scipy import ndimage

    spread = ndimage.maximum_filter1d(values, 2 * int(SPREAD_MM / _BIN_MM) + 1, mode="nearest")
    smooth: NDArray[np.float64] = ndimage.gaussian_filter1d(spread, SMOOTH_MM / _BIN_MM, mode="nearest")
    return smooth


def _plane(shield: Shield, geometry: Geometry, k: int) -> NDArray[np.float64]:
    """(ni, nj) mm behind the shield, of the voxels of slice ``k``."""
    i, j = np.meshgrid(np.arange(geometry.shape[0]), np.arange(geometry.shape[1]), indexing="ij")
    index = np.stack([i.ravel(), j.ravel(), np.full(i.size, k)], axis=1)
    return shield.depth_at(geometry.to_world(index)).reshape(geometry.shape[:2])


def _follow(margin: Margin, shield: Shield) -> Margin:
    """The margin with the shield's own field where that is larger, scaled to the margin's slope at its boundary."""
    values = margin.values.copy(order="K")
    slope = _slope(margin)
    for k in range(values.shape[2]):
        inside = _plane(shield, margin.geometry, k)
        reach = inside > -2 * max(margin.geometry.spacing)
        window = values[:, :, k]
        window[reach] = np.maximum(window[reach], (inside[reach] * slope).astype(np.float32))
    return Margin(margin.geometry, values)


def _slope(margin: Margin) -> float:
    """Median change of the margin per mm between neighbours along i on either side of the boundary."""
    inside = margin.values > 0
    across = inside[1:] != inside[:-1]
    steps = np.abs(np.diff(margin.values, axis=0))[across]
    return float(np.median(steps)) / margin.geometry.spacing[0] if len(steps) else 1.0

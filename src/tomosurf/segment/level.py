"""Where the boundary of a structure lies on the intensity scale, measured from the image itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tomosurf.config import Halfway
from tomosurf.data.volume import Volume

MOST_SAMPLES = 200_000
"""Boundary voxels looked at, at most; they are taken at an even stride, so the result is reproducible."""

DEPTH_IN_SLICE_SPACINGS = 2.0
"""How far from the boundary the plateaus are read, in units of the finest spacing: beyond an edge's blur."""


def halfway_level(volume: Volume, mask: NDArray[np.bool_], bounds: Halfway, side: str) -> tuple[float, bool]:
    """The level halfway between a structure and its surroundings, by the half-maximum rule.

    Along the intensity gradient at the boundary voxels of ``mask``, the intensity is read a little inside and a
    little outside; the level is the mean of the two medians.

    Args:
        volume: intensities; bool ``mask`` (ni, nj, nk) is a first estimate of the structure.
        mask: see above.
        bounds: the result is clipped to these.
        side: "above" when the structure is the brighter side, else "below".

    Returns:
        the level in the volume's unit, and whether it had to be clipped. An empty mask, or one without a usable
        boundary, gives the middle of the bounds, counted as clipped.

    Reference: Spoor, Zonneveld and Macho 1993, Am J Phys Anthropol 91:469 (half-maximum height).
    """
    middle = (bounds.lowest + bounds.highest) / 2
    inside, outside = _plateaus(volume, _boundary_indices(mask), 1.0 if side == "above" else -1.0)
    if not len(inside):
        return middle, True
    level = (float(np.median(inside)) + float(np.median(outside))) / 2
    clipped = min(max(level, bounds.lowest), bounds.highest)
    return clipped, clipped != level


def _boundary_indices(mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    """(n, 3) indices of evenly picked voxels of ``mask`` with a face neighbour outside it."""
    interior = mask[1:-1, 1:-1, 1:-1].copy(order="F")
    boundary = interior.copy(order="F")
    for axis in range(3):
        for shift in (slice(0, -2), slice(2, None)):
            window = [slice(1, -1)] * 3
            window[axis] = shift
            interior &= mask[tuple(window)]
    boundary &= ~interior
    flat = np.flatnonzero(boundary.ravel(order="F"))
    picked = flat[:: max(1, len(flat) // MOST_SAMPLES)]
    return np.stack(np.unravel_index(picked, boundary.shape, order="F"), axis=1) + 1


def _plateaus(
    volume: Volume, index: NDArray[np.intp], sign: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Intensities inside and outside of the boundary voxels, where both lie in the image and were measured."""
    array, shape = volume.array, np.array(volume.array.shape)
    spacing = np.array(volume.geometry.spacing)
    gradient = np.empty(index.shape)
    for axis in range(3):
        step = np.eye(3, dtype=np.intp)[axis]
        ahead, behind = tuple((index + step).T), tuple((index - step).T)
        gradient[:, axis] = (array[ahead].astype(np.float64) - array[behind]) / spacing[axis]
    length = np.linalg.norm(gradient, axis=1)
    index, gradient, length = index[length > 0], gradient[length > 0], length[length > 0]
    reach = sign * DEPTH_IN_SLICE_SPACINGS * spacing.min() / spacing
    offset = gradient / length[:, None] * reach
    inner, outer = np.rint(index + offset).astype(np.intp), np.rint(index - offset).astype(np.intp)
    valid = ((inner >= 0) & (inner < shape) & (outer >= 0) & (outer < shape)).all(axis=1)
    inner_at, outer_at = tuple(inner[valid].T), tuple(outer[valid].T)
    if volume.padding is None:
        return array[inner_at].astype(np.float64), array[outer_at].astype(np.float64)
    measured = ~(volume.padding[inner_at] | volume.padding[outer_at])
    return array[inner_at][measured].astype(np.float64), array[outer_at][measured].astype(np.float64)

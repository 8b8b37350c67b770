"""The grid that a network wants to see, as a geometry in the patient frame.

MONAI names orientations by the letters that the array's axes run towards ("RAS": first axis to the right,
second to the front, third to the head). This is the only file that knows these letters; it translates them
to LPS directions, and from there on the network's grid is a :class:`Geometry` like any other.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.geometry import Geometry
from tomosurf.segment.spec import InputSpec

SPACING_TOLERANCE = 0.01
"""Largest relative difference of a voxel's edge from the model's before the image is resampled (unitless)."""

_TOWARDS = {
    "L": (1, 0, 0),
    "R": (-1, 0, 0),
    "P": (0, 1, 0),
    "A": (0, -1, 0),
    "S": (0, 0, 1),
    "I": (0, 0, -1),
}


def model_grid(geometry: Geometry, wanted: InputSpec) -> Geometry:
    """The grid on which the network sees an image that lies on ``geometry``.

    Axes are those of the image that come closest to the wanted ones; an oblique image isn't turned upright.
    An orthogonal image of the model's spacing keeps its voxels (axes permuted and flipped). Any other gets a
    new orthogonal grid of the model's spacing, in its slice plane, that covers the whole image.
    """
    axes, signs = _closest_axes(geometry, wanted.orientation)
    spacing = np.array([geometry.spacing[axis] for axis in axes])
    fits = np.abs(spacing / np.array(wanted.spacing_mm) - 1).max() <= SPACING_TOLERANCE
    if geometry.is_orthogonal and fits:
        return _turned(geometry, axes, signs)
    return _covering(geometry, _right_angles(geometry)[:, axes] * signs, np.array(wanted.spacing_mm))


def _closest_axes(geometry: Geometry, letters: str) -> tuple[list[int], NDArray[np.float64]]:
    """For each of the network's axes: the image's axis, and +1 or -1 for its direction."""
    cosines = geometry.directions.T @ np.array([_TOWARDS[letter] for letter in letters], np.float64).T
    best, closeness = [0, 1, 2], -1.0
    for axes in permutations(range(3)):
        total = float(np.abs(cosines[list(axes), range(3)]).sum())
        if total > closeness + 1e-6:
            best, closeness = list(axes), total
    return best, np.where(cosines[best, range(3)] < 0, -1.0, 1.0)


def _turned(geometry: Geometry, axes: list[int], signs: NDArray[np.float64]) -> Geometry:
    """The same voxels with axes permuted and flipped."""
    change = np.zeros((4, 4))
    change[3, 3] = 1
    for axis, source in enumerate(axes):
        change[source, axis] = signs[axis]
        change[source, 3] = 0 if signs[axis] > 0 else geometry.shape[source] - 1
    shape = (geometry.shape[axes[0]], geometry.shape[axes[1]], geometry.shape[axes[2]])
    return Geometry(shape, geometry.affine @ change, geometry.frame_of_reference_uid)


def _right_angles(geometry: Geometry) -> NDArray[np.float64]:
    """3x3 orthonormal axes: i kept, j turned within the slice plane, k along the plane's normal."""
    if geometry.is_orthogonal:
        return geometry.directions
    axes, upper = np.linalg.qr(geometry.directions)
    result: NDArray[np.float64] = axes * np.where(np.diag(upper) < 0, -1.0, 1.0)
    return result


def _covering(geometry: Geometry, directions: NDArray[np.float64], spacing: NDArray[np.float64]) -> Geometry:
    """The smallest grid of given axes and spacing whose voxels cover the image's voxels, centred on them."""
    ends = [(-0.5, n - 0.5) for n in geometry.shape]
    corners = geometry.to_world([(i, j, k) for k in ends[2] for j in ends[1] for i in ends[0]])
    along = corners @ directions
    low, high = along.min(axis=0), along.max(axis=0)
    counts = np.maximum(np.ceil((high - low) / spacing - 1e-6), 1)
    affine = np.eye(4)
    affine[:3, :3] = directions * spacing
    affine[:3, 3] = directions @ ((low + high) / 2 - (counts - 1) / 2 * spacing)
    shape = (int(counts[0]), int(counts[1]), int(counts[2]))
    return Geometry(shape, affine, geometry.frame_of_reference_uid)

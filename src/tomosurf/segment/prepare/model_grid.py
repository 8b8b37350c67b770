"""The grid that a network wants to see, as a geometry in the patient frame.

MONAI names orientations by the letters that the array's axes run towards ("RAS": first axis to the right,
second to the front, third to the head). This is the only file that knows these letters; it translates them
to LPS directions, and from there on the network's grid is a :class:`Geometry` like any other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.geometry import Geometry

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


def oriented(geometry: Geometry, letters: str) -> Geometry:
    """The same voxels with axes permuted and flipped so that they run towards ``letters`` as closely as they can.

    An oblique image isn't turned upright.
    """
    axes, signs = _closest_axes(geometry, letters)
    return _turned(geometry, axes, signs)


def covering(geometry: Geometry, spacing_mm: tuple[float | None, float | None, float | None]) -> Geometry:
    """The grid of ``spacing_mm`` along the image's own axes; None keeps the image's own.

    An orthogonal image of that spacing keeps its voxels. Any other gets a new grid with right angles, in the
    plane of its first two axes, that covers the whole image.
    """
    own = np.array(geometry.spacing)
    spacing = np.array(
        [mine if wanted is None else wanted for mine, wanted in zip(own, spacing_mm, strict=True)]
    )
    if geometry.is_orthogonal and np.abs(own / spacing - 1).max() <= SPACING_TOLERANCE:
        return geometry
    return _covering(geometry, _right_angles(geometry), spacing)


def _closest_axes(geometry: Geometry, letters: str) -> tuple[list[int], NDArray[np.float64]]:
    """For each of the network's axes: the image's axis, and +1 or -1 for its direction.

    The image's axes choose one after the other, the one nearest to any of the patient's first, as they do in
    nibabel's ``io_orientation``; shear is taken out before (polar decomposition).
    """
    left, _, right = np.linalg.svd(geometry.directions)
    cosines = (left @ right).T @ np.array([_TOWARDS[letter] for letter in letters], np.float64).T
    axes, free = [0, 0, 0], np.abs(cosines)
    for own in np.argsort(-np.abs(cosines).max(axis=1), kind="stable").tolist():
        wanted = int(free[own].argmax())
        axes[wanted] = own
        free[:, wanted] = -1
    return axes, np.where(cosines[axes, range(3)] < 0, -1.0, 1.0)


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

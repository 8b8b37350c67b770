"""The grid that MONAI's Spacing would give an image, so that its networks see the voxels that they expect.

The rules are those of ``monai.data.utils.zoom_affine`` and ``compute_shape_offset`` (MONAI 1.6.1, Apache-2.0),
told anew; they hold in any frame, and so in LPS.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.geometry import Geometry

AFFINE_TOLERANCE = 1e-3
"""Difference of two entries of an affine (mm) that MONAI takes for none."""


def monai_spacing(
    geometry: Geometry, spacing_mm: tuple[float | None, float | None, float | None]
) -> Geometry:
    """The grid of ``spacing_mm`` along the image's own axes; None keeps an axis as it is.

    A spacing within ``AFFINE_TOLERANCE`` stays, and so does a grid that wouldn't change. Shear is taken out:
    i is kept, j turned within the slice plane, k along its normal. The grid begins at the image's first voxel,
    or has the image's centre where the axes aren't at right angles to 1e-8: MONAI decides so, and reads its
    images from NIfTI, whose affines are float32. So an oblique image is centred as a rule, an upright one
    never; the rounding is done here too, that the same image may have the same grid whatever file it was in.
    """
    own = np.array(geometry.spacing)
    wanted = [mine if step is None else step for mine, step in zip(own, spacing_mm, strict=True)]
    spacing = np.where(np.abs(own - wanted) <= AFFINE_TOLERANCE, own, wanted)
    axes = _rotation(geometry.affine[:3, :3]) * spacing
    shape, corner = _shape_and_corner(geometry, spacing)
    affine = np.eye(4)
    affine[:3, :3] = axes
    if corner is None:
        middle = geometry.to_world([np.array(geometry.shape) / 2])[0]
        affine[:3, 3] = middle - axes @ (np.array(shape) / 2)
    else:
        affine[:3, 3] = geometry.to_world([corner])[0]
    if shape == geometry.shape and np.allclose(geometry.affine, affine, atol=AFFINE_TOLERANCE):
        return geometry
    return Geometry(shape, affine, geometry.frame_of_reference_uid)


def _rotation(axes: NDArray[np.float64]) -> NDArray[np.float64]:
    """The axes without their lengths and shear."""
    upper = np.linalg.cholesky(axes.T @ axes).T
    rotation: NDArray[np.float64] = axes @ np.linalg.inv(upper)
    return rotation


def _shape_and_corner(
    geometry: Geometry, spacing: NDArray[np.float64]
) -> tuple[tuple[int, int, int], tuple[int, int, int] | None]:
    """The shape that reaches about from centre to centre; the image's voxel at which the grid begins, if any."""
    rounded = geometry.affine[:3, :3].astype(np.float32).astype(np.float64)
    i, j, k = ((0, n - 1) for n in geometry.shape)
    corners = list(product(i, j, k))
    index = np.linalg.solve(_rotation(rounded) * spacing, rounded @ np.array(corners, np.float64).T).T
    x, y, z = (int(n) for n in np.round(np.ptp(index, axis=0) + 1.0))
    for corner, place in zip(corners, index, strict=True):
        if np.allclose((index - place).min(axis=0), 0.0):
            return (x, y, z), corner
    return (x, y, z), None

"""Telling the patient from what the patient lies on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tomosurf import components
from tomosurf.data.geometry import Geometry

THIN_MM = 6.0
"""A part that doesn't fill half of any box of this edge counts as thin: covers and shells of tables do so."""

REACH_MM = 6.0
"""Thin parts this near to a thick one are never furniture: ears, nose, skin folds."""

LEAST_RUN = 0.5
"""A thin part is furniture when it runs through at least this share of the stack, as ears and fingers don't."""

LEAST_LENGTH_MM = 100.0
"""And at least this far, so that a short stack loses nothing."""


def without_furniture(mask: NDArray[np.bool_], geometry: Geometry) -> NDArray[np.bool_]:
    """``mask`` of a patient's tissue less the thin sheets that run along the stack: table and mattress covers.

    What touches the skin within ``REACH_MM`` stays, since no rule can part the two there.

    Args:
        mask: bool (ni, nj, nk), Fortran-ordered.
        geometry: its grid.

    Returns:
        a new mask, or ``mask`` itself when nothing was taken away. Peak: about 6 bytes a voxel.
    """
    rest = mask & ~_near_thick_parts(mask, geometry)
    numbered = components.label_components(rest)
    del rest
    runs = _slices_touched(numbered) * geometry.slice_step
    stack = mask.shape[2] * geometry.slice_step
    furniture = runs >= max(LEAST_RUN * stack, LEAST_LENGTH_MM)
    furniture[0] = False
    if not furniture.any():
        return mask
    less: NDArray[np.bool_] = mask & ~furniture[numbered]
    return less


def _near_thick_parts(mask: NDArray[np.bool_], geometry: Geometry) -> NDArray[np.bool_]:
    """Voxels within ``REACH_MM`` of a box of edge ``THIN_MM`` that ``mask`` fills at least by half."""
    from scipy import ndimage

    edge = [max(1, round(THIN_MM / spacing)) for spacing in geometry.spacing]
    whole = [-(-n // e) for n, e in zip(mask.shape, edge, strict=True)]
    filled = np.zeros(whole, np.float32)
    for k in range(mask.shape[2]):
        padded = np.zeros((whole[0] * edge[0], whole[1] * edge[1]), np.float32)
        padded[: mask.shape[0], : mask.shape[1]] = mask[:, :, k]
        filled[:, :, k // edge[2]] += padded.reshape(whole[0], edge[0], whole[1], edge[1]).sum(axis=(1, 3))
    thick = filled >= np.prod(edge) / 2
    reach = np.max([REACH_MM / (e * s) for e, s in zip(edge, geometry.spacing, strict=True)])
    near = ndimage.binary_dilation(thick, iterations=max(1, round(reach)))
    for axis in range(3):
        near = np.repeat(near, edge[axis], axis=axis)
    cropped: NDArray[np.bool_] = near[tuple(slice(0, n) for n in mask.shape)]
    return cropped


def _slices_touched(numbered: NDArray[np.integer]) -> NDArray[np.int64]:
    """For each component, in how many slices it has voxels."""
    touched = np.zeros(int(numbered.max()) + 1, np.int64)
    for k in range(numbered.shape[2]):
        touched[np.unique(numbered[:, :, k])] += 1
    return touched

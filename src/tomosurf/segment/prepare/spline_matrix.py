"""Resizing an image along its axes, one matrix each: exactly what scikit-image's ``resize`` computes.

``resize`` (mode "edge", no smoothing) fits a spline through all voxels and reads it at new places. Both are
linear in the voxels and go axis by axis, so one small matrix an axis says all of it, and three products of
matrices, which every processor is made for, take the place of a walk over the voxels with 64 spline terms at
each. The matrices come from SciPy's own routine, one unit vector at a time, and so share its treatment of the
ends.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

AT_ONCE = 1 << 22
"""Voxels that are multiplied at a time: bounds what the products copy."""

ORDERS = {"nearest": 0, "linear": 1, "cubic": 3}


def matrix(before: int, after: int, order: int) -> torch.Tensor:
    """(after, before) float32: ``before`` voxels in a row to ``after`` that fill the same length.

    Splines of ``order`` 0 to 5, the border voxel repeated beyond the ends.
    """
    from scipy import ndimage

    columns = np.empty((after, before), np.float32)
    unit = np.zeros(before)
    for n in range(before):
        unit[n] = 1
        columns[:, n] = ndimage.zoom(unit, after / before, order=order, mode="nearest", grid_mode=True)
        unit[n] = 0
    return torch.from_numpy(columns)


def nearest_places(before: int, after: int) -> NDArray[np.int64]:
    """For each of ``after`` voxels the nearest of ``before`` in the same length; of two the later."""
    places = (np.arange(after) + 0.5) * (float(before) / after) - 0.5
    nearest: NDArray[np.int64] = np.floor(places + 0.5).astype(np.int64).clip(0, before - 1)
    return nearest


def resized(
    image: torch.Tensor, shape: Sequence[int], order: int, planes_of: int | None = None
) -> torch.Tensor:
    """``image`` (x, y, z) float32 with another number of voxels in the same box, within its own range of values.

    With ``planes_of`` an axis, each plane across it is resized by itself, and the nearest plane is taken along
    it. Cubic splines overshoot at edges: what leaves the range of the image (of the plane) is clipped to it.
    Memory: the result, and once between both images; further slabs of ``AT_ONCE`` voxels.
    """
    across = [axis for axis in range(3) if axis != planes_of]
    low, high = image.amin(dim=across, keepdim=True), image.amax(dim=across, keepdim=True)
    weights = [
        None
        if axis == planes_of or image.shape[axis] == shape[axis]
        else matrix(image.shape[axis], shape[axis], order)
        for axis in range(3)
    ]
    # the first axis first where it gets shorter: less is left for the others
    turns = (_first_axis, _other_axes) if shape[0] < image.shape[0] else (_other_axes, _first_axis)
    result = image
    for turn in turns:
        result = turn(result, weights)
    if result is not image:
        result = torch.clamp(result, low, high, out=result)
    if planes_of is not None and image.shape[planes_of] != shape[planes_of]:
        places = nearest_places(image.shape[planes_of], shape[planes_of])
        result = result.index_select(planes_of, torch.from_numpy(places))
    return result


def _first_axis(image: torch.Tensor, weights: Sequence[torch.Tensor | None]) -> torch.Tensor:
    if weights[0] is None:
        return image
    return (weights[0] @ image.reshape(image.shape[0], -1)).reshape(-1, *image.shape[1:])


def _other_axes(image: torch.Tensor, weights: Sequence[torch.Tensor | None]) -> torch.Tensor:
    """Some planes at a time: products of matrices copy what they multiply."""
    _, second, third = weights
    if second is None and third is None:
        return image
    y = image.shape[1] if second is None else second.shape[0]
    z = image.shape[2] if third is None else third.shape[0]
    result = image.new_empty((image.shape[0], y, z))
    planes = max(1, AT_ONCE // max(image.shape[1] * image.shape[2], y * z))
    for start in range(0, image.shape[0], planes):
        part = image[start : start + planes]
        if second is not None:
            part = torch.matmul(second, part)
        if third is not None:
            part = torch.matmul(part, third.T)
        result[start : start + planes] = part
    return result

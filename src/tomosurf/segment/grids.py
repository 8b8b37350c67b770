"""From one grid to another: exactly where only axes turn, trilinear elsewhere."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from tomosurf.data.geometry import Geometry

TURN_TOLERANCE = 1e-3
"""Largest distance in voxels, at any corner, at which two grids still share their voxel centres."""

ANISOTROPIC = 3.0
"""Ratio of the largest to the smallest spacing above which slices are thick (nnU-Net's threshold)."""

SLAB_VOXELS = 1 << 22
"""Voxels that are resampled at a time: bounds the memory of the coordinates (12 bytes each)."""


def turn(source: Geometry, target: Geometry) -> tuple[tuple[int, ...], tuple[bool, ...]] | None:
    """How ``target`` is ``source`` with axes permuted and flipped; None when it isn't.

    For each axis of the target: the axis of the source, and whether it runs backwards.
    """
    index_map = np.linalg.solve(source.affine, target.affine)
    steps = np.rint(index_map[:3, :3])
    axes = tuple(int(axis) for axis in np.abs(steps).argmax(axis=0))
    if sorted(axes) != [0, 1, 2] or np.abs(steps).sum() != 3:
        return None
    if target.shape != tuple(source.shape[axis] for axis in axes):
        return None
    flips = tuple(bool(steps[axis, n] < 0) for n, axis in enumerate(axes))
    start = np.zeros(3)
    for axis, flipped in zip(axes, flips, strict=True):
        start[axis] = source.shape[axis] - 1 if flipped else 0
    expected = Geometry(target.shape, source.affine @ _homogeneous(steps, start)).corners()
    off = np.abs(source.to_index(target.corners()) - source.to_index(expected)).max()
    return (axes, flips) if off <= TURN_TOLERANCE else None


def turned(array: NDArray[Any], turn: tuple[tuple[int, ...], tuple[bool, ...]]) -> NDArray[Any]:
    """A view of ``array``, given on the source grid, on the target grid of a :func:`turn`."""
    axes, flips = turn
    view = array.transpose(axes)
    return view[tuple(slice(None, None, -1 if flipped else 1) for flipped in flips)]


def resample(
    channels: torch.Tensor,
    source: Geometry,
    target: Geometry,
    mode: Literal["bilinear", "nearest"] = "bilinear",
    beyond: Literal["border", "zeros"] | None = None,
) -> torch.Tensor:
    """Values of ``channels`` (c, *source.shape) at the voxel centres of ``target``: (c, *target.shape).

    "bilinear" is trilinear in three dimensions and repeats the border voxel beyond the outermost centres;
    "nearest" gives 0 outside the voxels' box; ``beyond`` overrules either. Any two affines do, shear included.
    There is no low-pass filter before a step down in resolution: networks are trained on images made in the
    same way.
    Extra memory: 12 bytes for each of ``SLAB_VOXELS`` voxels.
    """
    index_map = np.linalg.solve(source.affine, target.affine).astype(np.float64, copy=False)
    output = channels.new_empty((channels.shape[0], *target.shape))
    depth = max(1, SLAB_VOXELS // (target.shape[0] * target.shape[1]))
    for start in range(0, target.shape[2], depth):
        slab = slice(start, min(start + depth, target.shape[2]))
        places = _coordinates(index_map, source.shape, target.shape, slab).to(channels.device)
        output[..., slab] = torch.nn.functional.grid_sample(
            channels[None],
            places[None],
            mode=mode,
            padding_mode=beyond or ("border" if mode == "bilinear" else "zeros"),
            align_corners=False,
        )[0]
    return output


def _coordinates(
    index_map: NDArray[np.float64], source: tuple[int, ...], target: tuple[int, ...], slab: slice
) -> torch.Tensor:
    """(ni, nj, depth, 3) float32: a slab's voxels in the source, in grid_sample's units and order."""
    size = torch.tensor(source, dtype=torch.float64)
    scaled = torch.from_numpy(index_map[:3, :3]) * 2 / size[:, None]
    offset = (2 * torch.from_numpy(index_map[:3, 3]) + 1) / size - 1
    i, j, k = (
        torch.arange(first, last, dtype=torch.float64)
        for first, last in ((0, target[0]), (0, target[1]), (slab.start, slab.stop))
    )
    parts = [
        (scaled[axis, 0] * i)[:, None, None]
        + (scaled[axis, 1] * j)[None, :, None]
        + ((scaled[axis, 2] * k)[None, None, :] + offset[axis])
        for axis in (2, 1, 0)
    ]
    return torch.stack([part.to(torch.float32) for part in parts], dim=-1)


def _homogeneous(matrix: NDArray[np.float64], offset: NDArray[np.float64]) -> NDArray[np.float64]:
    result = np.eye(4)
    result[:3, :3] = matrix
    result[:3, 3] = offset
    return result


def thick_axis(spacing: tuple[float, float, float], other: tuple[float, float, float]) -> int | None:
    """The axis of thick slices by nnU-Net's rule, or None: along it the nearest slice is taken, no mean of two.

    The first of two grids, whose axes run alike, that has a spacing more than ``ANISOTROPIC`` times its
    smallest decides; its coarsest axis is the one, unless two are equally coarse.

    Reference: nnunetv2, preprocessing/resampling/default_resampling.py, determine_do_sep_z_and_axis.
    """
    for own in (spacing, other):
        if max(own) / min(own) > ANISOTROPIC:
            coarsest = [axis for axis, step in enumerate(own) if max(own) / step < 1 + 1e-9]
            return coarsest[0] if len(coarsest) == 1 else None
    return None

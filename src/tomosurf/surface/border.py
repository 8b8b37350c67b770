"""Closing a field where its grid ends, and telling the end of the image from a careless crop."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.geometry import Geometry
from tomosurf.data.segmentation import Margin
from tomosurf.errors import DataError

BORDER_TOLERANCE = 1e-3
"""How far a step off a margin's grid must at least leave the volume's voxel centres, in voxels."""


def padded(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """A Fortran-ordered copy with one voxel more on every side, so far undefined; see :func:`close`.

    A margin's zero is outside, as in the label map, but flying edges take it for inside: it becomes the
    smallest negative number.
    """
    field = np.empty(tuple(n + 2 for n in values.shape), np.float32, order="F")
    inner = field[1:-1, 1:-1, 1:-1]
    inner[...] = values
    inner[inner == 0] = -np.finfo(np.float32).tiny
    return field


def close(field: NDArray[np.float32]) -> None:
    """Fill the outermost layer of ``field`` in place, so that its zero level is closed.

    Each value is minus the magnitude of the voxel next to it. The surface of what is inside at the border
    so ends halfway, on the outer face of the border voxels, and the mesh encloses the volume that the
    voxels fill.
    """
    for axis in range(3):
        layers = np.moveaxis(field, axis, 0)
        for layer, neighbour in ((0, 1), (-1, -2)):
            layers[layer] = -np.abs(layers[neighbour])


def beyond(points: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """1 for each of the (n, 3) index points that lies outside the outermost voxel centres, else 0."""
    last = np.array(shape, np.float32) - 1
    outside: NDArray[np.bool_] = np.any((points < 0) | (points > last), axis=1)
    return outside.view(np.uint8)


def refuse_cut(margin: Margin, volume: Geometry, name: str, tolerance: float = BORDER_TOLERANCE) -> None:
    """Refuse a margin whose grid ends within its own structure although the volume goes on.

    A voxel that is inside may lie in the margin's outermost layer only where the image ends too: one step
    of the margin's grid outwards must leave the box of the volume's voxel centres, by ``tolerance`` voxels
    of the volume.

    Raises:
        DataError: it doesn't, and the surface would be cut flat there.
    """
    last = np.array(volume.shape) - 1
    for axis in range(3):
        for end, step in ((0, -1), (margin.geometry.shape[axis] - 1, 1)):
            inside = np.argwhere(np.moveaxis(margin.values, axis, 0)[end] > 0)
            if not len(inside):
                continue
            steps_out = np.insert(inside, axis, end + step, axis=1)
            outward = volume.to_index(margin.geometry.to_world(steps_out))
            if ((outward >= -tolerance) & (outward <= last + tolerance)).all(axis=1).any():
                raise DataError(
                    f"the margin of {name!r} ends within the structure although the volume goes on "
                    f"(axis {'ijk'[axis]}, index {end}); crop margins with a voxel of outside around them"
                )

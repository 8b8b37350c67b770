"""Telling the end of the image from a careless crop."""

from __future__ import annotations

import numpy as np

from tomosurf.data.geometry import Geometry
from tomosurf.data.segmentation import Margin
from tomosurf.errors import DataError

BORDER_TOLERANCE = 1e-3
"""How far a step off a margin's grid must at least leave the volume's voxel centres, in voxels."""


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

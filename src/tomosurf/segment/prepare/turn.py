"""Axes permuted and flipped, voxels left alone."""

from __future__ import annotations

import numpy as np

from tomosurf.data.geometry import Geometry
from tomosurf.errors import DataError
from tomosurf.segment.grids import turn, turned
from tomosurf.segment.prepare.prepared import Prepared


def turn_to(state: Prepared, grid: Geometry) -> Prepared:
    """The same voxels on ``grid``, which must share their centres.

    Raises:
        DataError: it doesn't; the image's geometry is no stack of slices.
    """
    same = turn(state.grid, grid)
    if same is None:
        raise DataError("the image's axes can't be told apart; its geometry is no stack of slices")
    axes, flips = same
    image = turned(state.image, ((0, *(1 + axis for axis in axes)), (False, *flips)))  # a view
    measured = None if state.measured is None else np.ascontiguousarray(turned(state.measured, same))
    a, b, c = (
        state.padding[axis][::-1] if flipped else state.padding[axis]
        for axis, flipped in zip(*same, strict=True)
    )
    earlier = None if state.earlier is None else turned(state.earlier, same)
    return Prepared(image, grid, measured, (a, b, c), earlier)

"""A surface as contours in the lattice's planes: which crossings come before and after each."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from tomosurf.surface.columns import Grid, number_of

Links = NDArray[np.int32]
"""(n, 4). A crossing along axis a lies on a contour in each of the two lattice planes that hold a. Columns 0 and 1
are its neighbours on the one that goes along the first other axis, on that axis' lower and upper side, columns 2
and 3 those on the second. ``4 * number + column``: the neighbour, and the column of its own by which the contour
goes on from there; -1 where a contour ends."""


def contours_of(grid: Grid, held: NDArray[np.bool_]) -> Links:
    """For each crossing its neighbours on the two contours that it lies on.

    Contours run as surfaces do (:mod:`tomosurf.surface.cases`): where two labels alternate around a face the
    larger one's corners are cut off. They end at the lattice's end, at crossings that are ``held`` ((n,)), and
    where three labels meet; but background's border goes straight on there, since outer surfaces are smooth where
    two structures meet beneath them.
    """
    links = np.full((len(grid.starts), 4), -1, np.int32)
    _link(grid, held, links)
    return links


@numba.njit(parallel=True, cache=True)
def _link(grid: Grid, held: NDArray[np.bool_], links: Links) -> None:
    """Fill ``links``, which are -1. Each pair is looked for once, from one of the two, and noted at both."""
    labels, shape, rows = grid.labels, grid.shape, grid.rows
    strides = (1, shape[0], shape[0] * shape[1])
    second, third = rows[1, 0], rows[2, 0]
    for c in numba.prange(len(grid.starts)):
        p = grid.starts[c]
        axis = int(c >= second) + int(c >= third)
        index = (p % shape[0], (p // shape[0]) % shape[1], p // strides[2])
        for way in range(4):
            across = way // 2 + int(way // 2 >= axis)
            step = 2 * (way % 2) - 1
            if held[c] or not 0 <= index[across] + step < shape[across]:
                continue
            side = onward_side(labels, p, strides[axis], step * strides[across])
            # what lies behind is met from there, but around the far corner of a face; a corner from either side
            if side < 0 or (step < 0 and side != 2) or (side == 1 + int(step < 0) and axis > across):
                continue
            if side == 0:
                found, leaving = number_of(grid, rows[axis], p + step * strides[across]), way
            else:
                corner = p + (side - 1) * strides[axis]
                found = number_of(grid, rows[across], min(corner, corner + step * strides[across]))
                leaving = 2 * (axis - int(axis > across)) + side - 1
            if not held[found]:
                links[c, way] = 4 * found + leaving
                links[found, leaving ^ 1] = 4 * c + (way ^ 1)


@numba.njit(cache=True, inline="always")
def onward_side(labels: NDArray[np.integer[Any]], p: int, up: int, aside: int) -> int:
    """Where the contour through the edge from ``p`` to ``p + up`` leaves the face towards ``p + aside``.

    0: across the face; 1, 2: over the edge aside from the lower, the upper end; -1: nowhere, it ends.
    """
    lower, upper = labels[p], labels[p + up]
    below, above = labels[p + aside], labels[p + aside + up]
    if lower == 0 or upper == 0:
        below_changed, above_changed = (below > 0) != (lower > 0), (above > 0) != (upper > 0)
    else:
        if below not in (lower, upper) or above not in (lower, upper):
            return -1
        below_changed, above_changed = below != lower, above != upper
    if below_changed and above_changed:
        return 1 if lower > upper else 2
    if below_changed:
        return 1
    return 2 if above_changed else 0

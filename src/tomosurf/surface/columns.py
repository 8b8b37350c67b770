"""A wall as a height over two axes of the lattice: which crossing goes on from which, one column further."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from tomosurf.surface.crossings import Crossings

STEEPEST = 3.0
"""Steepest slope (mm a mm) along which a wall is followed from one column to the next."""

_IN_TURN = 1024
"""How many crossings are taken in turn: what each looks for most often follows what the last one found."""


class Grid(NamedTuple):
    """A label map and its crossings, as kernels take them."""

    labels: NDArray[np.integer[Any]]
    """Flat, i fastest."""
    shape: NDArray[np.int64]
    starts: NDArray[np.int64]
    """Of the crossings along one axis, or of those along all in turn."""
    rows: NDArray[np.int64]
    """Where each row's crossings begin in ``starts``; one line an axis where they hold all."""


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """For the crossings along one axis, the same wall's crossings in the neighbouring columns.

    Crossings are taken column by column: what a wall's smoothing reads then lies near by, whichever the axis.

    Args:
        axis: along which the columns run; the wall's height is measured along it.
        across: the two other axes, ascending.
        order: (n,) int32, which of :class:`Crossings`' along the axis each is.
        starts: (n,) int64, as there.
        onward: (4, n) int32; for each crossing the number of the one that continues its wall one column back and
            one forth along the first other axis, then along the second; -1 where the wall ends.
    """

    axis: int
    across: tuple[int, int]
    order: NDArray[np.int32]
    starts: NDArray[np.int64]
    onward: NDArray[np.int32]


def columns_of(
    labels: NDArray[np.integer[Any]], crossings: Crossings, axis: int, spacing: tuple[float, float, float]
) -> Columns:
    """Follow every wall of ``labels`` ((ni, nj, nk), Fortran-ordered) from column to column along ``axis``.

    A crossing between labels a (below) and b goes on where, in the neighbouring column, either a ends or b begins
    nearest by; beyond a junction a wall is so continued by the boundary of whichever of its two labels goes on.
    Spacing in mm bounds the search, see :data:`STEEPEST`.
    """
    first, second = (a for a in range(3) if a != axis)
    reach = [max(1, int(np.ceil(STEEPEST * spacing[a] / spacing[axis] - 0.5))) for a in (first, second)]
    starts = crossings.starts[axis]
    onward = np.empty((4, len(starts)), np.int32)
    rows = crossings.rows[axis]
    grid = Grid(labels.reshape(-1, order="F"), np.array(crossings.shape), starts, rows - rows[0])
    order, place = _by_column(starts, crossings.shape, axis)
    _follow(grid, np.array([axis, first, second]), np.array(reach), place, onward)
    return Columns(axis, (first, second), order, starts[order], onward)


@numba.njit(cache=True)
def _by_column(
    starts: NDArray[np.int64], shape: tuple[int, int, int], axis: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Crossings in the order of their columns, and the place of each in it."""
    ni, nj, nk = shape
    columns = np.empty(len(starts), np.int32)
    for c in range(len(starts)):
        row = starts[c] // ni
        i, j, k = starts[c] - row * ni, row % nj, row // nj
        columns[c] = j + nj * k if axis == 0 else (i + ni * k if axis == 1 else i + ni * j)
    firsts = np.zeros((nj * nk, ni * nk, ni * nj)[axis] + 1, np.int32)
    for column in columns:
        firsts[column + 1] += 1
    for after in range(1, len(firsts)):
        firsts[after] += firsts[after - 1]
    order, place = np.empty_like(columns), np.empty_like(columns)
    for c in range(len(starts)):
        place[c] = firsts[columns[c]]
        order[place[c]] = c
        firsts[columns[c]] += 1
    return order, place


@numba.njit(cache=True, inline="always")
def number_of(grid: Grid, rows: NDArray[np.int64], place: int) -> int:
    """The number of the crossing that starts at flat index ``place`` along the axis of ``rows``, or -1."""
    row = place // grid.shape[0]
    low, high = rows[row], rows[row + 1]
    while high - low > 8:
        middle = (low + high) >> 1
        if grid.starts[middle] <= place:
            low = middle
        else:
            high = middle
    for at in range(low, high):
        if grid.starts[at] == place:
            return at
    return -1


@numba.njit(cache=True, inline="always")
def _number_next(grid: Grid, place: int, nexts: NDArray[np.int64], way: int) -> int:
    """As :func:`number_of`, for one that there is; the one after the last, ``nexts[way]``, is tried first."""
    number: int = nexts[way]
    if number >= len(grid.starts) or grid.starts[number] != place:
        number = number_of(grid, grid.rows, place)
    nexts[way] = number + 1
    return number


@numba.njit(parallel=True, cache=True)
def _follow(
    grid: Grid,
    axes: NDArray[np.int64],
    reach: NDArray[np.int64],
    place: NDArray[np.int32],
    onward: NDArray[np.int32],
) -> None:
    labels, shape = grid.labels, grid.shape
    strides = (1, shape[0], shape[0] * shape[1])
    up = strides[axes[0]]
    for share in numba.prange(-(-len(grid.starts) // _IN_TURN)):
        nexts = np.zeros(4, np.int64)
        for c in range(share * _IN_TURN, min((share + 1) * _IN_TURN, len(grid.starts))):
            p = grid.starts[c]
            pair = (labels[p], labels[p + up])
            index = (p % shape[0], (p // shape[0]) % shape[1], p // strides[2])
            height = index[axes[0]]
            for way in range(4):
                axis = axes[1 + way // 2]
                step = 2 * (way % 2) - 1
                found = -1
                if 0 <= index[axis] + step < shape[axis]:
                    fall = min(reach[way // 2], height)
                    rise = min(reach[way // 2], shape[axes[0]] - 2 - height)
                    found = _beside(labels, p + step * strides[axis], up, pair, (fall, rise))
                    if found >= 0:
                        found = place[_number_next(grid, found, nexts, way)]
                onward[way, place[c]] = found


@numba.njit(cache=True, inline="always")
def _beside(
    labels: NDArray[np.integer[Any]], p: int, up: int, pair: tuple[int, int], room: tuple[int, int]
) -> int:
    """Flat index of the lower end of the nearest crossing that ends a or begins b, or -1.

    ``room`` says how many voxels may be looked at downwards and upwards.
    """
    a, b = pair
    below, above = labels[p], labels[p + up]
    if below == a:
        if above != a:
            return p
        for step in range(1, room[1] + 1):
            if labels[p + (step + 1) * up] != a:
                return p + step * up
    elif above == b:
        if below != b:
            return p
        for step in range(1, room[0] + 1):
            if labels[p - step * up] != b:
                return p - step * up
    return -1

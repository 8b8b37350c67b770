"""The points of a triangulation that lie on no edge of the lattice: where three labels or more meet.

Each belongs to a cube and has a key, ``8 * place + n``: ``place`` is the cube's flat index, n is twice the axis of
the lower face that a junction lies on, plus 1 for the second junction there, or :data:`APEX`. Between which other
points it lies depends on the labels alone, and is found once.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from tomosurf.surface.cases import Cube
from tomosurf.surface.columns import Grid, number_of
from tomosurf.surface.junctions import Ints, cut_corners, junction_count, lies_between

Floats = NDArray[np.float64]

APEX = 7
"""The last of the eight keys of a cube's own points: junctions of its three lower faces, and its apex."""

CLEAR = 0.05
"""Least distance of an apex from its cube's faces where junctions say where it lies, in steps."""

AMID, BESIDE, WITHIN = 0, 1, 2
"""How a point lies between others: in their middle; on the line through two, as near to a third as can be, but not
too near their ends; in their middle, but :data:`CLEAR` of its cube's faces."""

MOST_BETWEEN = 14
"""Between how many others a point can lie: an apex between two junctions and all crossings of its cube."""

_TOGETHER = 256
"""How many points are taken with the same scratch arrays."""


class Meeting(NamedTuple):
    """Where these points lie, by the numbers of other points; those of the crossings come first, then these."""

    keys: Ints
    """(m,) ascending."""
    between: NDArray[np.int32]
    """(m, :data:`MOST_BETWEEN`), at the end -1; an apex' last are all its cube's junctions, as nodes ascend."""
    how: NDArray[np.uint8]
    """(m,)"""
    turns: tuple[Ints, Ints]
    """Which of them are junctions, and which apexes, that lie between those."""


def meeting_of(grid: Grid, cube: Cube, keys: Ints) -> Meeting:
    """Between which others the points with these ``keys`` lie.

    A junction lies between its face's crossings (:func:`tomosurf.surface.junctions.lies_between`). An apex is the
    middle of its cube's junctions, so that the line where three labels meet runs on smoothly; of all nodes if that
    isn't inside.
    """
    between, how = np.full((len(keys), MOST_BETWEEN), -1, np.int32), np.empty(len(keys), np.uint8)
    _name(grid, cube, keys, between, how)
    apexes = keys % 8 == APEX
    return Meeting(keys, between, how, (np.flatnonzero(~apexes), np.flatnonzero(apexes)))


def place_meeting(meeting: Meeting, shape: tuple[int, int], points: Floats) -> None:
    """Place these points, the last of ``points`` ((n, 3) in index space), in place.

    ``shape``: the lattice's along i and j.
    """
    for some in meeting.turns:
        _place(meeting.keys, meeting.between, meeting.how, some, shape, points)


def average_meeting(meeting: Meeting, values: NDArray[np.float32]) -> None:
    """Give these points, the last of ``values`` ((n,)), the means of those that they lie between, in place."""
    for some in meeting.turns:
        _average(meeting.between, some, values)


@numba.njit(cache=True)
def count_between(between: NDArray[np.int32]) -> int:
    """How many others a point lies between, from its row of :attr:`Meeting.between`."""
    count: int = 0
    while count < len(between) and between[count] >= 0:
        count += 1
    return count


@numba.njit(parallel=True, cache=True)
def _place(
    keys: Ints,
    between: NDArray[np.int32],
    how: NDArray[np.uint8],
    some: Ints,
    shape: tuple[int, int],
    points: Floats,
) -> None:
    ni, nj = shape
    first = len(points) - len(keys)
    for n in numba.prange(len(some)):
        at = some[n]
        if how[at] == BESIDE:
            _beside(points, between[at], first + at)
            continue
        count = count_between(between[at])
        row = keys[at] // 8 // ni
        lows = (keys[at] // 8 - row * ni, row % nj, row // nj)
        for axis in range(3):
            total = 0.0
            for other in range(count):
                total += points[between[at, other], axis]
            middle = total / count
            if how[at] == WITHIN:
                middle = min(max(middle, lows[axis] + CLEAR), lows[axis] + 1 - CLEAR)
            points[first + at, axis] = middle


@numba.njit(parallel=True, cache=True)
def _average(between: NDArray[np.int32], some: Ints, values: NDArray[np.float32]) -> None:
    first = len(values) - len(between)
    for n in numba.prange(len(some)):
        at = some[n]
        count, total = count_between(between[at]), 0.0
        for other in range(count):
            total += values[between[at, other]]
        values[first + at] = total / count


@numba.njit(cache=True)
def _beside(points: Floats, between: NDArray[np.int32], place: int) -> None:
    """The point of a border between two crossings that is nearest to a third, not too near its ends."""
    start, stop, arm = between[0], between[1], between[2]
    ahead, length = 0.0, 0.0
    for axis in range(3):
        along = points[stop, axis] - points[start, axis]
        ahead += (points[arm, axis] - points[start, axis]) * along
        length += along * along
    fraction = min(max(ahead / length, 0.1), 0.9)
    for axis in range(3):
        points[place, axis] = points[start, axis] + (points[stop, axis] - points[start, axis]) * fraction


@numba.njit(parallel=True, cache=True)
def _name(grid: Grid, cube: Cube, keys: Ints, between: NDArray[np.int32], how: NDArray[np.uint8]) -> None:
    for share in numba.prange(-(-len(keys) // _TOGETHER)):
        own, edges = np.empty(16, np.int64), np.empty(4, np.int64)
        near = np.full(12, share * _TOGETHER)
        for n in range(share * _TOGETHER, min((share + 1) * _TOGETHER, len(keys))):
            place = keys[n] // 8
            ni, nij = grid.shape[0], grid.shape[0] * grid.shape[1]
            for corner in range(8):
                own[corner] = grid.labels[place + (corner & 1) + ni * (corner >> 1 & 1) + nij * (corner >> 2)]
            if keys[n] % 8 != APEX:
                how[n] = _name_junction(grid, cube, keys[n], own, edges, between[n])
            else:
                cut_corners(own, cube, own[8:])
                some = _junctions(grid, cube, keys, place, own, near)
                how[n] = _name_apex(grid, cube, (place, some), own, near, between[n])


@numba.njit(cache=True)
def _name_junction(
    grid: Grid, cube: Cube, key: int, own: Ints, edges: Ints, between: NDArray[np.int32]
) -> int:
    face = key % 8 // 2 * 2
    count = lies_between(own, cube.face_corners[face], key % 2, edges)
    for n in range(abs(count)):
        between[n] = _edge(grid, cube, key // 8, cube.face_edges[face, edges[n]])
    return BESIDE if count < 0 else AMID


@numba.njit(cache=True)
def _junctions(grid: Grid, cube: Cube, keys: Ints, place: int, own: Ints, near: Ints) -> int:
    """Which junctions a cube has, as bits, and where each is among the ``keys``, in ``near`` ((12,)).

    ``own``: the cube's labels without the corners that are cut off. ``near`` is where they are looked for first.
    """
    steps = (1, grid.shape[0], grid.shape[0] * grid.shape[1])
    some: int = 0
    for face in range(6):
        lower = 8 * (place + steps[face // 2] * (face % 2)) + face // 2 * 2
        for which in range(junction_count(own, face, cube)):
            node = 2 * face + which
            near[node] = _key_near(keys, lower + which, near[node])
            some |= 1 << node
    return some


@numba.njit(cache=True)
def _name_apex(
    grid: Grid, cube: Cube, around: tuple[int, int], own: Ints, near: Ints, between: NDArray[np.int32]
) -> int:
    """``around``: the cube's place and its :func:`_junctions`, which are in ``near``."""
    place, some = around
    faces = (some | some >> 1) & 0b010101010101
    within = faces & (faces - 1) > 0
    count = 0
    for edge in range(0 if within else 12):
        if own[cube.ends[edge, 0]] != own[cube.ends[edge, 1]]:
            between[count] = _edge(grid, cube, place, edge)
            count += 1
    for node in range(12):
        if some >> node & 1:
            between[count] = len(grid.starts) + near[node]
            count += 1
    return WITHIN if within else AMID


@numba.njit(cache=True)
def _edge(grid: Grid, cube: Cube, place: int, edge: int) -> int:
    """The number of the crossing on a cube's edge."""
    low = cube.ends[edge, 0]
    start = place + (low & 1) + grid.shape[0] * ((low >> 1 & 1) + grid.shape[1] * (low >> 2))
    found: int = number_of(grid, grid.rows[edge // 4], start)
    return found


@numba.njit(cache=True)
def _key_near(keys: Ints, key: int, at: int) -> int:
    """Where ``key`` is among ascending ``keys``, looked for from ``at`` on in growing steps."""
    step: int = 1
    if keys[at] < key:
        while at + step < len(keys) and keys[at + step] < key:
            step *= 2
        low, high = at + step // 2, min(at + step, len(keys) - 1)
    else:
        while at - step >= 0 and keys[at - step] > key:
            step *= 2
        low, high = max(at - step, 0), at - step // 2
    while low < high:
        middle = (low + high) // 2
        if keys[middle] < key:
            low = middle + 1
        else:
            high = middle
    return low

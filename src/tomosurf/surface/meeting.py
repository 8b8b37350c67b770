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
from tomosurf.surface.junctions import MOST_WALLS, Ints, cut_corners, draw, lies_between

Floats = NDArray[np.float64]

APEX = 7
"""The last of the eight keys of a cube's own points: junctions of its three lower faces, and its apex."""

CLEAR = 0.05
"""Least distance of an apex from its cube's faces where junctions say where it lies, in steps."""

AMID, BESIDE, WITHIN = 0, 1, 2
"""How a point lies between others: in their middle; on the line through two, as near to a third as can be, but not
too near their ends; in their middle, but :data:`CLEAR` of its cube's faces."""

_TOGETHER = 256
"""How many points are taken with the same scratch arrays."""


class Meeting(NamedTuple):
    """Where these points lie, by the numbers of other points; those of the crossings come first, then these."""

    keys: Ints
    """(m,) ascending."""
    between: NDArray[np.int32]
    """(m, 24), at the end -1: an apex may have all of its cube's nodes around it."""
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
    between, how = np.full((len(keys), 24), -1, np.int32), np.empty(len(keys), np.uint8)
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
def _count(between: NDArray[np.int32]) -> int:
    """How many others a point lies between."""
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
        count = _count(between[at])
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
        count, total = _count(between[at]), 0.0
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
        own, nodes, edges = np.empty(16, np.int64), np.empty(24, np.int64), np.empty(4, np.int64)
        walls = np.empty((MOST_WALLS, 4), np.int64)
        for n in range(share * _TOGETHER, min((share + 1) * _TOGETHER, len(keys))):
            place = keys[n] // 8
            ni, nij = grid.shape[0], grid.shape[0] * grid.shape[1]
            for corner in range(8):
                own[corner] = grid.labels[place + (corner & 1) + ni * (corner >> 1 & 1) + nij * (corner >> 2)]
            if keys[n] % 8 != APEX:
                how[n] = _name_junction(grid, cube, keys[n], own, edges, between[n])
                continue
            cut_corners(own, cube, own[8:])
            nodes[:] = -1
            for wall in range(draw(own, cube, walls)):
                nodes[walls[wall, 0]] = nodes[walls[wall, 1]] = 0
            junction_nodes(keys, (grid.shape[0], grid.shape[1]), len(grid.starts), n, nodes)
            how[n] = _name_apex(grid, cube, place, nodes, between[n])


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
def _name_apex(grid: Grid, cube: Cube, place: int, nodes: Ints, between: NDArray[np.int32]) -> int:
    """``nodes``: numbers of the cube's junctions that there are, 0 for its crossings, the others negative."""
    faces = 0
    for node in range(12, 24):
        if nodes[node] >= 0:
            faces |= 1 << (node - 12) // 2
    within = faces & (faces - 1) > 0
    count = 0
    for node in range(12 if within else 0, 24):
        if nodes[node] >= 0:
            between[count] = nodes[node] if node >= 12 else _edge(grid, cube, place, node)
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
def junction_nodes(keys: Ints, shape: tuple[int, int], crossings: int, at: int, nodes: Ints) -> None:
    """Find the numbers of a cube's junctions among all points, where ``nodes`` ((24,)) isn't negative.

    The cube's apex is ``at`` among the ``keys``, ``shape`` is the lattice's along i and j, ``crossings`` the number
    of points before those that have keys.
    """
    place = keys[at] // 8
    steps = (1, shape[0], shape[0] * shape[1])
    for node in range(12, 24):
        if nodes[node] >= 0:
            face, which = (node - 12) // 2, node % 2
            key = 8 * (place + steps[face // 2] * (face % 2)) + face // 2 * 2 + which
            nodes[node] = crossings + _key_near(keys, key, at)


@numba.njit(cache=True)
def find_key(keys: Ints, key: int) -> int:
    """Where ``key`` is among ascending ``keys``."""
    low: int = 0
    high = len(keys) - 1
    while low < high:
        middle = (low + high) // 2
        if keys[middle] < key:
            low = middle + 1
        else:
            high = middle
    return low


@numba.njit(cache=True)
def _key_near(keys: Ints, key: int, at: int) -> int:
    """The same, from ``at`` on in growing steps: most that is asked for is near by."""
    step: int = 1
    if keys[at] < key:
        while at + step < len(keys) and keys[at + step] < key:
            step *= 2
        low, high = at + step // 2, min(at + step, len(keys) - 1)
    else:
        while at - step >= 0 and keys[at - step] > key:
            step *= 2
        low, high = max(at - step, 0), at - step // 2
    found: int = low + find_key(keys[low : high + 1], key)
    return found

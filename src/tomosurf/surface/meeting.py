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
from tomosurf.surface.junctions import Ints, junction_count, lies_between

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
    junctions: NDArray[np.uint16]
    """(m,) of an apex, which junctions its cube has, as bits; 0 of a junction."""

    @staticmethod
    def room(count: int) -> Meeting:
        """For :func:`name_junction` and :func:`name_apex` to fill, and then :func:`join_apexes`."""
        return Meeting(
            np.empty(count, np.int64),
            np.full((count, MOST_BETWEEN), -1, np.int32),
            np.empty(count, np.uint8),
            np.zeros(count, np.uint16),
        )


@numba.njit(cache=True)
def name_junction(cube: Cube, own: Ints, edges: Ints, cut: Ints, meeting: Meeting, at: int) -> None:
    """Between which crossings the junction lies that is number ``at`` and has its key.

    See :func:`tomosurf.surface.junctions.lies_between`. ``edges``: the numbers of the crossings on its cube's
    edges; ``own``: the labels of its corners; ``cut`` is overwritten.
    """
    key = meeting.keys[at]
    face = key % 8 // 2 * 2
    count = lies_between(own, cube.face_corners[face], key % 2, cut)
    for n in range(abs(count)):
        meeting.between[at, n] = edges[cube.face_edges[face, cut[n]]]
    meeting.how[at] = BESIDE if count < 0 else AMID


@numba.njit(cache=True)
def name_apex(cube: Cube, own: Ints, edges: Ints, meeting: Meeting, at: int) -> None:
    """Between which crossings an apex lies, and which junctions its cube has; ``own``: labels less what is cut off.

    It is the middle of its cube's junctions, so that the line where three labels meet runs on smoothly; of all
    nodes if that isn't inside.
    """
    junctions = faces = 0
    for face in range(6):
        count = junction_count(own, face, cube)
        junctions |= ((1 << count) - 1) << 2 * face
        faces += count > 0
    meeting.junctions[at] = junctions
    meeting.how[at] = WITHIN if faces > 1 else AMID
    if faces > 1:
        return
    count = 0
    for edge in range(12):
        if own[cube.ends[edge, 0]] != own[cube.ends[edge, 1]]:
            meeting.between[at, count] = edges[edge]
            count += 1


def join_apexes(meeting: Meeting, shape: tuple[int, int], crossings: int) -> None:
    """Put the numbers of their cubes' junctions between which apexes lie, when all points have their keys.

    ``shape``: the lattice's along i and j. ``crossings``: the number of points that come before these.
    """
    _join(meeting.keys, meeting.junctions, shape, crossings, meeting.between)


def place_meeting(meeting: Meeting, shape: tuple[int, int], points: Floats) -> None:
    """Place these points, the last of ``points`` ((n, 3) in index space), in place.

    ``shape``: the lattice's along i and j.
    """
    for apexes in (False, True):
        _place(meeting.keys, meeting.between, meeting.how, apexes, shape, points)


def average_meeting(meeting: Meeting, values: NDArray[np.float32]) -> None:
    """Give these points, the last of ``values`` ((n,)), the means of those that they lie between, in place."""
    for apexes in (False, True):
        _average(meeting.keys, meeting.between, apexes, values)


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
    apexes: bool,
    shape: tuple[int, int],
    points: Floats,
) -> None:
    """Apexes lie between junctions, and come after them."""
    ni, nj = shape
    first = len(points) - len(keys)
    for at in numba.prange(len(keys)):
        if (keys[at] & 7 == APEX) != apexes:
            continue
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
def _average(keys: Ints, between: NDArray[np.int32], apexes: bool, values: NDArray[np.float32]) -> None:
    first = len(values) - len(between)
    for at in numba.prange(len(between)):
        if (keys[at] & 7 == APEX) != apexes:
            continue
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
def _join(
    keys: Ints,
    junctions: NDArray[np.uint16],
    shape: tuple[int, int],
    crossings: int,
    between: NDArray[np.int32],
) -> None:
    steps = (1, shape[0], shape[0] * shape[1])
    for share in numba.prange(-(-len(keys) // _TOGETHER)):
        near = np.full(12, share * _TOGETHER)
        for at in range(share * _TOGETHER, min((share + 1) * _TOGETHER, len(keys))):
            if junctions[at] == 0:
                continue
            count = count_between(between[at])
            for node in range(12):
                if junctions[at] >> node & 1:
                    key = keys[at] - APEX + 8 * steps[node // 4] * (node // 2 % 2) + node // 4 * 2 + node % 2
                    near[node] = _key_near(keys, key, near[node])
                    between[at, count] = crossings + near[node]
                    count += 1


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

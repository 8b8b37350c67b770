"""The points of a triangulation that lie on no edge of the lattice: where three labels or more meet.

Each belongs to a cube and has a key, ``8 * place + n``: ``place`` is the cube's flat index, n is twice the axis of
the lower face that a junction lies on, plus 1 for the second junction there, or :data:`APEX`.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from tomosurf.surface.cases import Cube
from tomosurf.surface.columns import Grid, number_of
from tomosurf.surface.junctions import MOST_WALLS, Ints, cut_corners, draw, place_junction

Floats = NDArray[np.float64]

APEX = 7
"""The last of the eight keys of a cube's own points: junctions of its three lower faces, and its apex."""

CLEAR = 0.05
"""Least distance of an apex from its cube's faces where junctions say where it lies, in steps."""


class Meeting(NamedTuple):
    """All points of a triangulation, those of the crossings first, and the keys of the others, ascending."""

    points: Floats
    """(n, 3) in index space."""
    values: NDArray[np.float32]
    keys: Ints


def place_meeting(grid: Grid, cube: Cube, meeting: Meeting) -> None:
    """Place the points that have a key, by the crossings around them; their values are means of those around.

    A junction lies where its face's crossings say (:func:`tomosurf.surface.junctions.place_junction`). An apex is
    the middle of its cube's junctions, so that the line where three labels meet runs on smoothly; of all nodes if
    that isn't inside.
    """
    _place_junctions(grid, cube, meeting)
    _place_apexes(grid, cube, meeting)


@numba.njit(parallel=True, cache=True)
def _place_junctions(grid: Grid, cube: Cube, meeting: Meeting) -> None:
    for n in numba.prange(len(meeting.keys)):
        if meeting.keys[n] % 8 != APEX:
            _join(grid, cube, np.int64(n), meeting)


@numba.njit(parallel=True, cache=True)
def _place_apexes(grid: Grid, cube: Cube, meeting: Meeting) -> None:
    for n in numba.prange(len(meeting.keys)):
        if meeting.keys[n] % 8 == APEX:
            _top(grid, cube, np.int64(n), meeting)


@numba.njit(cache=True)
def _corners(grid: Grid, place: int) -> Ints:
    """The labels of a cube's corners."""
    ni, nij = grid.shape[0], grid.shape[0] * grid.shape[1]
    own = np.empty(8, np.int64)
    for n in range(8):
        own[n] = grid.labels[place + (n & 1) + ni * (n >> 1 & 1) + nij * (n >> 2)]
    return own


@numba.njit(cache=True)
def _edge(grid: Grid, cube: Cube, place: int, edge: int) -> int:
    """The number of the crossing on a cube's edge."""
    low = cube.ends[edge, 0]
    start = place + (low & 1) + grid.shape[0] * ((low >> 1 & 1) + grid.shape[1] * (low >> 2))
    found: int = number_of(grid, grid.rows[edge // 4], start)
    return found


@numba.njit(cache=True)
def _join(grid: Grid, cube: Cube, at: int, meeting: Meeting) -> None:
    """Place one junction, by its key; its value is the mean of the crossings' on its face."""
    key = meeting.keys[at]
    face, which = key % 8 // 2 * 2, key % 2
    own = _corners(grid, key // 8)
    place = at + len(meeting.points) - len(meeting.keys)
    around = np.empty((4, 3), np.float64)
    total, members = 0.0, 0
    for n in range(4):
        edge = cube.face_edges[face, n]
        if own[cube.ends[edge, 0]] != own[cube.ends[edge, 1]]:
            crossing = _edge(grid, cube, key // 8, edge)
            for axis in range(3):
                around[n, axis] = meeting.points[crossing, axis]
            total += meeting.values[crossing]
            members += 1
    place_junction(around, own, cube.face_corners[face], which, meeting.points[place])
    meeting.values[place] = total / members


@numba.njit(cache=True)
def junction_nodes(keys: Ints, shape: tuple[int, int], crossings: int, place: int, nodes: Ints) -> None:
    """Find the numbers of a cube's junctions among all points, where ``nodes`` ((24,)) isn't negative.

    ``shape`` is the lattice's along i and j, ``crossings`` the number of points before those that have ``keys``.
    """
    steps = (1, shape[0], shape[0] * shape[1])
    for node in range(12, 24):
        if nodes[node] >= 0:
            face, which = (node - 12) // 2, node % 2
            key = 8 * (place + steps[face // 2] * (face % 2)) + face // 2 * 2 + which
            nodes[node] = crossings + find_key(keys, key)


@numba.njit(cache=True)
def _top(grid: Grid, cube: Cube, at: int, meeting: Meeting) -> None:
    """Place one apex, by its key."""
    points, crossings = meeting.points, len(meeting.points) - len(meeting.keys)
    place, apex = meeting.keys[at] // 8, crossings + at
    own, walls, nodes = _corners(grid, place), np.empty((MOST_WALLS, 4), np.int64), np.full(24, -1)
    cut_corners(own, cube, np.empty(8, np.int64))
    for n in range(draw(own, cube, walls)):
        nodes[walls[n, 0]] = nodes[walls[n, 1]] = 0
    junction_nodes(meeting.keys, (grid.shape[0], grid.shape[1]), crossings, place, nodes)
    middle, joint = np.zeros(3), np.zeros(3)
    total, members, joints, faces = 0.0, 0, 0, 0
    for node in range(24):
        if nodes[node] < 0:
            continue
        number = nodes[node] if node >= 12 else _edge(grid, cube, place, node)
        if node >= 12:
            joint += points[number]
            joints += 1
            faces |= 1 << (node - 12) // 2
        middle += points[number]
        total += meeting.values[number]
        members += 1
    meeting.values[apex] = total / members
    points[apex] = middle / members
    if faces & (faces - 1):
        low = (place % grid.shape[0], place // grid.shape[0] % grid.shape[1])
        lows = (low[0], low[1], place // (grid.shape[0] * grid.shape[1]))
        for axis in range(3):
            points[apex, axis] = min(max(joint[axis] / joints, lows[axis] + CLEAR), lows[axis] + 1 - CLEAR)


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

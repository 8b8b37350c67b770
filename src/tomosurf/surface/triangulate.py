"""From a lattice of labels and the places where they change to the triangles between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from tomosurf.errors import DataError
from tomosurf.surface.cases import Cases, Cube, cases, cube
from tomosurf.surface.crossings import Crossings
from tomosurf.surface.cubes import Rows, mark_row, pattern_of, two_sided
from tomosurf.surface.junctions import (
    MOST_WALLS,
    Ints,
    Label,
    cut_corners,
    draw,
    junction_count,
    touches_itself,
    wall_count,
)
from tomosurf.surface.meeting import (
    APEX,
    Meeting,
    average_meeting,
    count_between,
    join_apexes,
    name_apex,
    name_junction,
    place_meeting,
)

Fractions = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Triangulation:
    """Walls in the lattice's index space.

    Args:
        points: (n, 3) float64; the crossings' come first, in order, then those where three labels or more meet.
        faces: (m, 3) int32, counter-clockwise seen from the side of ``sides[:, 1]``.
        sides: (m, 2) uint16, the larger label first.
        values: (n,) float32, as given for the crossings; at the other points the mean of those around.
        pinches: points at which one structure's surface touches itself, ascending, int32.
        meeting: where the points lie that belong to no crossing.
    """

    points: Floats
    faces: NDArray[np.int32]
    sides: NDArray[np.uint16]
    values: NDArray[np.float32]
    pinches: NDArray[np.int32]
    meeting: Meeting


class _Found(NamedTuple):
    """What kernels fill; see :class:`Triangulation`."""

    crossings: int
    """How many points belong to one."""
    keys: Ints
    between: NDArray[np.int32]
    """See :class:`tomosurf.surface.meeting.Meeting`."""
    faces: NDArray[np.int32]
    sides: NDArray[np.uint16]
    pinched: NDArray[np.bool_]


def triangulate(
    labels: NDArray[np.integer[Any]],
    crossings: Crossings,
    fractions: Fractions,
    values: NDArray[np.float32] | None = None,
) -> Triangulation:
    """The walls between all labels of a lattice, each cube of eight lattice points on its own.

    Where two labels share a cube its walls come from a table (:mod:`tomosurf.surface.cases`), where three or more
    meet from :mod:`tomosurf.surface.junctions`. Every label's surface is closed, and triangles meet in corners and
    edges that they share and nowhere else.

    Args:
        labels: (ni, nj, nk) unsigned, Fortran-ordered; the outermost layer is background (0).
        crossings: of these labels.
        fractions: for each crossing how far along its edge it lies, in (0, 1), float32.
        values: for each crossing, those along i first, then j, then k, a number that goes along; else NaN does.

    Raises:
        DataError: more vertices than int32 can number.
    """
    lattice = Rows(labels.T, crossings.places, crossings.rows)
    counts = np.zeros((labels.shape[2], 2), np.int64)
    _count(lattice, cube(), cases(), counts)
    firsts = np.zeros((len(counts) + 1, 2), np.int64)
    np.cumsum(counts, axis=0, out=firsts[1:])
    triangles, own = firsts[-1]
    if len(crossings) + own > np.iinfo(np.int32).max:
        raise DataError("surfaces have more vertices than int32 can number; crop or coarsen the labels")
    meeting = Meeting.room(own)
    if own:
        _meet(lattice, cube(), firsts, meeting)
        join_apexes(meeting, labels.shape[:2], len(crossings))
    found = _Found(
        len(crossings),
        meeting.keys,
        meeting.between,
        np.empty((triangles, 3), np.int32),
        np.empty((triangles, 2), np.uint16),
        np.zeros(own, bool),
    )
    _fill(lattice, cube(), cases(), firsts, found)
    pinches = (np.flatnonzero(found.pinched) + len(crossings)).astype(np.int32)
    points = np.empty((len(crossings) + own, 3))
    all_values = np.full(len(points), np.nan, np.float32)
    first = 0
    for axis, (starts, along) in enumerate(zip(crossings.starts, fractions, strict=True)):
        _place(starts, along, labels.shape, axis, points[first : first + len(starts)])
        first += len(starts)
    place_meeting(meeting, labels.shape[:2], points)
    if values is not None:
        all_values[: len(crossings)] = values
        average_meeting(meeting, all_values)
    return Triangulation(points, found.faces, found.sides, all_values, pinches, meeting)


@numba.njit(parallel=True, cache=True)
def _place(
    starts: Ints, along: NDArray[np.float32], shape: tuple[int, int, int], axis: int, points: Floats
) -> None:
    """Index coordinates of crossings."""
    ni, nj, _ = shape
    for n in numba.prange(len(starts)):
        row = starts[n] // ni
        points[n, 0] = starts[n] - row * ni
        points[n, 1] = row % nj
        points[n, 2] = row // nj
        points[n, axis] += along[n]


@numba.njit(parallel=True, cache=True)
def _count(lattice: Rows, cube: Cube, cases: Cases, counts: Ints) -> None:
    """For each layer of cubes the numbers of triangles, and of points that belong to no crossing."""
    for k in numba.prange(lattice.labels.shape[0] - 1):
        _count_layer(lattice, cube, cases, np.int64(k), counts)


@numba.njit(cache=True)
def _count_layer(lattice: Rows, cube: Cube, cases: Cases, k: int, counts: Ints) -> None:
    nj, ni = lattice.labels.shape[1:]
    edges, marks, own = np.empty((ni, 12), np.int64), np.zeros(ni, np.bool_), np.empty(8, np.int64)
    cut = np.empty(8, np.int64)
    for j in range(nj - 1):
        low, high = mark_row(lattice, j, k, edges, marks)
        for i in range(low, high):
            if not marks[i]:
                continue
            marks[i] = False
            pattern = pattern_of(lattice.labels, i, j, k, own)[2]
            if pattern >= 0:
                counts[k, 0] += cases.counts[pattern]
                continue
            counts[k, 1] += (
                junction_count(own, 0, cube) + junction_count(own, 2, cube) + junction_count(own, 4, cube)
            )
            counts[k, 0] += cut_corners(own, cube, cut)
            pattern = two_sided(own)[2]
            if pattern >= 0:
                counts[k, 0] += cases.counts[pattern]
            else:
                counts[k, 0] += wall_count(own, cube)
                counts[k, 1] += 1


@numba.njit(parallel=True, cache=True)
def _meet(lattice: Rows, cube: Cube, firsts: Ints, meeting: Meeting) -> None:
    """Name all points that belong to no crossing, in ascending order, and the crossings that they lie between."""
    for k in numba.prange(lattice.labels.shape[0] - 1):
        _meet_layer(lattice, cube, firsts, np.int64(k), meeting)


@numba.njit(cache=True)
def _meet_layer(lattice: Rows, cube: Cube, firsts: Ints, k: int, meeting: Meeting) -> None:
    nj, ni = lattice.labels.shape[1:]
    if firsts[k, 1] == firsts[k + 1, 1]:
        return
    edges, marks, own = np.empty((ni, 12), np.int64), np.zeros(ni, np.bool_), np.empty(8, np.int64)
    cut = np.empty(8, np.int64)
    at = firsts[k, 1]
    for j in range(nj - 1):
        low, high = mark_row(lattice, j, k, edges, marks)
        for i in range(low, high):
            if not marks[i]:
                continue
            marks[i] = False
            if pattern_of(lattice.labels, i, j, k, own)[2] >= 0:
                continue
            key = 8 * (i + ni * (j + nj * k))
            for face in (0, 2, 4):
                for which in range(junction_count(own, face, cube)):
                    meeting.keys[at] = key + face + which
                    name_junction(cube, own, edges[i], cut, meeting, at)
                    at += 1
            cut_corners(own, cube, cut)
            if two_sided(own)[2] < 0:
                meeting.keys[at] = key + APEX
                name_apex(cube, own, edges[i], meeting, at)
                at += 1


@numba.njit(parallel=True, cache=True)
def _fill(lattice: Rows, cube: Cube, cases: Cases, firsts: Ints, found: _Found) -> None:
    """All triangles."""
    for k in numba.prange(lattice.labels.shape[0] - 1):
        _fill_layer(lattice, cube, cases, firsts, np.int64(k), found)


@numba.njit(cache=True)
def _fill_layer(lattice: Rows, cube: Cube, cases: Cases, firsts: Ints, k: int, found: _Found) -> None:
    nj, ni = lattice.labels.shape[1:]
    if firsts[k, 0] == firsts[k + 1, 0]:
        return
    edges, marks, own = np.empty((ni, 12), np.int64), np.zeros(ni, np.bool_), np.empty(8, np.int64)
    cut, walls = np.empty(8, np.int64), np.empty((MOST_WALLS, 4), np.int64)
    nodes = np.empty(24, np.int64)
    at, point = firsts[k]
    for j in range(nj - 1):
        low, high = mark_row(lattice, j, k, edges, marks)
        for i in range(low, high):
            if not marks[i]:
                continue
            marks[i] = False
            small, large, pattern = pattern_of(lattice.labels, i, j, k, own)
            if pattern < 0:
                for n in range(cut_corners(own, cube, cut)):
                    corner = cut[n]
                    around = own[cube.neighbours[corner, 0]]
                    label = np.int64(
                        lattice.labels[k + (corner >> 2), j + (corner >> 1 & 1), i + (corner & 1)]
                    )
                    alone = 1 << corner if label > around else 255 - (1 << corner)
                    pair = (min(label, around), max(label, around))
                    at = _emit(cases, alone, edges[i], pair, at, found)
                small, large, pattern = two_sided(own)
            if pattern >= 0:
                at = _emit(cases, pattern, edges[i], (small, large), at, found)
            else:
                while found.keys[point] != 8 * (i + ni * (j + nj * k)) + APEX:
                    point += 1
                count = draw(own, cube, walls)
                nodes[:12] = edges[i]
                _number(walls[:count], found.between[point], nodes)
                at = _cone(walls[:count], nodes, found.crossings + point, at, found)


@numba.njit(cache=True)
def _emit(
    cases: Cases, pattern: int, edges: Ints, labels: tuple[Label, Label], at: int, found: _Found
) -> int:
    """Write the table's triangles between a smaller and a larger label; returns where the next goes."""
    for n in range(cases.counts[pattern]):
        for corner in range(3):
            found.faces[at, corner] = edges[cases.edges[pattern, n, corner]]
        found.sides[at, 0], found.sides[at, 1] = labels[1], labels[0]
        at += 1
    return at


@numba.njit(cache=True)
def _cone(walls: Ints, nodes: Ints, apex: int, at: int, found: _Found) -> int:
    """Write a triangle from each wall to the apex; returns where the next goes."""
    for n in range(len(walls)):
        start, stop, right, left = nodes[walls[n, 0]], nodes[walls[n, 1]], walls[n, 2], walls[n, 3]
        if right < left:
            start, stop, right, left = stop, start, left, right
        found.faces[at, 0], found.faces[at, 1], found.faces[at, 2] = start, stop, apex
        found.sides[at, 0], found.sides[at, 1] = right, left
        at += 1
    found.pinched[apex - found.crossings] = touches_itself(walls, len(walls))
    return at


@numba.njit(cache=True)
def _number(walls: Ints, between: NDArray[np.int32], nodes: Ints) -> None:
    """Number the junctions of a cube: they are the last of those that its apex lies ``between``."""
    nodes[12:] = -1
    for n in range(len(walls)):
        for end in range(2):
            if walls[n, end] >= 12:
                nodes[walls[n, end]] = 0
    last = count_between(between)
    for node in range(23, 11, -1):
        if nodes[node] == 0:
            last -= 1
            nodes[node] = between[last]

"""Which edges of a complex may shrink to a point: those whose end tears, folds and moves nothing too far."""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from tomosurf.surface.incidence import INSIDE
from tomosurf.surface.quadrics import TERMS, merged
from tomosurf.surface.tree import triangle_distance
from tomosurf.surface.vectors import normal_of

DEGREE = 96
"""Most triangles around an edge that is looked at; the vertices of busier ones stay."""
TURN = 0.7
"""Least cosine between a triangle's normals before and after. Of 978,000 triangles on smooth organs and a spine 0.2
left ten pairs that met, 0.5 four and 0.7 none, all as near the truth."""
ROOT_SHARE = 0.5
"""Share of the allowed error that an edge's root mean square may reach; the largest is about twice that."""
LIMIT = 3 + TERMS
"""Column of :attr:`Work.places` that says how far a vertex may stray, in mm."""
KIND, STAMP, FIRST, LAST, MARK, ORIGIN, MEMBER, LAST_MEMBER = range(8)
"""Columns of :attr:`Work.facts`."""


class Work(NamedTuple):
    """A complex on its way to fewer triangles; all arrays change in place.

    ``facts`` (n, 8) int32 holds for each vertex, by the column names above: what it may do; how often something
    was merged into it (-1: it is gone); its first and last corner; a mark to tell neighbours apart without
    clearing; the original vertex that its data come from; and the original vertices that were merged into it, as a
    chain: the next one, and (for the first) the last one.

    ``places`` (n, 4 + TERMS) float64 holds where it is, its quadric and how far it may stray, ``original`` (n, 3)
    where it was. A triangle that is gone has -1 for its first corner. ``onward`` (3m,) links the corners of one
    vertex; ``token`` (1,) is the last mark; ``fan`` (2 * DEGREE, 3, 3) is room for the triangles around an edge.
    """

    facts: NDArray[np.int32]
    places: NDArray[np.float64]
    original: NDArray[np.float64]
    faces: NDArray[np.int32]
    regions: NDArray[np.int64]
    onward: NDArray[np.int32]
    token: NDArray[np.int32]
    fan: NDArray[np.float64]


@numba.njit(cache=True)
def may_collapse(
    work: Work,
    around: NDArray[np.int32],
    counts: tuple[int, int],
    ends: tuple[int, int],
    place: NDArray[np.float64],
    by_error: bool,
) -> bool:
    """Whether an edge may collapse: nothing tears, folds or strays; ``place`` is set to where."""
    u, v = ends
    if counts[0] < 0 or not _sound(work, around, counts, u, v):
        return False
    place[0], place[1], place[2], cost, area = merged(
        work.places, work.facts[u, KIND], work.facts[v, KIND], u, v
    )
    limit = min(work.places[u, LIMIT], work.places[v, LIMIT])
    if by_error and cost > (ROOT_SHARE * limit) ** 2 * area:
        return False
    if not (
        _upright(work, around[0], counts[0], u, v, place)
        and _upright(work, around[1], counts[1], v, u, place)
    ):
        return False
    return not by_error or _near(work, around, counts, ends, place, limit)


@numba.njit(cache=True, inline="always")
def has(work: Work, face: int, vertex: int) -> bool:
    """Whether a triangle has that corner."""
    return (  # type: ignore[no-any-return]
        work.faces[face, 0] == vertex or work.faces[face, 1] == vertex or work.faces[face, 2] == vertex
    )


@numba.njit(cache=True)
def _sound(work: Work, around: NDArray[np.int32], counts: tuple[int, int], u: int, v: int) -> bool:
    """Whether the complex is the same one, stretched, when the edge is gone: the link condition.

    Reference: Dey, Edelsbrunner, Guha and Nekhayev 1999, Topology preserving edge contraction, Publications de
    l'Institut Mathematique 66:23, theorem for 2-complexes.
    """
    work.token[0] += 2
    seen, apex = work.token[0] - 1, work.token[0]
    for n in range(counts[0]):
        for s in range(3):
            work.facts[work.faces[around[0, n], s], MARK] = seen
    shared, region, curve = 0, np.int64(-1), False
    for n in range(counts[1]):
        face = around[1, n]
        if has(work, face, u):
            curve = curve or (shared > 0 and work.regions[face] != region)
            shared, region = shared + 1, work.regions[face]
            for s in range(3):
                work.facts[work.faces[face, s], MARK] = apex
    curve = curve or shared != 2
    if curve != (work.facts[v, KIND] != INSIDE):  # only an edge of a curve may join two of its vertices
        return False
    return _apart(work, around[1, : counts[1]], u, v, seen) and not (
        curve and _closes(work, around, counts, u, v)
    )


@numba.njit(cache=True)
def _apart(work: Work, around: NDArray[np.int32], u: int, v: int, seen: int) -> bool:
    """Whether the two ends have no neighbours in common but those that make a triangle with them."""
    for face in around:
        if has(work, face, u):
            continue
        common = 0
        for s in range(3):
            x = work.faces[face, s]
            if x != v and work.facts[x, MARK] == seen:
                return False
            if x != v and work.facts[x, MARK] == seen + 1:
                common += 1
        if common == 2:
            return False  # two triangles would fall together, as in a tetrahedron
    return True


@numba.njit(cache=True)
def _closes(work: Work, around: NDArray[np.int32], counts: tuple[int, int], u: int, v: int) -> bool:
    """Whether a triangle with the edge has curves along both its other edges, which would fall together."""
    for n in range(counts[1]):
        face = around[1, n]
        if not has(work, face, u):
            continue
        x = work.faces[face, 0] + work.faces[face, 1] + work.faces[face, 2] - u - v
        if (
            work.facts[x, KIND] != INSIDE
            and _on_curve(work, around[0, : counts[0]], x)
            and _on_curve(work, around[1, : counts[1]], x)
        ):
            return True
    return False


@numba.njit(cache=True)
def _on_curve(work: Work, around: NDArray[np.int32], x: int) -> bool:
    """Whether the edge from the middle of ``around`` to ``x`` is one of a curve."""
    shared, region, differ = 0, np.int64(-1), False
    for face in around:
        if has(work, face, x):
            differ = differ or (shared > 0 and work.regions[face] != region)
            shared, region = shared + 1, work.regions[face]
    return differ or shared != 2


@numba.njit(cache=True)
def _upright(
    work: Work, around: NDArray[np.int32], count: int, moved: int, other: int, place: NDArray[np.float64]
) -> bool:
    """Whether no triangle around ``moved`` turns over or degenerates when it goes to ``place``."""
    for n in range(count):
        face = around[n]
        if has(work, face, other):
            continue
        s = 0
        while work.faces[face, s] != moved:
            s += 1
        b, c = work.places[work.faces[face, (s + 1) % 3]], work.places[work.faces[face, (s + 2) % 3]]
        ox, oy, oz = normal_of(work.places[moved], b, c)
        nx, ny, nz = normal_of(place, b, c)
        sizes = math.sqrt((ox * ox + oy * oy + oz * oz) * (nx * nx + ny * ny + nz * nz))
        if nx * ox + ny * oy + nz * oz <= TURN * sizes:
            return False
    return True


@numba.njit(cache=True)
def _near(
    work: Work,
    around: NDArray[np.int32],
    counts: tuple[int, int],
    ends: tuple[int, int],
    place: NDArray[np.float64],
    limit: float,
) -> bool:
    """Whether all original vertices merged into either end lie within ``limit`` of the new triangles."""
    fan, size = work.fan, 0
    for end in range(2):
        moved, other = ends[end], ends[1 - end]
        for n in range(counts[end]):
            face = around[end, n]
            if has(work, face, other):
                continue
            for s in range(3):
                x = work.faces[face, s]
                fan[size, s] = place if x == moved else work.places[x, :3]
            size += 1
    for end in range(2):
        member = ends[end]
        while member >= 0:
            if not _within(fan, size, work.original[member], limit * limit):
                return False
            member = work.facts[member, MEMBER]
    return True


@numba.njit(cache=True)
def _within(fan: NDArray[np.float64], size: int, point: NDArray[np.float64], square: float) -> bool:
    n = 0
    while n < size and triangle_distance(fan, n, point[0], point[1], point[2]) > square:
        n += 1
    return n < size

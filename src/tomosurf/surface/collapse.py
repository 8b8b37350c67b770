"""Edges of a complex shrunk to points, the cheap ones first, as long as no wall tears, folds or strays too far.

They go in sweeps over all triangles in the order of memory, each of which takes what costs less than a threshold. A
queue that always gives the cheapest holds ten outdated edges for each that collapses, all over the memory.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

from tomosurf.surface.collapsible import (
    DEGREE,
    FIRST,
    KIND,
    LAST,
    LAST_MEMBER,
    LIMIT,
    MEMBER,
    ORIGIN,
    STAMP,
    Work,
    has,
    may_collapse,
)
from tomosurf.surface.incidence import FIXED, FROZEN, INSIDE, parts_structures
from tomosurf.surface.quadrics import TERMS, merged
from tomosurf.surface.vectors import squared_step

Costs = NDArray[np.float32]


@numba.njit(cache=True)
def price(work: Work, costs: Costs, by_error: bool) -> None:
    """What shrinking each edge costs, where ``costs`` is NaN; infinity for what mustn't shrink.

    The cost is the squared distance from the planes behind both ends, summed over their area, or ``by_error`` its
    mean. The edge of corner 3f + s goes from it to the next corner of the triangle. An edge within a wall has its
    cost at one of its two corners, one on a curve at all.
    """
    for face in range(len(work.faces)):
        if work.faces[face, 0] < 0:
            continue
        for s in range(3):
            if not math.isnan(costs[3 * face + s]):
                continue
            u, v = work.faces[face, s], work.faces[face, (s + 1) % 3]
            kind_u, kind_v = work.facts[u, KIND], work.facts[v, KIND]
            low, high = min(kind_u, kind_v), max(kind_u, kind_v)
            costs[3 * face + s] = np.inf
            if not (low >= FIXED or high == FROZEN or (low == INSIDE and v < u)):
                _, _, _, cost, area = merged(work.places, kind_u, kind_v, u, v)
                costs[3 * face + s] = cost / max(area, 1e-300) if by_error else cost


@numba.njit(cache=True)
def sweep(work: Work, costs: Costs, threshold: float, faces: int, target: int, by_error: bool) -> int:
    """Collapse the edges that cost no more than ``threshold``, in the triangles' order; returns how many are left.

    It ends when only ``target`` of so many ``faces`` are left. The costs of edges around a collapse become NaN, so
    that they wait for the next sweep, and that of an edge that can't collapse infinity, until something changes
    beside it. ``by_error``: no edge is collapsed whose root mean square passes ``ROOT_SHARE`` of what both ends may
    stray, and no original vertex is left farther than that from the triangles around the vertex that it was merged
    into.
    """
    around = np.empty((2, DEGREE), np.int32)
    place = np.empty(3)
    for face in range(len(work.faces)):
        for s in range(3):
            if not costs[3 * face + s] <= threshold:
                continue
            u, v = work.faces[face, s], work.faces[face, (s + 1) % 3]
            if work.facts[v, KIND] > work.facts[u, KIND]:
                u, v = v, u
            counts = _around(work, around, u, v)
            if not may_collapse(work, around, counts, (u, v), place, by_error):
                costs[3 * face + s] = np.inf
                continue
            faces -= _commit(work, around[1, : counts[1]], u, v, place)
            for end in range(2):
                _unpriced(work, around[end, : counts[end]], costs)
            if faces <= target:
                return faces
    return faces


@numba.njit(cache=True)
def _unpriced(work: Work, around: NDArray[np.int32], costs: Costs) -> None:
    """Forget what the edges of triangles cost; those of triangles that are gone are gone."""
    for face in around:
        for s in range(3):
            costs[3 * face + s] = np.inf if work.faces[face, 0] < 0 else np.nan


@numba.njit(cache=True)
def _around(work: Work, around: NDArray[np.int32], u: int, v: int) -> tuple[int, int]:
    """The triangles around both ends, and how many; dead ones are unlinked on the way. -1 for too many."""
    found_u = _list(work, around[0], u)
    found_v = _list(work, around[1], v)
    if found_u < 0 or found_v < 0:
        return -1, -1
    return found_u, found_v


@numba.njit(cache=True)
def _list(work: Work, around: NDArray[np.int32], vertex: int) -> int:
    before, corner, found = -1, work.facts[vertex, FIRST], 0
    while corner >= 0:
        onward = work.onward[corner]
        if work.faces[corner // 3, 0] < 0:
            if before < 0:
                work.facts[vertex, FIRST] = onward
            else:
                work.onward[before] = onward
            if onward < 0:
                work.facts[vertex, LAST] = before
        else:
            if found == DEGREE:
                return -1
            around[found], found, before = corner // 3, found + 1, corner
        corner = onward
    return found


@numba.njit(cache=True)
def _commit(work: Work, around: NDArray[np.int32], u: int, v: int, place: NDArray[np.float64]) -> int:
    """Merge ``v``, with the triangles ``around`` it, into ``u`` at ``place``; returns how many of them vanish.

    One between two structures counts twice: it is in the meshes of both.
    """
    gone = 0
    for face in around:
        if has(work, face, u):
            work.faces[face, 0], gone = -1, gone + (2 if parts_structures(work.regions[face]) else 1)
            continue
        for s in range(3):
            if work.faces[face, s] == v:
                work.faces[face, s] = u
    if work.facts[u, KIND] == work.facts[v, KIND]:
        near_u = squared_step(place, work.original[work.facts[u, ORIGIN]])
        if squared_step(place, work.original[work.facts[v, ORIGIN]]) < near_u:
            work.facts[u, ORIGIN] = work.facts[v, ORIGIN]
    for n in range(3):
        work.places[u, n] = place[n]
    for n in range(3, 3 + TERMS):
        work.places[u, n] += work.places[v, n]
    work.places[u, LIMIT] = min(work.places[u, LIMIT], work.places[v, LIMIT])
    work.facts[u, STAMP] += 1
    work.facts[v, STAMP] = -1
    work.onward[work.facts[u, LAST]] = work.facts[v, FIRST]
    work.facts[u, LAST] = work.facts[v, LAST]
    work.facts[work.facts[u, LAST_MEMBER], MEMBER] = v
    work.facts[u, LAST_MEMBER] = work.facts[v, LAST_MEMBER]
    return gone

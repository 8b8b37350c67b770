"""Fewer triangles for all surfaces of a complex at once, within a bound that is measured, not hoped for."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numba
import numpy as np
from numpy.typing import NDArray

from tomosurf.data.complex import SurfaceComplex
from tomosurf.errors import ConfigError
from tomosurf.surface.collapse import price, sweep
from tomosurf.surface.collapsible import (
    DEGREE,
    FIRST,
    KIND,
    LAST,
    LAST_MEMBER,
    MARK,
    MEMBER,
    ORIGIN,
    STAMP,
    Work,
)
from tomosurf.surface.farthest import beyond
from tomosurf.surface.incidence import (
    FIXED,
    FROZEN,
    JUNCTION,
    OUTLINE,
    Corners,
    corners_of,
    kinds_of,
    regions_of,
)
from tomosurf.surface.intersections import self_intersections
from tomosurf.surface.quadrics import add_curves, quadrics_of
from tomosurf.surface.tree import tree_of

SWEEP = 0.125
"""Share of the edges, the cheapest, that one sweep over all triangles may collapse."""
FEWEST = 100
"""Edges that a sweep may collapse in any case, so that the last ones don't take one each."""
RUNG = 2**0.5
"""Ratio of the costs that sweeps may pay, one to the next."""
SAMPLE = 1 << 16
"""Costs that are looked at to know which are the cheapest."""
ROUNDS = 12
"""How often places that came out wrong are given their triangles back before the input is returned as it was."""
STRICT = 4
"""How often of these the number of triangles is kept to."""
TRIANGLES_A_VERTEX = 2
"""That a vertex stands for on a closed surface."""
RESERVE = 0.9
"""Share of the allowed error that single collapses may use, so that few places have to be made again."""
TOO_MANY = 0.1
"""Share of the input's vertices in places that meet others from which on the triangles don't suffice, and twice as
many are tried."""
TIGHTER = 0.5
"""What a place may use of it next time where it strayed; where it strays again, it is kept as it was."""
PROVEN = 0.98
"""Share of the allowed error that must be proven: the measured bound, a little above the truth, keeps to it."""
GAP = 0.01
"""Share of the allowed error within which a place may be made again that would just have been allowed."""


@dataclass(frozen=True, slots=True)
class Target:
    """How far to go: to a number of triangles, to an error, or to whichever comes first.

    Args:
        triangles: stop when no more than so many are left, counted in every mesh that has them: twice in a wall.
        max_error_mm: no point of either surface farther than this from the other.

    Raises:
        ConfigError: neither is given, or one isn't above zero.
    """

    triangles: int | None = None
    max_error_mm: float | None = None

    def __post_init__(self) -> None:
        given = [value for value in (self.triangles, self.max_error_mm) if value is not None]
        if not given or not all(0 < value < float("inf") for value in given):
            raise ConfigError("decimation needs a number of triangles or an error in mm, above zero")


def decimate(surfaces: SurfaceComplex, target: Target) -> SurfaceComplex:
    """``surfaces`` with edges collapsed, the cheap ones first over all walls, until ``target`` is met.

    Walls stay shared. Curves where walls meet, and the outline of flat patches (all three vertices of a triangle
    with ``fov_cut`` in the vertex data), collapse along themselves only; their ends and crossings stay. Every
    label's surface keeps its topology. Where the result meets itself and the input didn't, or strays beyond the
    error, the vertices that had been merged there are kept and the rest is made again, or with twice the triangles
    where it meets itself nearly everywhere; so fewer triangles go than asked for rather than the surface being
    wrong. The same input gives the same bytes.

    A vertex' data are those of the nearer of the two that it came from, each time two are merged: always the values
    of one vertex of the input, close by.

    Reference: Garland and Heckbert 1997, Surface simplification using quadric error metrics, SIGGRAPH 97.
    """
    goal = target.triangles or 0
    if _in_meshes(surfaces) <= max(goal, 4):
        return surfaces
    first = RESERVE * (target.max_error_mm or np.inf)
    limits = np.full(len(surfaces.vertices), first)
    for done in range(ROUNDS):
        result, owners = _once(surfaces, target, limits)
        crossing = _merged_into(owners, _crossing(result)) & (limits > 0)
        straying = _straying(surfaces, result, owners, target.max_error_mm) & (limits > 0)
        if not crossing.any() and not straying.any():
            return result
        if target.triangles is not None and crossing.mean() > TOO_MANY:
            target = replace(target, triangles=2 * target.triangles)
            continue
        again = straying & (limits < first)
        limits[straying] *= TIGHTER
        limits[crossing | again] = 0
        if target.triangles is not None and done >= STRICT:  # the rest can't give what these no longer can
            kept = TRIANGLES_A_VERTEX * int((crossing | again).sum())
            target = replace(target, triangles=target.triangles + kept)
    return surfaces


def _once(
    surfaces: SurfaceComplex, target: Target, limits: NDArray[np.float64]
) -> tuple[SurfaceComplex, NDArray[np.int32]]:
    """One pass; also which vertex of the result each one of the input became (-1: one without triangles)."""
    work, middle = _work_of(surfaces, limits)
    left, goal, by_error = _in_meshes(surfaces), target.triangles or 0, target.max_error_mm is not None
    costs = np.full(work.faces.size, np.nan, np.float32)
    while left > goal:
        price(work, costs, by_error)
        known = costs[np.isfinite(costs)]
        if not len(known):
            break
        left = sweep(work, costs, _threshold(known, left - goal), left, goal, by_error)
    return _compact(surfaces, work, middle)


def _in_meshes(surfaces: SurfaceComplex) -> int:
    """Triangles of all labels' meshes together."""
    return len(surfaces.faces) + int((surfaces.sides[:, 1] > 0).sum())


def _threshold(costs: NDArray[np.float32], triangles: int) -> float:
    """What a sweep may pay for an edge: so much as ``SWEEP`` of all edges cost, or those that are still wanted.

    The former is rounded up to a power of ``RUNG``, so that a change in one place changes nothing in others.
    """
    several = SWEEP * len(costs) + FEWEST
    some = costs[:: max(len(costs) // SAMPLE, 1)]
    place = min(int(min(several, triangles / 2) * len(some) / len(costs)), len(some) - 1)
    found = max(float(np.partition(some, place)[place]), 1e-300)
    return RUNG ** math.ceil(math.log(found, RUNG)) if several < triangles / 2 else found


def _work_of(surfaces: SurfaceComplex, limits: NDArray[np.float64]) -> tuple[Work, NDArray[np.float64]]:
    """The complex ready to be changed, and what its points are counted from."""
    count = len(surfaces.vertices)
    middle = (surfaces.vertices.min(axis=0) + surfaces.vertices.max(axis=0)) / 2
    points = surfaces.vertices - middle
    faces = surfaces.faces.copy()
    flat = np.asarray(surfaces.vertex_data.get("fov_cut", np.zeros(count))) > 0
    regions = regions_of(surfaces.sides, faces, flat)
    corners = Corners(*corners_of(faces, count))
    kinds = kinds_of(faces, regions, corners)
    kinds[flat & (kinds == JUNCTION)] = OUTLINE  # a curve within a flat patch must not leave its plane
    kinds[np.asarray(surfaces.vertex_data.get("pinched", np.zeros(count))) > 0] = FIXED
    quadrics = quadrics_of(points, faces)
    add_curves(quadrics, points, faces, kinds, corners)
    kinds[limits == 0] = FROZEN
    facts = np.empty((count, 8), np.int32)
    numbers = np.arange(count)
    facts[:, KIND], facts[:, STAMP] = kinds, np.where(corners.first >= 0, 0, -1)
    facts[:, FIRST], facts[:, LAST] = corners.first, corners.last
    facts[:, MARK], facts[:, ORIGIN] = -1, numbers
    facts[:, MEMBER], facts[:, LAST_MEMBER] = -1, numbers
    places = np.concatenate([points, quadrics, limits[:, None]], axis=1)
    fan = np.empty((2 * DEGREE, 3, 3))
    work = Work(facts, places, points, faces, regions, corners.onward, np.zeros(1, np.int32), fan)
    return work, middle


def _compact(
    surfaces: SurfaceComplex, work: Work, middle: NDArray[np.float64]
) -> tuple[SurfaceComplex, NDArray[np.int32]]:
    """What is left, as a complex; vertices that never moved keep their coordinates to the bit."""
    living = work.faces[:, 0] >= 0
    kept = work.facts[:, STAMP] >= 0
    places = np.where(kept, np.cumsum(kept) - 1, -1).astype(np.int32)
    vertices = work.places[kept, :3] + middle
    still = work.facts[kept, STAMP] == 0
    vertices[still] = surfaces.vertices[kept][still]
    data = {name: values[work.facts[kept, ORIGIN]] for name, values in surfaces.vertex_data.items()}
    result = SurfaceComplex(vertices, places[work.faces[living]], surfaces.sides[living], data)
    return result, _owners(work.facts, places)


@numba.njit(cache=True)
def _owners(facts: NDArray[np.int32], places: NDArray[np.int32]) -> NDArray[np.int32]:
    owners = np.full(len(places), -1, np.int32)
    for vertex in range(len(places)):
        if places[vertex] >= 0:
            member = vertex
            while member >= 0:
                owners[member] = places[vertex]
                member = facts[member, MEMBER]
    return owners


def _merged_into(owners: NDArray[np.int32], marked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The vertices of the input that became one that is marked."""
    return (owners >= 0) & marked[owners]


def _crossing(surfaces: SurfaceComplex) -> NDArray[np.bool_]:
    """The corners of triangles that meet others where they shouldn't."""
    marked = np.zeros(len(surfaces.vertices), bool)
    pairs = self_intersections(surfaces.vertices, surfaces.faces)
    marked[surfaces.faces[pairs.reshape(-1)]] = True
    return marked


def _straying(
    before: SurfaceComplex, after: SurfaceComplex, owners: NDArray[np.int32], max_error_mm: float | None
) -> NDArray[np.bool_]:
    """Vertices of ``before`` around the places where the two are too far apart, in the surface of any label."""
    old, new = np.zeros(len(before.vertices), bool), np.zeros(len(after.vertices), bool)
    if max_error_mm is None:
        return old
    bound, gap = PROVEN * max_error_mm, GAP * max_error_mm
    for label in before.labels:
        faces, fewer = _faces_of(before, label), _faces_of(after, label)
        tree, fewer_tree = tree_of(before.vertices, faces), tree_of(after.vertices, fewer)
        far = beyond(tree.corners, fewer_tree, bound, gap)
        old[faces[tree.order[far]]] = True
        far = beyond(fewer_tree.corners, tree, bound, gap)
        new[fewer[fewer_tree.order[far]]] = True
    new[owners[old & (owners >= 0)]] = True
    return old | _merged_into(owners, new)


def _faces_of(surfaces: SurfaceComplex, label: int) -> NDArray[np.int32]:
    return surfaces.faces[(surfaces.sides == label).any(axis=1)]  # type: ignore[no-any-return]

"""Walls between thick slices, split and moved until they follow their margins.

How a wall hangs together is what the labels at the slices say; only its points move. Those between two slices go
to where the margin, curved along the thick axis, is zero. Where an edge's middle is off that, the edge is split and
its middle goes there: so triangles come where a wall bends, and nowhere else, and neighbours share all of them.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from tomosurf.surface.between_slices import NONE, sampled, thick_axis
from tomosurf.surface.crossings import Crossings
from tomosurf.surface.fractions import CLEARANCE
from tomosurf.surface.intersections import suspects
from tomosurf.surface.lattice import Lattice, at_end
from tomosurf.surface.splitting import Edges, inner_edges, split
from tomosurf.surface.triangulate import Triangulation
from tomosurf.surface.vectors import normal_of

OFF = 0.15
"""How far an edge's middle may lie off its margin's zero level, in spacings of the finest axis."""

LEVEL = 0.1
"""Slices between an edge's ends up to which it is as good as in one: straight lines say the same there."""

FARTHEST = 0.5
"""The farthest that a middle is moved, in lengths of its edge: farther away lies another wall, or none."""

LEAST_COSINE = 0.5
"""Of the angle by which a part of a triangle may turn."""

TOGETHER = 1 << 17
"""Edges that are looked at together: bounds what they take besides."""

STEPS = 6
"""Of Newton's method towards a zero level."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class _Margins(NamedTuple):
    """A lattice's margins, curved along its thick axis."""

    lattice: Lattice
    axis: int

    def differ(self, pair: tuple[int, int], points: Floats) -> Floats:
        """(n, 1 or 3, 4): the things of which one is zero on the wall between two labels, with their changes.

        Against background the label's own margin. Else by how much the first is ahead of the second; the first's
        own, for what lies on top of the second; and minus the second's. NaN where a margin isn't known.
        """
        one = self._own(pair[0], points)
        if pair[1] == 0:
            return one[:, None]
        other = self._own(pair[1], points)
        return np.stack([(one - other) / 2, one, -other], axis=1)

    def _own(self, label: int, points: Floats) -> Floats:
        start, values = self.lattice.margins[label]
        return sampled(values, self.axis, points - np.array(start))


class _Metric(NamedTuple):
    """``inverse`` of the metric of index coordinates, and how many mm a middle is off at ``least``."""

    inverse: Floats
    least: float


def curved(
    walls: Triangulation, lattice: Lattice, crossings: Crossings, closing: NDArray[np.bool_]
) -> Triangulation:
    """``walls`` of a lattice with margins, curved between its slices; the same where none of its axes is thick.

    What lies where the image or a margin ends stays (``closing`` crossings, and points beyond), and so do edges at
    which walls of three labels meet. A split that would fold a triangle, or let two meet, isn't made. New points
    come last.
    """
    axis = thick_axis(lattice.geometry)
    if axis == NONE:
        return walls
    margins = _Margins(lattice, axis)
    fixed = at_end(walls.points, closing, lattice)
    points = walls.points.copy()
    _lift(points, margins, crossings, fixed)
    found = Triangulation(points, walls.faces, walls.sides, walls.values, walls.pinches, walls.meeting)
    return _split(found, lattice, *_off(found, margins, fixed))


def _lift(points: Floats, margins: _Margins, crossings: Crossings, fixed: NDArray[np.bool_]) -> None:
    """Put the crossings along the thick axis where the curved margins balance; they stay between their slices."""
    lattice, axis = margins.lattice, margins.axis
    first = int(crossings.rows[axis, 0])
    own = np.arange(first, first + len(crossings.starts[axis]))
    own = own[~fixed[own]]
    lower = np.floor(points[own])
    upper = lower.copy()
    upper[:, axis] += 1
    below = lattice.labels[tuple(lower.astype(np.intp).T)].astype(np.int64)
    above = lattice.labels[tuple(upper.astype(np.intp).T)].astype(np.int64)
    for pair, some in _pairs(np.stack([np.maximum(below, above), np.minimum(below, above)], axis=1)):
        at, ends = own[some], (lower[some], upper[some])
        values = [margins.differ(pair, end)[:, :, 0] for end in ends]
        with np.errstate(invalid="ignore", divide="ignore"):
            straight = values[0] / (values[0] - values[1])
            agrees = np.abs(np.clip(straight, 0, 1) - (points[at, axis] - lower[some, axis])[:, None])
        agrees[~((values[0] > 0) != (values[1] > 0))] = np.inf
        which = np.nan_to_num(agrees, nan=np.inf).argmin(axis=1)
        good = agrees[np.arange(len(at)), which] < 2 * CLEARANCE
        at, which, base = at[good], which[good], lower[some][good]
        rows = np.arange(len(at))
        rising = values[1][good][rows, which] > 0
        low, high = np.zeros(len(at)), np.ones(len(at))
        for _ in range(14):
            place = base.copy()
            place[:, axis] += (low + high) / 2
            ahead = (margins.differ(pair, place)[rows, which, 0] > 0) == rising
            high, low = np.where(ahead, (low + high) / 2, high), np.where(ahead, low, (low + high) / 2)
        points[at, axis] = base[:, axis] + np.clip((low + high) / 2, CLEARANCE, 1 - CLEARANCE)


def _pairs(sides: NDArray[np.integer]) -> list[tuple[tuple[int, int], Ints]]:
    """Each pair of labels, and where it is."""
    if not len(sides):
        return []
    codes = sides[:, 0].astype(np.int64) << 16 | sides[:, 1]
    order = np.argsort(codes, kind="stable")
    values, firsts = np.unique(codes[order], return_index=True)
    groups = np.split(order, firsts[1:])
    return [((int(v) >> 16, int(v) & 0xFFFF), group) for v, group in zip(values, groups, strict=True)]


def _off(walls: Triangulation, margins: _Margins, fixed: NDArray[np.bool_]) -> tuple[Edges, Floats]:
    """Edges between slices whose middles are off their margin's zero level, and where those go."""
    corners = walls.points[:, margins.axis].astype(np.float32)[walls.faces]
    stays = fixed[walls.faces]
    wanted = np.abs(corners - np.roll(corners, -1, axis=1)) > LEVEL
    wanted &= ~(stays | np.roll(stays, -1, axis=1))
    edges = inner_edges(walls.faces, walls.sides, wanted)
    affine = margins.lattice.geometry.affine[:3, :3]
    metric = _Metric(
        np.linalg.inv(affine.T @ affine).astype(np.float64), OFF * min(margins.lattice.geometry.spacing)
    )
    goes, chosen = np.full((len(edges.ends), 3), np.nan), np.zeros(len(edges.ends), bool)
    for pair, all_ in _pairs(edges.sides):
        for some in np.array_split(all_, len(all_) // TOGETHER + 1):
            start, end = walls.points[edges.ends[some, 0]], walls.points[edges.ends[some, 1]]
            middles = (start + end) / 2
            goes[some] = _to_zero(pair, margins, middles, _which(pair, margins, (start, end), metric), metric)
            moved = np.linalg.norm((goes[some] - middles) @ affine.T, axis=1)
            length = np.linalg.norm((end - start) @ affine.T, axis=1)
            chosen[some] = (moved > metric.least) & (moved < FARTHEST * length)
    return edges.only(chosen), goes[chosen]


def _which(pair: tuple[int, int], margins: _Margins, ends: tuple[Floats, Floats], metric: _Metric) -> Ints:
    """Which of the differences is zero at both ends of each edge; the first is 0, none is -1."""
    near = []
    for end in ends:
        found = margins.differ(pair, end)
        steep = np.sqrt(((found[:, :, 1:] @ metric.inverse) * found[:, :, 1:]).sum(axis=2))
        near.append(np.abs(found[:, :, 0]) <= metric.least * steep)
    both = near[0] & near[1]
    return np.where(both.any(axis=1), both.argmax(axis=1), -1)


def _to_zero(
    pair: tuple[int, int], margins: _Margins, points: Floats, which: Ints, metric: _Metric
) -> Floats:
    """Where Newton's method ends, along the slope in mm; NaN where that is no place at which the sides change."""
    rows, at = np.arange(len(points)), points.copy()
    ahead = step = np.zeros_like(points)
    for number in range(STEPS):
        found = margins.differ(pair, at)[rows, which]
        slope = found[:, 1:] @ metric.inverse
        steep = (slope * found[:, 1:]).sum(axis=1, keepdims=True)
        with np.errstate(invalid="ignore", divide="ignore"):
            step = slope * (found[:, :1] / steep)
            if number == 0:
                ahead = slope * (metric.least / np.sqrt(steep))
        at = at - step
    changes = which >= 0
    for side in (1, -1):
        changes &= margins.differ(pair, at + side * ahead)[rows, which, 0] * side > 0
    at[~changes] = np.nan
    return at


def _split(walls: Triangulation, lattice: Lattice, edges: Edges, middles: Floats) -> Triangulation:
    """The walls with these edges split, but for those whose splitting folds a triangle or lets two meet."""
    first = len(walls.points)
    points = np.concatenate([walls.points, middles])
    placed = lattice.geometry.to_world(points)
    keep = _apart(placed, first, 2 * CLEARANCE * min(lattice.geometry.spacing))
    anew = np.zeros(len(walls.faces), bool)
    anew[edges.places[keep] // 3] = True
    while True:
        edges, kept = edges.only(keep), np.concatenate([np.ones(first, bool), keep])
        points, placed = points[kept], placed[kept]
        faces, origins = split(walls.faces, edges, first, placed)
        bad = np.zeros(len(faces), bool)
        _folded(placed, walls.faces, faces, origins, bad)
        if not bad.any():
            bad[suspects(placed, faces, anew[origins])] = True
            anew[:] = False
        corners = faces[bad].reshape(-1)
        dropped = np.unique(corners[corners >= first]) - first
        if not len(dropped):
            break
        keep = np.ones(len(edges.ends), bool)
        keep[dropped] = False
        anew[edges.places[dropped] // 3] = True
    values = np.concatenate([walls.values, walls.values[edges.ends].mean(axis=1, dtype=np.float32)])
    return Triangulation(points, faces, walls.sides[origins], values, walls.pinches, walls.meeting)


def _apart(placed: Floats, first: int, least: float) -> NDArray[np.bool_]:
    """Which of the points from ``first`` on are farther than ``least`` from all others."""
    from scipy.spatial import cKDTree

    distances = cKDTree(placed).query(placed[first:], k=2, distance_upper_bound=least)[0]
    found: NDArray[np.bool_] = ~np.isfinite(distances[:, 1])
    return found


@numba.njit(cache=True)
def _folded(
    placed: Floats,
    before: NDArray[np.int32],
    faces: NDArray[np.int32],
    origins: Ints,
    found: NDArray[np.bool_],
) -> None:
    """Mark the triangles that turn away from the one that they are a part of."""
    for n in range(len(faces)):
        whole, part = before[origins[n]], faces[n]
        if whole[0] == part[0] and whole[1] == part[1] and whole[2] == part[2]:
            continue
        ours = normal_of(placed[part[0]], placed[part[1]], placed[part[2]])
        theirs = normal_of(placed[whole[0]], placed[whole[1]], placed[whole[2]])
        along, one, other = 0.0, 0.0, 0.0
        for axis in range(3):
            along += ours[axis] * theirs[axis]
            one += ours[axis] * ours[axis]
            other += theirs[axis] * theirs[axis]
        found[n] = along <= LEAST_COSINE * math.sqrt(one * other)

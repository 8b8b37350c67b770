"""Giving each structure of a mask the volume that its voxels have.

Their number is a mask's best word on a volume: it errs by chance alone, where smoothing always takes from what is
round and thin. What a surface lacks is laid on evenly, or taken off: every crossing of the structure moves so that
the surface moves by the same distance along its normal, as far as the crossing's own edge lets it. A wall between
two structures moves by the difference of their distances, so that all of them are found together.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from tomosurf.surface.columns import Grid, number_of
from tomosurf.surface.contours import Links, onward_side
from tomosurf.surface.fractions import CLEARANCE
from tomosurf.surface.meeting import place_meeting
from tomosurf.surface.triangulate import Triangulation

ROUNDS = 6
"""Newton's steps at most; crossings that reach their edge's end leave the rest to others in the next one."""

TURNS = 3
"""How often each of them looks which way walls move."""

TRACE = 1e-6
"""Share of a structure's walls that counts as a wall to background: what can't gain anything is moved at most."""

_RECENT = 1024
"""Pairs of labels that are remembered by themselves: most are met again soon."""

NEAR = 1e-4
"""Share of its volume to which every structure's is met."""

FARTHEST = 0.5
"""Farthest that a surface is moved, in the smallest spacing: what a mask doesn't know of a boundary."""

STEEPEST = 0.2
"""Least cosine between a surface's normal and an edge at which the edge's crossing still moves as far as others."""

TINY = 1e-300
"""More than nothing, for no division by 0."""

Values = NDArray[np.float32]
Floats = NDArray[np.float64]


class _Moves(NamedTuple):
    """For each crossing how it moves its surface."""

    pairs: NDArray[np.int32]
    """(n,) which pair of labels lies at the ends of its edge."""
    ends: NDArray[np.int64]
    """(p, 2) the pairs: the label at the lower end and that at the upper."""
    reach: Values
    """(n,) the fraction of its edge by which it moves where the surface moves by 1 mm."""
    swept: Values
    """(n,) voxels that the lower label gains for a whole edge."""


def hold_volumes(
    grid: Grid,
    links: Links,
    affine: NDArray[np.float64],
    walls: Triangulation,
    fractions: Values,
    held: NDArray[np.bool_],
) -> Values:
    """The ``fractions`` (float32, (n,), those along i, j, k in turn) moved until each label has its voxels' volume.

    They stay within [0.001, 0.999]; those that are ``held`` ((n,)) stay where they are. No surface moves by more
    than half the smallest spacing, so that what has lost most of its volume gets part of it back. A wall between
    two structures moves by what the one gains and the other loses.

    Args:
        grid: labels, uint8 or uint16, whose outermost layer is background, and all their crossings.
        links: the contours' (:mod:`tomosurf.surface.contours`).
        affine: (4, 4), index to mm.
        walls: of the grid, at these fractions; their points move along.

    Takes 16 bytes a crossing.
    """
    if not len(fractions):
        return fractions.copy()
    ni, nj, _ = (int(n) for n in grid.shape)
    ends = grid.rows[1:, 0]
    matrix = np.asarray(affine, np.float64)[:3, :3]
    finest = float(np.linalg.norm(matrix, axis=0).min())
    moves = _moves(grid, links, matrix, walls.points)
    moves.reach[held] = 0
    wanted = _voxels(moves.ends, moves.pairs[: ends[0]], grid.starts[: ends[0]], ni)
    _rims(grid, held, wanted)
    moved, offsets = fractions.copy(), np.zeros(len(wanted))
    for _ in range(ROUNDS):
        lacking = wanted - _volumes(walls.points, walls.faces, walls.sides, len(wanted))
        lacking[0] = 0
        if (np.abs(lacking) <= NEAR * wanted).all():
            break
        onward = _distances(moves.ends, _gains(moves, moved), lacking)
        onward = np.clip(onward, -FARTHEST * finest - offsets, FARTHEST * finest - offsets)
        onward[0] = 0
        offsets += onward
        _move(moves, onward[moves.ends[:, 0]] - onward[moves.ends[:, 1]], ends, moved, walls.points)
        place_meeting(walls.meeting, (ni, nj), walls.points)
    return moved


def _distances(ends: NDArray[np.int64], gains: Floats, lacking: Floats) -> Floats:
    """How far each label's surface is to move outwards (mm), so that all gain what they lack (voxels).

    Background's doesn't move. A wall between two moves by their difference; how many voxels it then sweeps for a mm
    (``gains``, (p, 2), upwards and downwards) depends on which way that is, which is found in turns.
    """
    away = np.zeros_like(lacking)
    weights = gains.mean(axis=1)
    for _ in range(TURNS):
        away = _balanced(ends, weights, lacking)
        weights = np.where(away[ends[:, 0]] > away[ends[:, 1]], gains[:, 0], gains[:, 1])
    return away


def _balanced(ends: NDArray[np.int64], weights: Floats, lacking: Floats) -> Floats:
    """The labels' distances for given weights of their walls.

    By conjugate gradients: Hestenes and Stiefel 1952, J. Res. Natl. Bur. Stand. 49.
    """
    lower, upper = ends.T
    count = len(lacking)
    stiff = np.bincount(lower, weights, count) + np.bincount(upper, weights, count)
    stiff[0] = 0
    inverse = np.divide(1, stiff, out=np.zeros(count), where=stiff > 0)

    def gained(away: Floats) -> Floats:
        flow = weights * (away[lower] - away[upper])
        # a trace of background for those that can't move against it
        return np.bincount(lower, flow, count) - np.bincount(upper, flow, count) + TRACE * stiff * away

    away, rest = np.zeros(count), np.where(stiff > 0, lacking, 0)
    ahead = inverse * rest
    size = target = float(rest @ ahead)
    for _ in range(count):
        if size <= 1e-8 * target:
            break
        along = gained(ahead)
        along[0] = 0
        step = size / float(ahead @ along)
        away += step * ahead
        rest -= step * along
        before, size = size, float(rest @ (inverse * rest))
        ahead = inverse * rest + size / before * ahead
    return away


def _moves(grid: Grid, links: Links, matrix: Floats, points: Floats) -> _Moves:
    """How each crossing moves the surface, with the normals that it has now."""
    inverse = np.linalg.inv(matrix)
    count = len(links)
    pairs, ends = _pairs(grid)
    moves = _Moves(pairs, ends, np.empty(count, np.float32), np.empty(count, np.float32))
    _reach(grid, links, points, (inverse @ inverse.T, np.linalg.norm(matrix, axis=0)), moves)
    return moves


@numba.njit(cache=True)
def _pairs(grid: Grid) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Number the pairs of labels at the ends of crossings' edges, in the order in which they are met."""
    strides = (1, grid.shape[0], grid.shape[0] * grid.shape[1])
    pairs = np.empty(len(grid.starts), np.int32)
    numbers = {np.int64(-1): np.int32(-1)}
    recent, known = np.full(_RECENT, -1, np.int64), np.empty(_RECENT, np.int32)
    for c in range(len(pairs)):
        axis = int(c >= grid.rows[1, 0]) + int(c >= grid.rows[2, 0])
        lower, upper = (
            np.int64(grid.labels[grid.starts[c]]),
            np.int64(grid.labels[grid.starts[c] + strides[axis]]),
        )
        pair, slot = lower << 16 | upper, (31 * lower + upper) % _RECENT
        if recent[slot] != pair:
            if pair not in numbers:
                numbers[pair] = np.int32(len(numbers) - 1)
            recent[slot], known[slot] = pair, numbers[pair]
        pairs[c] = known[slot]
    ends = np.empty((len(numbers) - 1, 2), np.int64)
    for pair, number in numbers.items():
        if number >= 0:
            ends[number, 0], ends[number, 1] = pair >> 16, pair & 0xFFFF
    return pairs, ends


@numba.njit(cache=True)
def _reach(grid: Grid, links: Links, points: Floats, lengths: tuple[Floats, Floats], moves: _Moves) -> None:
    metric, sizes = lengths
    reach, swept = moves.reach, moves.swept
    along, normal = np.empty((2, 3)), np.empty(3)
    for c in range(len(links)):
        axis = int(c >= grid.rows[1, 0]) + int(c >= grid.rows[2, 0])
        for w in range(2):
            back, forth = links[c, 2 * w] // 4, links[c, 2 * w + 1] // 4
            alone = back < 0 and forth < 0
            share = 0.5 if back >= 0 and forth >= 0 else 1.0
            back, forth = back if back >= 0 else c, forth if forth >= 0 else c
            for u in range(3):
                along[w, u] = share * (points[forth, u] - points[back, u])
            if alone:
                along[w, w + int(w >= axis)] = 1.0
        for u in range(3):
            v, w = (u + 1) % 3, (u + 2) % 3
            normal[u] = along[0, v] * along[1, w] - along[0, w] * along[1, v]
        square = 0.0
        for u in range(3):
            for v in range(3):
                square += normal[u] * metric[u, v] * normal[v]
        # contours go along the axes in ascending order, which is backwards around the second
        area = -normal[axis] if axis == 1 else normal[axis]
        swept[c] = max(area, 0.0) / _counted(abs(normal[0]), abs(normal[1]), abs(normal[2]))
        least = STEEPEST * sizes[axis] * np.sqrt(square)
        reach[c] = np.sqrt(square) / max(area, least) if square > 0 else 0.0


@numba.njit(cache=True)
def _counted(i: float, j: float, k: float) -> float:
    """What a plane's crossings have of its area, each by how far its two contours go past it; 0.75 to 1.

    Arguments are the sizes of the plane's normal in index space, as many crossings as it has along each axis.
    """
    ij, jk, ki = _past(i, j), _past(j, k), _past(k, i)
    counted: float = ij * (1 - ki) + jk * (1 - ij) + ki * (1 - jk)
    return counted


@numba.njit(cache=True)
def _past(own: float, other: float) -> float:
    """How far a contour goes past a crossing, half way to both that are next, in steps across its edge; on average.

    ``own`` crossings of this kind are a step apart, or in between ``other`` ones that are.
    """
    half = 0.5 * min(own, other) / max(own, other, TINY)
    past: float = 1 - half if own >= other else half
    return past


@numba.njit(cache=True)
def _voxels(ends: NDArray[np.int64], pairs: NDArray[np.int32], starts: NDArray[np.int64], ni: int) -> Floats:
    """The number of voxels of each label, from the ends of its runs along i; background's isn't counted."""
    counts = np.zeros(int(ends.max()) + 1)
    for c in range(len(starts)):
        end = starts[c] % ni + 1
        counts[ends[pairs[c], 0]] += end
        counts[ends[pairs[c], 1]] -= end
    counts[0] = 0
    return counts


@numba.njit(cache=True)
def _rims(grid: Grid, held: NDArray[np.bool_], counts: Floats) -> None:
    """Take off ``counts`` what a surface can't have: around an end of the image its rim is cut off half way.

    No crossing lies on the rim itself, so that of every voxel along it an eighth is missing, by no smoothing.
    """
    labels, shape, rows = grid.labels, grid.shape, grid.rows
    strides = (1, shape[0], shape[0] * shape[1])
    for c in np.flatnonzero(held):
        p = grid.starts[c]
        axis = int(c >= rows[1, 0]) + int(c >= rows[2, 0])
        label = max(labels[p], labels[p + strides[axis]])
        for way in range(4):
            across = way // 2 + int(way // 2 >= axis)
            aside = strides[across] if way % 2 else -strides[across]
            side = onward_side(labels, p, strides[axis], aside)
            if side > 0:
                corner = p + (side - 1) * strides[axis]
                other = number_of(grid, rows[across], min(corner, corner + aside))
                # a rim between two ends of the image is met from both
                counts[label] -= 0.0625 if held[other] else 0.125


@numba.njit(cache=True)
def _volumes(points: Floats, faces: NDArray[np.int32], sides: NDArray[np.uint16], count: int) -> Floats:
    """What each label's surface encloses, in voxels."""
    volumes = np.zeros(count)
    for t in range(len(faces)):
        a, b, c = points[faces[t, 0]], points[faces[t, 1]], points[faces[t, 2]]
        part = (
            a[0] * (b[1] * c[2] - b[2] * c[1])
            + a[1] * (b[2] * c[0] - b[0] * c[2])
            + a[2] * (b[0] * c[1] - b[1] * c[0])
        ) / 6
        volumes[sides[t, 0]] += part
        volumes[sides[t, 1]] -= part
    return volumes


@numba.njit(cache=True)
def _gains(moves: _Moves, along: Values) -> Floats:
    """(p, 2): the voxels that each pair's lower label gains when its walls move by 1 mm upwards, and downwards.

    Crossings that are at their edge's end already don't count.
    """
    gains = np.zeros((len(moves.ends), 2))
    low, high = np.float32(CLEARANCE), np.float32(1 - CLEARANCE)
    for c in range(len(along)):
        gain = np.float64(moves.reach[c]) * moves.swept[c]
        gains[moves.pairs[c], 0] += gain * (along[c] < high)
        gains[moves.pairs[c], 1] += gain * (along[c] > low)
    return gains


@numba.njit(cache=True)
def _move(moves: _Moves, gains: Floats, ends: NDArray[np.int64], along: Values, points: Floats) -> None:
    """Move each crossing by what its pair's lower label gains and the upper one loses, in mm."""
    low, high = np.float32(CLEARANCE), np.float32(1 - CLEARANCE)
    for c in range(len(along)):
        gain = gains[moves.pairs[c]]
        moved = min(max(np.float32(along[c] + gain * moves.reach[c]), low), high)
        # in float64 exact: the point is where it would be if it were placed anew
        points[c, int(c >= ends[0]) + int(c >= ends[1])] += np.float64(moved) - np.float64(along[c])
        along[c] = moved

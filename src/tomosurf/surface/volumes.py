"""Giving each structure of a mask the volume that its voxels have.

Their number is a mask's best word on a volume: it errs by chance alone, where smoothing always takes from what is
round and thin. What a surface lacks is laid on evenly, or taken off: every crossing of the structure moves so that
the surface moves by the same distance along its normal, as far as the crossing's own edge lets it.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from tomosurf.surface.columns import Grid, number_of
from tomosurf.surface.contours import Links, onward_side
from tomosurf.surface.fractions import CLEARANCE
from tomosurf.surface.triangulate import Triangulation

ROUNDS = 6
"""Newton's steps at most; crossings that reach their edge's end leave the rest to others in the next one."""

NEAR = 1e-4
"""Share of its volume to which every structure's is met."""

FARTHEST = 0.5
"""Farthest that a surface is moved, in the smallest spacing: what a mask doesn't know of a boundary."""

STEEPEST = 0.2
"""Least cosine between a surface's normal and an edge at which the edge's crossing still moves as far as others."""

Values = NDArray[np.float32]
Floats = NDArray[np.float64]


class _Moves(NamedTuple):
    """For each crossing how it moves its surface."""

    labels: NDArray[np.uint16]
    """(n, 2): at the lower and at the upper end of its edge."""
    reach: Floats
    """(n,) the fraction of its edge by which it moves where the surface moves by 1 mm."""
    swept: Floats
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
        walls: of the grid, at these fractions; the crossings' points move along, the others stay.

    Takes 60 bytes a crossing.
    """
    if not len(fractions):
        return fractions.copy()
    ends = grid.rows[1:, 0]
    matrix = np.asarray(affine, np.float64)[:3, :3]
    finest = float(np.linalg.norm(matrix, axis=0).min())
    moves = _moves(grid, links, matrix, walls.points)
    moves.reach[held] = 0
    wanted = _voxels(moves.labels[: ends[0]], grid.starts[: ends[0]], grid.shape[0])
    _rims(grid, held, wanted)
    moved, offsets = fractions.copy(), np.zeros(len(wanted))
    for _ in range(ROUNDS):
        lacking = wanted - _volumes(walls.points, walls.faces, walls.sides, len(wanted))
        lacking[0] = 0
        if (np.abs(lacking) <= NEAR * wanted).all():
            break
        free = _free(moves, moved, lacking)
        onward = np.divide(lacking, free, out=np.zeros(len(wanted)), where=free > 0)
        onward = np.clip(onward, -FARTHEST * finest - offsets, FARTHEST * finest - offsets)
        offsets += onward
        _move(moves, onward, ends, moved, walls.points)
    return moved


def _moves(grid: Grid, links: Links, matrix: Floats, points: Floats) -> _Moves:
    """How each crossing moves the surface, with the normals that it has now."""
    inverse = np.linalg.inv(matrix)
    count = len(links)
    moves = _Moves(np.empty((count, 2), np.uint16), np.empty(count), np.empty(count))
    _reach(grid, links, points, (inverse @ inverse.T, np.linalg.norm(matrix, axis=0)), moves)
    return moves


@numba.njit(cache=True)
def _reach(grid: Grid, links: Links, points: Floats, lengths: tuple[Floats, Floats], moves: _Moves) -> None:
    metric, sizes = lengths
    pairs, reach, swept = moves.labels, moves.reach, moves.swept
    strides = (1, grid.shape[0], grid.shape[0] * grid.shape[1])
    along, normal = np.empty((2, 3)), np.empty(3)
    for c in range(len(links)):
        axis = int(c >= grid.rows[1, 0]) + int(c >= grid.rows[2, 0])
        pairs[c, 0], pairs[c, 1] = grid.labels[grid.starts[c]], grid.labels[grid.starts[c] + strides[axis]]
        for w in range(2):
            back, forth = links[c, 2 * w] // 4, links[c, 2 * w + 1] // 4
            alone = back < 0 and forth < 0
            back, forth = back if back >= 0 else c, forth if forth >= 0 else c
            for u in range(3):
                along[w, u] = (points[forth, u] - points[back, u]) / 2
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
        swept[c] = max(area, 0.0)
        least = STEEPEST * sizes[axis] * np.sqrt(square)
        reach[c] = np.sqrt(square) / max(area, least) if square > 0 else 0.0


@numba.njit(cache=True)
def _voxels(pairs: NDArray[np.uint16], starts: NDArray[np.int64], ni: int) -> Floats:
    """The number of voxels of each label, from the ends of its runs along i; background's isn't counted."""
    counts = np.zeros(int(pairs.max()) + 1)
    for c in range(len(starts)):
        end = starts[c] % ni + 1
        counts[pairs[c, 0]] += end
        counts[pairs[c, 1]] -= end
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


@numba.njit(cache=True, inline="always")
def _bounded(along: np.float32, onward: float) -> np.float32:
    return min(max(np.float32(along + onward), np.float32(CLEARANCE)), np.float32(1 - CLEARANCE))


@numba.njit(cache=True)
def _free(moves: _Moves, along: Values, lacking: Floats) -> Floats:
    """For each label the voxels that it gains for 1 mm, of crossings that aren't at their edge's end already."""
    free = np.zeros(len(lacking))
    for c in range(len(along)):
        for side in range(2):
            label = moves.labels[c, side]
            ahead = lacking[label] if side == 0 else -lacking[label]
            if _bounded(along[c], ahead) != along[c]:
                free[label] += moves.reach[c] * moves.swept[c]
    return free


@numba.njit(cache=True)
def _move(moves: _Moves, offsets: Floats, ends: NDArray[np.int64], along: Values, points: Floats) -> None:
    """Move each crossing by what its lower label gains and its upper one loses, in mm."""
    for c in range(len(along)):
        gain = offsets[moves.labels[c, 0]] - offsets[moves.labels[c, 1]]
        moved = _bounded(along[c], gain * moves.reach[c])
        points[c, int(c >= ends[0]) + int(c >= ends[1])] += moved - along[c]
        along[c] = moved

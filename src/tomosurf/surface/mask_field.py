"""Where a surface crosses the edges of a mask's lattice, from the mask alone.

A mask knows a crossing to half a voxel; a wall of many crossings is known far better. Each wall is seen as a
height over the lattice from each of the three axes, its heights are smoothed (:mod:`tomosurf.surface.heights`),
and what the three say of a voxel's depth below the wall is averaged by how far each may be trusted. The surface is
straightened as far as its voxels allow (:mod:`tomosurf.surface.straighten`), and each structure is given the volume
of its voxels (:mod:`tomosurf.surface.volumes`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from tomosurf.surface.columns import Columns, Grid, columns_of, number_of
from tomosurf.surface.contours import contours_of
from tomosurf.surface.crossings import Crossings
from tomosurf.surface.fractions import CLEARANCE
from tomosurf.surface.heights import Heights, smooth_heights
from tomosurf.surface.straighten import straighten
from tomosurf.surface.triangulate import Triangulation, triangulate
from tomosurf.surface.volumes import hold_volumes

OWN = np.float32(3.0)
"""Weight of an edge's own column beside those of the two voxels' other edges."""

HALF_WIDTHS = (0.5, 0.5, 0.5**0.5, 0.75 ** (1 / 3))
"""Distance in voxels from a centre line or point to the surface of what is one voxel wide along 0, 1, 2, 3 axes.

A sheet; a line, whose section is the square of area 1 on its corner; a voxel, the octahedron of volume 1.
"""

Values = NDArray[np.float32]


class _Said(NamedTuple):
    """What the columns say of each crossing, those along all axes in turn."""

    fractions: Values
    depths: Values
    """Distance to the wall in mm for one voxel along the edge."""
    weights: Values


def mask_walls(
    labels: NDArray[np.integer[Any]],
    affine: NDArray[np.float64],
    crossings: Crossings,
    held: NDArray[np.bool_] | None = None,
) -> Triangulation:
    """The walls of a mask: for every crossing the fraction of its edge at which the surface crosses it is found.

    Fractions lie in [0.001, 0.999], so that the surface stays within half a voxel of the mask's boundary and
    every voxel centre on its own side: no structure, however thin, is lost, none merges, none grows a hole.
    A wall belongs to a pair of labels: at a junction a voxel's depth counts its crossings to the other label of
    the pair alone, and the wall's heights go on along whichever of the two labels does. Thick slices and sheared
    lattices are measured in mm.

    Args:
        labels: (ni, nj, nk), uint8 or uint16, Fortran-ordered.
        affine: (4, 4), index to mm.
        crossings: those of ``labels``.
        held: (n,) which of them, those along i, j, k in turn, stay half way: where the image ends. Surfaces keep
            their edge there.

    Values are NaN: of margins a mask says nothing. Takes about 150 bytes a crossing, and nothing a voxel.
    """
    matrix = np.asarray(affine, np.float64)[:3, :3]
    i, j, k = (float(s) for s in np.linalg.norm(matrix, axis=0))
    inverse = np.linalg.inv(matrix)
    grid = Grid(labels.reshape(-1, order="F"), np.array(crossings.shape), crossings.places, crossings.rows)
    still = np.zeros(len(crossings), np.bool_) if held is None else held
    fractions, thin = _estimated(labels, grid, crossings, (i, j, k), inverse @ inverse.T)
    fractions[still] = 0.5
    links = contours_of(grid, still | thin)
    fractions = straighten(grid, links, fractions, (i, j, k))
    walls = triangulate(labels, crossings, crossings.by_axis(fractions))
    hold_volumes(grid, links, affine, walls, fractions, still)
    return walls


def _estimated(
    labels: NDArray[np.integer[Any]],
    grid: Grid,
    crossings: Crossings,
    spacing: tuple[float, float, float],
    metric: NDArray[np.float64],
) -> tuple[Values, NDArray[np.bool_]]:
    """The crossings' fractions as the columns along all axes have it, and which belong to what is thin."""
    said = _Said(*(np.empty(len(crossings), np.float32) for _ in range(3)))
    thin = np.empty(len(crossings), np.bool_)
    for axis in range(3):
        parts = [crossings.by_axis(values)[axis] for values in (*said, thin)]
        order, *seen = _seen(labels, crossings, axis, spacing, metric)
        for part, values in zip(parts, seen, strict=True):
            part[order] = values
    return _blend(grid, said), thin


def _seen(
    labels: NDArray[np.integer[Any]],
    crossings: Crossings,
    axis: int,
    spacing: tuple[float, float, float],
    metric: NDArray[np.float64],
) -> tuple[NDArray[np.int32], Values, Values, Values, NDArray[np.bool_]]:
    """What the columns along one axis say of which crossings: fractions, depths, weights, and what is thin."""
    columns = columns_of(labels, crossings, axis, spacing)
    middles = _middles(columns.starts, crossings.shape, axis)
    widths = np.array(HALF_WIDTHS, np.float32)
    flat, starts = labels.reshape(-1, order="F"), crossings.starts[axis]
    thin = _thin(flat, starts, crossings.shape, axis, widths)[columns.order]
    heights = smooth_heights(columns, middles, middles + thin, spacing)
    fractions = np.clip(heights.along - middles + np.float32(0.5), CLEARANCE, 1 - CLEARANCE)
    return columns.order, fractions, *_depths(columns, heights, metric), thin != 0


def _depths(columns: Columns, heights: Heights, metric: NDArray[np.float64]) -> tuple[Values, Values]:
    axes = (columns.axis, *columns.across)
    return _weighed(heights.along, heights.noise, columns.onward, axes, metric)  # type: ignore[no-any-return]


@numba.njit(parallel=True, cache=True)
def _middles(starts: NDArray[np.int64], shape: tuple[int, int, int], axis: int) -> Values:
    middles = np.empty(len(starts), np.float32)
    ni, nj, _ = shape
    for c in numba.prange(len(starts)):
        p = starts[c]
        index = (p % ni, (p // ni) % nj, p // (ni * nj))
        middles[c] = np.float32(index[axis]) + np.float32(0.5)
    return middles


@numba.njit(parallel=True, cache=True)
def _thin(
    flat: NDArray[np.integer[Any]],
    starts: NDArray[np.int64],
    shape: tuple[int, int, int],
    axis: int,
    half_widths: Values,
) -> Values:
    """How far a crossing's middle is moved away from a voxel that is alone along two or three axes."""
    moved = np.empty(len(starts), np.float32)
    ni, nj, _ = shape
    i, j, k = int(axis == 0), int(axis == 1), int(axis == 2)
    for c in numba.prange(len(starts)):
        row = starts[c] // ni
        lower = (starts[c] - row * ni, row % nj, row // nj)
        upper = (lower[0] + i, lower[1] + j, lower[2] + k)
        moved[c] = half_widths[_alone(flat, lower, shape)] - half_widths[_alone(flat, upper, shape)]
    return moved


@numba.njit(cache=True)
def _alone(flat: NDArray[np.integer[Any]], index: tuple[int, int, int], shape: tuple[int, int, int]) -> int:
    """Along how many axes both neighbours of a voxel within the lattice carry other labels than it."""
    strides = (1, shape[0], shape[0] * shape[1])
    p = index[0] + strides[1] * index[1] + strides[2] * index[2]
    axes = 0
    for axis in range(3):
        if 0 < index[axis] < shape[axis] - 1:
            stride = strides[axis]
            axes += flat[p - stride] != flat[p] and flat[p + stride] != flat[p]
    return axes


@numba.njit(parallel=True, cache=True)
def _weighed(
    along: Values,
    noise: Values,
    onward: NDArray[np.int32],
    axes: tuple[int, int, int],
    metric: NDArray[np.float64],
) -> tuple[Values, Values]:
    """For each crossing the distance in mm to the wall for one voxel of height, and the weight of its word.

    The weight is the inverse variance of that distance, times the fourth power of the cosine
    between the wall's normal and the columns: a wall is best judged from the side from which it is flat.
    """
    depths, weights = np.empty_like(along), np.empty_like(along)
    for c in numba.prange(len(along)):
        slope = np.zeros(3)
        slope[axes[0]] = 1.0
        for w in range(2):
            back, forth = onward[2 * w, c], onward[2 * w + 1, c]
            rise = 0.0
            if back >= 0 and forth >= 0:
                rise = (along[forth] - along[back]) / 2
            elif forth >= 0:
                rise = along[forth] - along[c]
            elif back >= 0:
                rise = along[c] - along[back]
            slope[axes[1 + w]] = -rise
        square = 0.0
        for a in range(3):
            for b in range(3):
                square += slope[a] * metric[a, b] * slope[b]
        depths[c] = 1 / np.sqrt(square)
        cosine_square = metric[axes[0], axes[0]] / square
        weights[c] = metric[axes[0], axes[0]] * cosine_square / noise[c]
    return depths, weights


@numba.njit(parallel=True, cache=True)
def _blend(grid: Grid, said: _Said) -> Values:
    """The fractions along all axes, from the depths of both ends of each edge below their wall."""
    flat, starts = grid.labels, grid.starts
    strides = (1, grid.shape[0], grid.shape[0] * grid.shape[1])
    second, third = grid.rows[1, 0], grid.rows[2, 0]
    clearance = np.float32(CLEARANCE)
    blended = np.empty(len(starts), np.float32)
    for c in numba.prange(len(starts)):
        p = starts[c]
        q = p + strides[int(c >= second) + int(c >= third)]
        own = OWN * said.weights[c]
        below, total = _depth(grid, said, p, flat[q], np.int64(c))
        below = (below + own * said.depths[c] * said.fractions[c]) / (total + own)
        above, total = _depth(grid, said, q, flat[p], np.int64(c))
        above = (above + own * said.depths[c] * (1 - said.fractions[c])) / (total + own)
        blended[c] = min(max(below / (below + above), clearance), 1 - clearance)
    return blended


@numba.njit(cache=True)
def _depth(grid: Grid, said: _Said, p: int, other: int, known: int) -> tuple[np.float32, np.float32]:
    """Weighted sum of the depths of voxel ``p`` below its wall to ``other``, and the sum of the weights.

    ``known`` is one of the crossings around the voxel: the others are looked for.
    """
    flat, shape, rows = grid.labels, grid.shape, grid.rows
    strides = (1, shape[0], shape[0] * shape[1])
    index = (p % shape[0], (p // shape[0]) % shape[1], p // strides[2])
    start, own = grid.starts[known], int(known >= rows[1, 0]) + int(known >= rows[2, 0])
    depth, total = np.float32(0), np.float32(0)
    for axis in range(3):
        stride = strides[axis]
        # ahead and behind are added first, so that turning the axis round changes no digit
        ahead = behind = ahead_weight = behind_weight = np.float32(0)
        if index[axis] + 1 < shape[axis] and flat[p + stride] == other:
            c = known if axis == own and p == start else number_of(grid, rows[axis], p)
            ahead_weight = said.weights[c]
            ahead = ahead_weight * said.depths[c] * said.fractions[c]
        if index[axis] > 0 and flat[p - stride] == other:
            c = known if axis == own and p != start else number_of(grid, rows[axis], p - stride)
            behind_weight = said.weights[c]
            behind = behind_weight * said.depths[c] * (1 - said.fractions[c])
        depth += ahead + behind
        total += ahead_weight + behind_weight
    return depth, total

"""Bending a mask's surface as little as its voxels allow.

A surface that was estimated from the stairs of a mask is rough at the stairs' own scale, and nothing in the mask
asks for that. Every crossing lies on two contours (:mod:`tomosurf.surface.contours`); what is made small is the
bending energy of all contours, the square of their curvature along their length, while each crossing stays on its
edge. What is bent by more than a stair is taken for an edge of the structure and counts less the more it is bent,
so that it keeps its place.

Steps go down the energy's slope with momentum, each unknown as far as its stiffness bears, and back to its edge.

References: Gibson 1998, Constrained elastic surface nets, MICCAI (a surface that relaxes within its voxels); Beck
and Teboulle 2009, A fast iterative shrinkage-thresholding algorithm for linear inverse problems, SIAM J. Imaging
Sci. 2; Geman and McClure 1987, Statistical methods for tomographic image reconstruction, Bull. Int. Stat. Inst. 52.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from tomosurf.surface.columns import Grid
from tomosurf.surface.contours import Links
from tomosurf.surface.fractions import CLEARANCE

ROUNDS = 16
"""Steps that are made."""

FRESH = 4
"""Steps after which the weights of bends are computed anew."""

EDGE = 0.2
"""A bend that is this far off the line between its neighbours (in the smallest spacing) counts half."""

SHORT = 0.5
"""Distance in the smallest spacing below which neighbours don't stiffen a contour any more."""

Values = NDArray[np.float32]


class _Surface(NamedTuple):
    """Where each crossing's edge starts, (n, 3), the first crossing along each axis, and the spacing in mm."""

    place: NDArray[np.int32]
    first: NDArray[np.int64]
    size: Values


class _Bends(NamedTuple):
    """For each crossing and each of its two contours, how it lies off the line through its neighbours there."""

    off: Values
    """(n, 2, 2) mm along the contour's two axes, ascending, times the weight."""
    share: Values
    """(n, 2) of the lower neighbour in the point of that line that it is held against."""
    weight: Values
    """(n, 2), 0 where a contour ends."""


def straighten(grid: Grid, links: Links, fractions: Values, spacing: tuple[float, float, float]) -> Values:
    """The ``fractions`` (float32, (n,)) at which crossings lie on their edges, straightened along their contours.

    They stay within [0.001, 0.999]. Lengths are those along the axes, in mm; shear is ignored, which keeps straight
    what is. Crossings on no contour stay where they are. Takes about 120 bytes a crossing.
    """
    surface = _Surface(
        np.empty((len(fractions), 3), np.int32), grid.rows[:, 0].copy(), np.array(spacing, np.float32)
    )
    _places(grid, surface.place)
    bends = _Bends(*(np.zeros((len(fractions), *more), np.float32) for more in ((2, 2), (2,), (2,))))
    now, ahead = fractions.copy(), fractions.copy()
    for done in range(ROUNDS):
        if done % FRESH == 0:
            _weigh(surface, links, now, bends)
        _bend(surface, links, ahead, bends)
        _step(surface, links, now, ahead, bends, np.float32(done / (done + 3)))
    return now


@numba.njit(parallel=True, cache=True)
def _places(grid: Grid, place: NDArray[np.int32]) -> None:
    ni, nj = grid.shape[0], grid.shape[1]
    for c in numba.prange(len(place)):
        row = grid.starts[c] // ni
        place[c, 0] = grid.starts[c] - row * ni
        place[c, 1] = row % nj
        place[c, 2] = row // nj


@numba.njit(cache=True, inline="always")
def _axis(first: NDArray[np.int64], c: int) -> int:
    return int(c >= first[1]) + int(c >= first[2])


@numba.njit(cache=True, inline="always")
def _between(
    surface: _Surface, along: Values, c: int, n: int, axes: tuple[int, int]
) -> tuple[np.float32, np.float32]:
    """From crossing ``c`` to ``n`` in mm, along the axis of ``c`` and along their contour's other one."""
    place, size = surface.place, surface.size
    axis, across = axes
    x = np.float32(place[n, axis] - place[c, axis]) - along[c]
    y = np.float32(place[n, across] - place[c, across])
    if _axis(surface.first, n) == axis:
        x += along[n]
    else:
        y += along[n]
    return x * size[axis], y * size[across]


@numba.njit(parallel=True, cache=True)
def _weigh(surface: _Surface, links: Links, along: Values, bends: _Bends) -> None:
    """The line that each crossing is held against, and how much its distance from there counts."""
    shares, weights = bends.share, bends.weight
    finest = surface.size.min()
    short, edge = np.float32((SHORT * finest) ** 2), np.float32((EDGE * finest) ** 2)
    for c in numba.prange(len(along)):
        axis = _axis(surface.first, c)
        for w in range(2):
            back, forth = links[c, 2 * w] // 4, links[c, 2 * w + 1] // 4
            if back < 0 or forth < 0:
                continue
            axes = (axis, w + int(w >= axis))
            ax, ay = _between(surface, along, c, back, axes)
            bx, by = _between(surface, along, c, forth, axes)
            before, after = np.sqrt(ax * ax + ay * ay), np.sqrt(bx * bx + by * by)
            share = after / (before + after)
            x, y = share * ax + (1 - share) * bx, share * ay + (1 - share) * by
            shares[c, w] = share
            weights[c, w] = (before + after) / (before * after + short) ** 2 * edge / (edge + x * x + y * y)


@numba.njit(parallel=True, cache=True)
def _bend(surface: _Surface, links: Links, along: Values, bends: _Bends) -> None:
    """How far each crossing lies off its lines, with the weights and shares that are given."""
    off, shares, weights = bends.off, bends.share, bends.weight
    for c in numba.prange(len(along)):
        axis = _axis(surface.first, c)
        for w in range(2):
            across, share, weight = w + int(w >= axis), shares[c, w], weights[c, w]
            if weight > 0:
                ax, ay = _between(surface, along, c, links[c, 2 * w] // 4, (axis, across))
                bx, by = _between(surface, along, c, links[c, 2 * w + 1] // 4, (axis, across))
                off[c, w, int(axis > across)] = -weight * (share * ax + (1 - share) * bx)
                off[c, w, int(axis < across)] = -weight * (share * ay + (1 - share) * by)


@numba.njit(parallel=True, cache=True)
def _step(
    surface: _Surface, links: Links, now: Values, ahead: Values, bends: _Bends, momentum: np.float32
) -> None:
    """Move crossings down the energy's slope at the places ahead, and look ahead from there.

    A bend holds three unknowns, so that a third of what one alone would need never goes too far.
    """
    off, shares, weights = bends.off, bends.share, bends.weight
    low, high = np.float32(CLEARANCE), np.float32(1 - CLEARANCE)
    for c in numba.prange(len(now)):
        axis = _axis(surface.first, c)
        slope = stiffness = np.float32(0)
        for w in range(2):
            part = int(axis > w + int(w >= axis))
            # both sides are added first, so that turning the axis round changes no digit
            pull = stiff = np.float32(0)
            for way in range(2 * w, 2 * w + 2):
                if links[c, way] >= 0:
                    n, v = links[c, way] // 4, links[c, way] % 4 // 2
                    share = shares[n, v] if links[c, way] % 2 else 1 - shares[n, v]
                    pull += share * off[n, v, part]
                    stiff += share * share * weights[n, v]
            slope += off[c, w, part] - pull
            stiffness += weights[c, w] + stiff
        if stiffness > 0:
            before = now[c]
            moved = min(max(ahead[c] - slope / (3 * stiffness * surface.size[axis]), low), high)
            now[c], ahead[c] = moved, moved + momentum * (moved - before)

"""Bending a mask's surface as little as its voxels allow.

A surface that was estimated from the stairs of a mask is rough at the stairs' own scale, and near the lattice's
planes, where steps lie far apart, it goes up and down with them. Both are bends that nothing in the mask asks for.
Every crossing lies on two contours (:mod:`tomosurf.surface.contours`); what is made small is the bending energy of
all contours, the square of their curvature along their length, while each crossing stays on its edge. What is bent
by more than a stair is taken for an edge of the structure and counts less the more it is bent, so that it keeps its
place.

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
from tomosurf.surface.contours import Links, twice
from tomosurf.surface.fractions import CLEARANCE

ROUNDS = 12
"""Steps over single crossings."""

LONG_ROUNDS = 24
"""Steps over terraces, which go before."""

DOUBLINGS = 3
"""Terraces are straightened over 2 to the power of these crossings: farther than stairs' steps are elsewhere."""

FRESH = 4
"""Steps after which the weights of bends are computed anew."""

EDGE = 0.2
"""A bend that is this far off the line between its neighbours (in the smallest spacing) counts half."""

TERRACE = 0.3
"""One between terraces that is this far off doesn't count: there the surface is round."""

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
    stiff: Values
    """(n, 2) weight by which steps are measured; not below the other."""


def straighten(grid: Grid, links: Links, fractions: Values, spacing: tuple[float, float, float]) -> Values:
    """The ``fractions`` (float32, (n,)) at which crossings lie on their edges, straightened along their contours.

    They stay within [0.001, 0.999]. Lengths are those along the axes, in mm; shear is ignored, which keeps straight
    what is. Crossings on no contour stay where they are. Takes about 120 bytes a crossing.
    """
    surface = _Surface(
        np.empty((len(fractions), 3), np.int32), grid.rows[:, 0].copy(), np.array(spacing, np.float32)
    )
    _places(grid, surface.place)
    now, far = fractions.copy(), links
    for _ in range(DOUBLINGS):
        far = twice(far)
    _relax(surface, far, now, terraces=True)
    _relax(surface, links, now, terraces=False)
    return now


def _relax(surface: _Surface, links: Links, now: Values, terraces: bool) -> None:
    """Move crossings to where their contours are straighter, in place."""
    bends = _Bends(*(np.zeros((len(now), *more), np.float32) for more in ((2, 2), (2,), (2,), (2,))))
    every = np.arange(len(now), dtype=np.int32)
    _weigh(surface, links, now, bends, terraces, every)
    moving = np.flatnonzero(_pulled(links, bends)).astype(np.int32) if terraces else every
    ahead = now.copy()
    for done in range(LONG_ROUNDS if terraces else ROUNDS):
        if done and done % FRESH == 0:
            _weigh(surface, links, now, bends, terraces, moving)
        _bend(surface, links, ahead, bends, moving)
        _step(surface, links, (now, ahead), bends, np.float32(done / (done + 3)), moving)


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


@numba.njit(cache=True, inline="always")
def _level(surface: _Surface, links: Links, c: int, way: int, axis: int) -> bool:
    """Whether the crossing that ``way`` leads to lies on the terrace of ``c`` across ``axis`` or one step off.

    Its contour goes on in the same direction there, so that it isn't the far side of something thin.
    """
    n = links[c, way] // 4
    steps = surface.place[n, axis] - surface.place[c, axis]
    level: bool = n != c and links[c, way] % 4 == way and _axis(surface.first, n) == axis and -1 <= steps <= 1
    return level


@numba.njit(parallel=True, cache=True)
def _weigh(
    surface: _Surface, links: Links, along: Values, bends: _Bends, terraces: bool, some: NDArray[np.int32]
) -> None:
    """The line that each of ``some`` crossings is held against, and how much its distance from there counts."""
    shares, weights, stiffs = bends.share, bends.weight, bends.stiff
    finest = surface.size.min()
    short, edge = np.float32((SHORT * finest) ** 2), np.float32((EDGE * finest) ** 2)
    terrace = np.float32((TERRACE * finest) ** 2)
    for at in numba.prange(len(some)):
        c = some[at]
        axis = _axis(surface.first, c)
        for w in range(2):
            back, forth = links[c, 2 * w] // 4, links[c, 2 * w + 1] // 4
            weights[c, w] = stiffs[c, w] = 0
            if back < 0 or forth < 0:
                continue
            if terraces and not (
                _level(surface, links, c, 2 * w, axis) and _level(surface, links, c, 2 * w + 1, axis)
            ):
                continue
            axes = (axis, w + int(w >= axis))
            ax, ay = _between(surface, along, c, back, axes)
            bx, by = _between(surface, along, c, forth, axes)
            before, after = np.sqrt(ax * ax + ay * ay), np.sqrt(bx * bx + by * by)
            share = after / (before + after)
            x, y = share * ax + (1 - share) * bx, share * ay + (1 - share) * by
            off = x * x + y * y
            weight = (before + after) / (before * after + short) ** 2
            stiff = weight
            if terraces:
                weight *= max(np.float32(0), 1 - off / terrace) ** 2
            else:
                weight *= edge / (edge + off)
                stiff = weight
            shares[c, w], weights[c, w], stiffs[c, w] = share, weight, stiff


@numba.njit(parallel=True, cache=True)
def _pulled(links: Links, bends: _Bends) -> NDArray[np.bool_]:
    """Which crossings have a bend of some weight, their own or a neighbour's."""
    weights = bends.weight
    pulled = np.zeros(len(links), np.bool_)
    for c in numba.prange(len(links)):
        found = weights[c, 0] > 0 or weights[c, 1] > 0
        for way in range(4):
            onward = links[c, way]
            found = found or (onward >= 0 and weights[onward // 4, onward % 4 // 2] > 0)
        pulled[c] = found
    return pulled


@numba.njit(parallel=True, cache=True)
def _bend(surface: _Surface, links: Links, along: Values, bends: _Bends, some: NDArray[np.int32]) -> None:
    """How far each of ``some`` crossings lies off its lines, with the weights and shares that are given."""
    off, shares, weights = bends.off, bends.share, bends.weight
    for at in numba.prange(len(some)):
        c = some[at]
        axis = _axis(surface.first, c)
        for w in range(2):
            across, share, weight = w + int(w >= axis), shares[c, w], weights[c, w]
            x = y = np.float32(0)
            if weight > 0:
                ax, ay = _between(surface, along, c, links[c, 2 * w] // 4, (axis, across))
                bx, by = _between(surface, along, c, links[c, 2 * w + 1] // 4, (axis, across))
                x, y = share * ax + (1 - share) * bx, share * ay + (1 - share) * by
            off[c, w, int(axis > across)] = -weight * x
            off[c, w, int(axis < across)] = -weight * y


@numba.njit(parallel=True, cache=True)
def _step(
    surface: _Surface,
    links: Links,
    along: tuple[Values, Values],
    bends: _Bends,
    momentum: np.float32,
    some: NDArray[np.int32],
) -> None:
    """Move ``some`` crossings down the energy's slope at the places ahead, and look ahead from there.

    A bend holds three unknowns, so that a third of what one alone would need never goes too far.
    """
    now, ahead = along
    off, shares, stiffs = bends.off, bends.share, bends.stiff
    low, high = np.float32(CLEARANCE), np.float32(1 - CLEARANCE)
    for at in numba.prange(len(some)):
        c = some[at]
        axis = _axis(surface.first, c)
        slope = stiffness = np.float32(0)
        for w in range(2):
            part = int(axis > w + int(w >= axis))
            slope += off[c, w, part]
            stiffness += stiffs[c, w]
            # both sides are added first, so that turning the axis round changes no digit
            pull = stiff = np.float32(0)
            for way in range(2 * w, 2 * w + 2):
                if links[c, way] >= 0:
                    n, v = links[c, way] // 4, links[c, way] % 4 // 2
                    share = shares[n, v] if links[c, way] % 2 else 1 - shares[n, v]
                    pull += share * off[n, v, part]
                    stiff += share * share * stiffs[n, v]
            slope -= pull
            stiffness += stiff
        if stiffness > 0:
            before = now[c]
            moved = min(max(ahead[c] - slope / (3 * stiffness * surface.size[axis]), low), high)
            now[c], ahead[c] = moved, moved + momentum * (moved - before)

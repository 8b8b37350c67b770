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

ONE = np.float32(1)  # whole numbers would make float64 of float32

Values = NDArray[np.float32]


class _Surface(NamedTuple):
    """The contours, the first crossing along each axis, and the spacing in mm."""

    links: Links
    first: NDArray[np.int64]
    size: Values


OFF, SHARE, WEIGHT = 0, 2, 3
"""What is kept of each crossing on each of its two contours, (n, 2, 4) float32.

From ``OFF`` on, two numbers: how far it lies off the line through its neighbours there, in mm along the contour's
two axes, ascending, times the weight. ``SHARE``: the lower neighbour's in the point of that line that it is held
against. ``WEIGHT``: 0 where the contour ends.
"""


def straighten(grid: Grid, links: Links, fractions: Values, spacing: tuple[float, float, float]) -> Values:
    """The ``fractions`` (float32, (n,)) at which crossings lie on their edges, straightened along their contours.

    They stay within [0.001, 0.999]. Lengths are those along the axes, in mm; shear is ignored, which keeps straight
    what is. Crossings on no contour stay where they are. Takes 40 bytes a crossing.
    """
    surface = _Surface(links, grid.rows[:, 0].copy(), np.array(spacing, np.float32))
    bends = np.zeros((len(fractions), 2, 4), np.float32)
    now, ahead = fractions.copy(), fractions.copy()
    for done in range(ROUNDS):
        if done % FRESH == 0:
            _weigh(surface, now, bends)
        _bend(surface, ahead, bends)
        _step(surface, now, ahead, bends, np.float32(done / (done + 3)))
    return now


@numba.njit(cache=True, inline="always")
def _axis(first: NDArray[np.int64], c: int) -> int:
    return int(c >= first[1]) + int(c >= first[2])


@numba.njit(cache=True, inline="always")
def _between(
    surface: _Surface, along: Values, c: int, way: int, axes: tuple[int, int]
) -> tuple[np.float32, np.float32]:
    """From crossing ``c`` to its neighbour on a ``way``, in mm along its own axis and the contour's other one."""
    axis, across = axes
    onward, low = surface.links[c, way], np.float32((way & 1) - 1)
    if _axis(surface.first, onward >> 2) == axis:
        x, y = along[onward >> 2] - along[c], np.float32(2) * low + ONE
    else:
        # on an edge aside, from the lower or the upper end, by which the contour then leaves it
        x, y = np.float32(onward & 1) - along[c], low + along[onward >> 2]
    return x * surface.size[axis], y * surface.size[across]


@numba.njit(parallel=True, cache=True)
def _weigh(surface: _Surface, along: Values, bends: Values) -> None:
    """The line that each crossing is held against, and how much its distance from there counts."""
    links, finest = surface.links, surface.size.min()
    short, edge = np.float32((SHORT * finest) ** 2), np.float32((EDGE * finest) ** 2)
    for c in numba.prange(len(along)):
        axis = _axis(surface.first, c)
        for w in range(2):
            if links[c, 2 * w] < 0 or links[c, 2 * w + 1] < 0:
                continue
            axes = (axis, w + int(w >= axis))
            ax, ay = _between(surface, along, c, 2 * w, axes)
            bx, by = _between(surface, along, c, 2 * w + 1, axes)
            before, after = np.sqrt(ax * ax + ay * ay), np.sqrt(bx * bx + by * by)
            share = after / (before + after)
            x, y = share * ax + (ONE - share) * bx, share * ay + (ONE - share) * by
            bends[c, w, SHARE] = share
            stiffness = (before + after) / (before * after + short) ** 2
            bends[c, w, WEIGHT] = stiffness * edge / (edge + x * x + y * y)


@numba.njit(parallel=True, cache=True)
def _bend(surface: _Surface, along: Values, bends: Values) -> None:
    """How far each crossing lies off its lines, with the weights and shares that are given."""
    for c in numba.prange(len(along)):
        axis = _axis(surface.first, c)
        for w in range(2):
            across, share, weight = w + int(w >= axis), bends[c, w, SHARE], bends[c, w, WEIGHT]
            if weight > 0:
                ax, ay = _between(surface, along, c, 2 * w, (axis, across))
                bx, by = _between(surface, along, c, 2 * w + 1, (axis, across))
                bends[c, w, OFF + int(axis > across)] = -weight * (share * ax + (ONE - share) * bx)
                bends[c, w, OFF + int(axis < across)] = -weight * (share * ay + (ONE - share) * by)


@numba.njit(parallel=True, cache=True)
def _step(surface: _Surface, now: Values, ahead: Values, bends: Values, momentum: np.float32) -> None:
    """Move crossings down the energy's slope at the places ahead, and look ahead from there.

    A bend holds three unknowns, so that a third of what one alone would need never goes too far.
    """
    links = surface.links
    low, high = np.float32(CLEARANCE), np.float32(1 - CLEARANCE)
    for c in numba.prange(len(now)):
        axis = _axis(surface.first, c)
        slope = stiffness = np.float32(0)
        for w in range(2):
            part = OFF + int(axis > w + int(w >= axis))
            # both sides are added first, so that turning the axis round changes no digit
            pull = stiff = np.float32(0)
            for way in range(2 * w, 2 * w + 2):
                onward = links[c, way]
                if onward >= 0:
                    n, v = onward >> 2, onward >> 1 & 1
                    share = bends[n, v, SHARE] if onward & 1 else ONE - bends[n, v, SHARE]
                    pull += share * bends[n, v, part]
                    stiff += share * share * bends[n, v, WEIGHT]
            slope += bends[c, w, part] - pull
            stiffness += bends[c, w, WEIGHT] + stiff
        if stiffness > 0:
            before = now[c]
            moved = min(max(ahead[c] - slope / (np.float32(3) * stiffness * surface.size[axis]), low), high)
            now[c], ahead[c] = moved, moved + momentum * (moved - before)

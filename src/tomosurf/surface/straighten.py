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
    """The contours, the first crossing along the second and along the third axis, and the spacing in mm."""

    links: Links
    second: int
    third: int
    size: Values


class _Bends(NamedTuple):
    """What is known of each crossing's bends on its two contours.

    A bend pulls at three crossings. What it does to its neighbours lies where their links lead, at ``4 * number +
    column``: that column is the one on the far side. The last place is 0, for links that end.
    """

    lines: Values
    """(n, 2, 2): the lower neighbour's share in the point of their line that it is held against, and how much its
    distance from there counts; 0 where the contour ends."""
    own: Values
    """(n,) on itself, of both bends together."""
    aside: Values
    """(4 n + 1,) on its neighbours."""


def straighten(grid: Grid, links: Links, fractions: Values, spacing: tuple[float, float, float]) -> Values:
    """The ``fractions`` (float32, (n,)) at which crossings lie on their edges, straightened along their contours.

    They stay within [0.001, 0.999]. Lengths are those along the axes, in mm; shear is ignored, which keeps straight
    what is. Crossings on no contour stay where they are. Takes 48 bytes a crossing.
    """
    count = len(fractions)
    second, third = (int(first) for first in grid.rows[1:, 0])
    surface = _Surface(links, second, third, np.array(spacing, np.float32))
    bends = _Bends(
        np.zeros((count, 2, 2), np.float32), np.empty(count, np.float32), np.zeros(4 * count + 1, np.float32)
    )
    now, ahead, rates = fractions.copy(), fractions.copy(), np.empty(count, np.float32)
    for done in range(ROUNDS):
        if done % FRESH == 0:
            _weigh(surface, now, bends.lines, bends.own, bends.aside)
            _rate(surface, bends, rates)
        _bend(surface, ahead, bends.lines, bends.own, bends.aside)
        _step(links, bends, rates, now, ahead, np.float32(done / (done + 3)))
    return now


# Kernels have no branches that can't be foreseen; and unsigned places, since others may count from the end.


@numba.njit(cache=True)
def _axis(second: int, third: int, c: int) -> int:
    return int(c >= second) + int(c >= third)


@numba.njit(cache=True)
def _place(onward: int, none: int) -> np.uint64:
    """A link, or ``none`` where it ends."""
    return np.uint64(onward if onward >= 0 else none)


@numba.njit(cache=True)
def _between(
    onward: int, there: np.float32, here: np.float32, same: bool, low: np.float32
) -> tuple[np.float32, np.float32]:
    """From a crossing to its neighbour, in steps along its own axis and the contour's other one.

    ``low`` is where the lower end of an edge aside lies along the latter, -1 or 0; from there, or from the upper
    end, the contour leaves the neighbour.
    """
    x = there if same else np.float32(onward & 1)
    y = np.float32(2) * low + ONE if same else low + there
    return x - here, y


@numba.njit(parallel=True, cache=True)
def _weigh(surface: _Surface, along: Values, lines: Values, own: Values, aside: Values) -> None:
    """The line that each crossing is held against, and how much its distance from there counts.

    To ``own`` and ``aside`` goes how stiff that makes each of the three.
    """
    links, size, second, third = surface.links, surface.size, surface.second, surface.third
    finest = size.min()
    short, edge = np.float32((SHORT * finest) ** 2), np.float32((EDGE * finest) ** 2)
    for c in numba.prange(len(links)):
        axis, here, total = _axis(second, third, c), along[c], np.float32(0)
        for w in range(2):
            back, forth = links[c, 2 * w], links[c, 2 * w + 1]
            if back < 0 or forth < 0:
                continue
            before, after = np.uint64(back >> 2), np.uint64(forth >> 2)
            ax, ay = _between(back, along[before], here, _axis(second, third, before) == axis, -ONE)
            bx, by = _between(forth, along[after], here, _axis(second, third, after) == axis, np.float32(0))
            across = w + int(w >= axis)
            ax, ay, bx, by = ax * size[axis], ay * size[across], bx * size[axis], by * size[across]
            a, b = np.sqrt(ax * ax + ay * ay), np.sqrt(bx * bx + by * by)
            share = b / (a + b)
            other = ONE - share
            x, y = share * ax + other * bx, share * ay + other * by
            weight = (a + b) / (a * b + short) ** 2 * edge / (edge + x * x + y * y)
            lines[c, w, 0], lines[c, w, 1] = share, weight
            aside[4 * c + 2 * w + 1], aside[4 * c + 2 * w] = share * share * weight, other * other * weight
            total += weight
        own[c] = total


@numba.njit(parallel=True, cache=True)
def _rate(surface: _Surface, bends: _Bends, rates: Values) -> None:
    """How far each crossing moves, as a fraction of its edge, where it is pulled at by so much.

    A bend holds three unknowns, so that a third of what one alone would need never goes too far.
    """
    links, size, second, third = surface.links, surface.size, surface.second, surface.third
    own, aside = bends.own, bends.aside
    none = len(aside) - 1
    for c in numba.prange(len(links)):
        stiffness = own[c]
        for w in range(2):
            # both sides are added first, here and below, so that turning the axis round changes no digit
            stiffness += aside[_place(links[c, 2 * w], none)] + aside[_place(links[c, 2 * w + 1], none)]
        stiffness *= np.float32(3) * size[_axis(second, third, c)]
        rates[c] = ONE / stiffness if stiffness > 0 else np.float32(0)


@numba.njit(parallel=True, cache=True)
def _bend(surface: _Surface, along: Values, lines: Values, own: Values, aside: Values) -> None:
    """How far each crossing lies off its lines, in mm and weighted, for itself and its neighbours.

    Each is pulled at along its own axis: of a neighbour on the contour's other axis that is the other part.
    """
    links, size, second, third = surface.links, surface.size, surface.second, surface.third
    for c in numba.prange(len(links)):
        axis, here, total = _axis(second, third, c), along[c], np.float32(0)
        for w in range(2):
            back, forth = links[c, 2 * w], links[c, 2 * w + 1]
            share, weight = lines[c, w, 0], lines[c, w, 1]
            # where a contour ends the weight is 0, and any place will do
            before, after = _place(back, 0) >> np.uint64(2), _place(forth, 0) >> np.uint64(2)
            same, alike = _axis(second, third, before) == axis, _axis(second, third, after) == axis
            ax, ay = _between(back, along[before], here, same, -ONE)
            bx, by = _between(forth, along[after], here, alike, np.float32(0))
            other = ONE - share
            x = weight * (share * ax + other * bx) * size[axis]
            y = weight * (share * ay + other * by) * size[w + int(w >= axis)]
            total += x
            aside[4 * c + 2 * w + 1] = share * (x if same else y)
            aside[4 * c + 2 * w] = other * (x if alike else y)
        own[c] = total


@numba.njit(parallel=True, cache=True)
def _step(
    links: Links, bends: _Bends, rates: Values, now: Values, ahead: Values, momentum: np.float32
) -> None:
    """Move crossings down the energy's slope at the places ahead, and look ahead from there."""
    own, aside = bends.own, bends.aside
    low, high = np.float32(CLEARANCE), np.float32(1 - CLEARANCE)
    none = len(aside) - 1
    for c in numba.prange(len(links)):
        pull = own[c]
        for w in range(2):
            pull -= aside[_place(links[c, 2 * w], none)] + aside[_place(links[c, 2 * w + 1], none)]
        before = now[c]
        moved = min(max(ahead[c] + pull * rates[c], low), high)
        now[c], ahead[c] = moved, moved + momentum * (moved - before)

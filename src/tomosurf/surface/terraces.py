"""Spanning the terraces of a wall's stairs where it is nearly parallel to the lattice.

There steps lie so far apart that averaging over columns ends before the next: the wall goes up and down with its
terraces. But it crosses the middle of every step, since on either side of it a voxel's centre changes sides. So the
heights of wide terraces are bent as little as can be while each stays within its half voxel, over wide strides and
over narrow ones in turn; what is then still nearly straight over wide strides is straightened.

References: Terzopoulos 1983, Multilevel computational processes for visual surface reconstruction, Comput. Vis.
Graph. Image Process. 24 (thin plates over several grids); Beck and Teboulle 2009, A fast iterative
shrinkage-thresholding algorithm for linear inverse problems, SIAM J. Imaging Sci. 2 (the momentum).
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from tomosurf.surface.columns import Columns
from tomosurf.surface.fractions import CLEARANCE

WIDE = 3
"""A terrace is wide that is 2 to the power of this times as wide as a step is high."""

CYCLES = 3
"""How often wide and narrow strides take turns."""

ROUNDS = 8
"""Steps at each of them."""

LAST_ROUNDS = 24
"""Steps for what is nearly straight."""

ROUND = 0.3
"""What is this far off a straight line over a wide stride (in the smallest spacing) is round, not straight."""

HALF = np.float32(0.5)

Values = NDArray[np.float32]
Links = NDArray[np.int32]


class _Terraces(NamedTuple):
    """Which columns a stride leads to, as in :class:`Columns`, and what lies on wide terraces."""

    onward: Links
    middles: Values
    free: NDArray[np.bool_]
    """(2, n): which columns move for the sake of their neighbours along each of the two other axes."""


def span_terraces(
    columns: Columns, middles: Values, heights: Values, spacing: tuple[float, float, float]
) -> Values:
    """The ``heights`` of a wall, straightened where it lies in wide terraces; all (n,) float32, in indices.

    No height leaves the half voxel on either side of its crossing's middle. Spacing in mm.
    """
    finest, height = min(spacing), spacing[columns.axis]
    extra = [int(np.floor(np.log2(height / spacing[axis]))) for axis in columns.across]
    wide = _onward(columns.onward, [WIDE + n for n in extra])
    narrow = _onward(columns.onward, [1 + n for n in extra])
    free = _on_terraces(middles, wide)
    some = np.flatnonzero(free.any(axis=0)).astype(np.int32)
    around = [_around(links, some) for links in (wide, narrow)]
    spanned = heights.copy()
    for _ in range(CYCLES):
        for links, bent in zip((wide, narrow), around, strict=True):
            _relax(spanned, _Terraces(links, middles, free), (some, bent), ROUNDS, 0.0)
    _relax(spanned, _Terraces(wide, middles, free), (around[0], some), LAST_ROUNDS, ROUND * finest / height)
    return spanned


def _onward(onward: Links, doublings: list[int]) -> Links:
    """Links doubled so often along each of the two axes; not at all for less than one."""
    far = []
    for w, times in enumerate(doublings):
        links = onward[2 * w : 2 * w + 2]
        for _ in range(times):
            links = doubled(links)
        far.append(links)
    return np.concatenate(far)


@numba.njit(parallel=True, cache=True)
def doubled(onward: Links) -> Links:
    """The (2, n) columns back and forth that lie twice as far."""
    double = np.empty_like(onward)
    for c in numba.prange(onward.shape[1]):
        for way in range(2):
            beside = onward[way, c]
            double[way, c] = onward[way, beside] if beside >= 0 else -1
    return double


@numba.njit(parallel=True, cache=True)
def _on_terraces(middles: Values, onward: Links) -> NDArray[np.bool_]:
    """(2, n) where a wall goes on both ways along an axis, with one step at most each way."""
    found = np.zeros((2, len(middles)), np.bool_)
    for c in numba.prange(len(middles)):
        for w in range(2):
            back, forth = onward[2 * w, c], onward[2 * w + 1, c]
            if back >= 0 and forth >= 0:
                steps = max(abs(middles[back] - middles[c]), abs(middles[forth] - middles[c]))
                found[w, c] = steps < 1.5
    return found


def _around(onward: Links, some: NDArray[np.int32]) -> NDArray[np.int32]:
    """``some`` columns and those that a stride leads to from there."""
    found = np.zeros(onward.shape[1] + 1, np.bool_)  # the last for where there is none
    found[some] = True
    found[onward[:, some]] = True
    return np.flatnonzero(found[:-1]).astype(np.int32)


def _relax(
    heights: Values,
    terraces: _Terraces,
    lists: tuple[NDArray[np.int32], NDArray[np.int32]],
    rounds: int,
    nearly: float,
) -> None:
    """Straighten ``heights`` in place: those of the columns in the first of the lists, from bends in the second."""
    moving, bent = lists
    straight = nearly > 0
    stiffness = _stiffness(terraces, moving, straight)
    ahead, bends = heights.copy(), np.zeros((len(heights), 2), np.float32)
    for done in range(rounds):
        _bend(terraces, ahead, bends, np.float32(nearly), bent)
        momentum = np.float32(done / (done + 3))
        _step(terraces, heights, ahead, bends, (moving, stiffness, straight, momentum))


@numba.njit(parallel=True, cache=True)
def _stiffness(terraces: _Terraces, some: NDArray[np.int32], straight: bool) -> Values:
    """Three times how stiff each of ``some`` heights is: a bend holds three, so that a step never goes too far."""
    onward, free = terraces.onward, terraces.free
    stiffness = np.empty(len(some), np.float32)
    for at in numba.prange(len(some)):
        c = some[at]
        total = np.float32(0)
        for w in range(2):
            if not (free[w, c] or straight):
                continue
            total += np.float32(free[w, c])
            for way in range(2 * w, 2 * w + 2):
                n = onward[way, c]
                if n >= 0:
                    bent = free[w, n] if straight else onward[2 * w, n] >= 0 and onward[2 * w + 1, n] >= 0
                    total += np.float32(0.25) * np.float32(bent)
        stiffness[at] = np.float32(3) * total
    return stiffness


@numba.njit(parallel=True, cache=True)
def _bend(
    terraces: _Terraces, heights: Values, bends: Values, nearly: np.float32, some: NDArray[np.int32]
) -> None:
    """How far heights lie off the middle between their neighbours along each axis.

    With ``nearly`` above 0 only for those on terraces, and less the farther off they are, down to nothing there.
    """
    onward, free = terraces.onward, terraces.free
    for at in numba.prange(len(some)):
        c = some[at]
        for w in range(2):
            back, forth = onward[2 * w, c], onward[2 * w + 1, c]
            if back < 0 or forth < 0 or (nearly > 0 and not free[w, c]):
                continue
            bend = heights[c] - HALF * (heights[back] + heights[forth])
            if nearly > 0:
                off = bend / nearly
                share = max(np.float32(0), np.float32(1) - off * off)
                bend *= share * share
            bends[c, w] = bend


@numba.njit(parallel=True, cache=True)
def _step(
    terraces: _Terraces,
    now: Values,
    ahead: Values,
    bends: Values,
    given: tuple[NDArray[np.int32], Values, bool, np.float32],
) -> None:
    """Move heights down the slope of the sum of squared bends at the places ahead, and look ahead from there."""
    onward, middles, free = terraces.onward, terraces.middles, terraces.free
    some, stiffness, straight, momentum = given
    room = np.float32(0.5 - CLEARANCE)
    for at in numba.prange(len(some)):
        if stiffness[at] == 0:
            continue
        c = some[at]
        slope = np.float32(0)
        for w in range(2):
            if not (free[w, c] or straight):
                continue
            # both sides are added first, so that turning the axis round changes no digit
            back, forth = onward[2 * w, c], onward[2 * w + 1, c]
            pull = bends[back, w] if back >= 0 else np.float32(0)
            pull += bends[forth, w] if forth >= 0 else np.float32(0)
            slope += bends[c, w] - HALF * pull
        before = now[c]
        moved = min(max(ahead[c] - slope / stiffness[at], middles[c] - room), middles[c] + room)
        now[c], ahead[c] = moved, moved + momentum * (moved - before)

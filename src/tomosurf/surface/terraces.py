"""Spanning the terraces of a wall's stairs where it is nearly parallel to the lattice.

There steps lie so far apart that averaging over columns ends before the next: the wall goes up and down with its
terraces. But it crosses the middle of every step, since on either side of it a voxel's centre changes sides. So the
heights of wide terraces are bent as little as can be while each stays within its half voxel, over wide strides and
over narrow ones in turn; what is then still nearly straight over wide strides is straightened.

Reference: Terzopoulos 1983, Multilevel computational processes for visual surface reconstruction, Comput. Vis.
Graph. Image Process. 24 (thin plates over several grids).
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from tomosurf.surface.bends import Stride, beside, groups_of, packed, relax
from tomosurf.surface.columns import Columns

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

Values = NDArray[np.float32]
Links = NDArray[np.int32]


def span_terraces(
    columns: Columns, middles: Values, heights: Values, spacing: tuple[float, float, float]
) -> Values:
    """The ``heights`` of a wall, straightened where it lies in wide terraces; all (n,) float32, in indices.

    No height leaves the half voxel on either side of its crossing's middle. Spacing in mm.
    """
    finest, height = min(spacing), spacing[columns.axis]
    extra = [int(np.floor(np.log2(height / spacing[axis]))) for axis in columns.across]
    wide, narrow = (_onward(columns.onward, [times + n for n in extra]) for times in (WIDE, 1))
    free = _on_terraces(middles, wide)
    strides = (_straighten(wide, free), _straighten(narrow, free))
    groups = groups_of(strides)  # levelling out joins none that straightening over the same stride doesn't
    over_wide, over_narrow = (packed(stride, groups) for stride in strides)
    level = packed(_level_out(wide, free), groups)
    middles, spanned = middles[groups.order], heights[groups.order]
    for stride in (over_wide, over_narrow) * CYCLES:
        relax(spanned, middles, stride, groups, ROUNDS, np.float32(0))
    relax(spanned, middles, level, groups, LAST_ROUNDS, np.float32(ROUND * finest / height))
    whole = heights.copy()
    whole[groups.order] = spanned
    return whole


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


def _straighten(onward: Links, free: NDArray[np.bool_]) -> Stride:
    """A stride to straighten by: what is free along an axis moves, for the sake of all bends it has a part in."""
    return Stride(onward, free, _led_to(onward, free))


def _level_out(onward: Links, free: NDArray[np.bool_]) -> Stride:
    """One for what is nearly straight: bends of what is free count, and all that has a part in them moves."""
    return Stride(onward, _leading_to(onward, free), free)


@numba.njit(cache=True)
def _led_to(onward: Links, free: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(2, n) what is ``free`` along an axis or one stride from there along it, if the wall goes on both ways.

    What is free has a column one stride away, whichever the stride.
    """
    found = free.copy()
    for w in range(2):
        for c in range(free.shape[1]):
            if free[w, c]:
                for way in range(2 * w, 2 * w + 2):
                    n = onward[way, c]
                    found[w, n] |= onward[2 * w, n] >= 0 and onward[2 * w + 1, n] >= 0
    return found


@numba.njit(parallel=True, cache=True)
def _leading_to(onward: Links, free: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(2, n) what is ``free`` along an axis or has a part in the bend of what is."""
    found = free.copy()
    for c in numba.prange(free.shape[1]):
        for w in range(2):
            found[w, c] |= (
                beside(onward, free, w, c, 2 * w) >= 0 or beside(onward, free, w, c, 2 * w + 1) >= 0
            )
    return found

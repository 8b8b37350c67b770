"""Smoothing a wall's heights as far as the mask bears it out, and no farther.

The mask says of a height only that it lies within half a voxel of the middle of its crossing. It is averaged over
ever more columns, each time with a kernel that leaves quadratics as they are (curved surfaces don't shrink),
until the result no longer fits the mask around it. A smooth organ is so averaged over some thirty columns, a bone's
edge over none, and a vessel over many along it and few across, all with the same two constants.

References: Savitzky and Golay 1964, Smoothing and differentiation of data by simplified least squares procedures,
Anal. Chem. 36; Holschneider et al. 1989, A real-time algorithm for signal analysis with the help of the wavelet
transform (each level doubles the kernel's step); Thao and Vetterli 1994, Deterministic analysis of oversampled A/D
conversion, IEEE Trans. Signal Process. 42 (an estimate has to be consistent with what was quantised).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from tomosurf.surface.columns import Columns
from tomosurf.surface.terraces import doubled, span_terraces

LEVELS = 5
"""How often the kernel's step is doubled: its reach is 2, 4, 8, 16, 32 of the finest spacing."""

MISFIT = 0.01
"""Mean distance (voxels) beyond half a voxel from the mask's crossings at which smoothing has come to its end."""

KEPT = np.array([1, 17 / 35, 13 / 35, 31 / 35], np.float32)
"""What is kept of the variance: without a fit; by a quadratic through five columns at its middle, next to it, at
its end."""

Values = NDArray[np.float32]
Links = NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Heights:
    """Where a wall crosses its columns.

    Args:
        along: (n,) float32, index along the columns' axis.
        noise: (n,) float32 in (0, 1], the share of the digitisation's variance (1/12 voxel squared) that is left.
    """

    along: Values
    noise: Values


def smooth_heights(
    columns: Columns, middles: Values, first: Values, spacing: tuple[float, float, float]
) -> Heights:
    """Smooth the heights ``first`` of a wall whose crossings' middles are at ``middles`` ((n,) float32, indices).

    Where it is nearly parallel to the lattice it spans its terraces (:mod:`tomosurf.surface.terraces`).

    Both orders of the two axes are taken and averaged, so that the result doesn't depend on the axes' names.
    """
    levels = [_levels(spacing[axis], min(spacing)) for axis in columns.across]
    links = [_with_double(columns.onward[2 * w : 2 * w + 2]) for w in range(2)]
    one, other = (_Smoothing.of(first, order) for order in ((0, 1), (1, 0)))
    fits = _Fits.room(len(first))
    for level in range(LEVELS):
        for w in range(2):
            if level in levels[w] and level != levels[w].start:
                links[w] = _with_double(links[w].two)
        for smoothing in (one, other):
            for w in smoothing.order:
                if level in levels[w]:
                    smoothing.further(w, links, middles, fits)
    half = np.float32(0.5)
    noise: Values = half * (one.noise + other.noise)
    along: Values = half * (one.along + other.along)
    del one, other, fits, links
    along = span_terraces(columns, middles, along, spacing)
    return Heights(_level_with(along, noise, columns.onward), noise)


def _levels(spacing: float, finest: float) -> range:
    """The levels at which an axis takes part: from where the kernel's step is as long as its spacing."""
    return range(max(0, round(float(np.log2(spacing / finest)))), LEVELS)


class _Fits(NamedTuple):
    """What is fitted to each crossing's neighbourhood; kernels write here again and again."""

    heights: Values
    kinds: NDArray[np.uint8]
    """Places in :data:`KEPT`."""
    misfit: Values
    """How far they lie beyond what the mask allows: each, and then on average around."""
    aside: Values
    """The same on the way there."""

    @staticmethod
    def room(count: int) -> _Fits:
        one, other, third = (np.empty(count, np.float32) for _ in range(3))
        return _Fits(one, np.empty(count, np.uint8), other, third)


@dataclass(frozen=True, slots=True, eq=False)
class _Smoothing:
    """Heights, their noise, and how far each axis' fits are still trusted, with one order of the axes."""

    along: Values
    noise: Values
    trust: tuple[Values, Values]
    order: tuple[int, int]

    @staticmethod
    def of(first: Values, order: tuple[int, int]) -> _Smoothing:
        return _Smoothing(
            first.copy(), np.ones_like(first), (np.ones_like(first), np.ones_like(first)), order
        )

    def further(self, w: int, links: list[_Links], middles: Values, fits: _Fits) -> None:
        """Smooth along axis ``w`` over the columns that ``links`` lead to."""
        _fit(self.along, links[w], middles, fits.heights, fits.kinds, fits.misfit)
        _spread(fits.misfit, links[w], fits.aside)
        _spread(fits.aside, links[1 - w], fits.misfit)
        _accept(self.along, self.noise, self.trust[w], fits)


class _Links(NamedTuple):
    """(2, n) each: links of one step back and forth, and of two."""

    one: Links
    two: Links


def _with_double(onward: Links) -> _Links:
    return _Links(onward, doubled(onward))


@numba.njit(parallel=True, cache=True)
def _fit(
    h: Values, links: _Links, middles: Values, fitted: Values, kinds: NDArray[np.uint8], misfit: Values
) -> None:
    """The quadratic through five columns at each crossing, which five, and how far it lies beyond the mask's word.

    The five are centred where the wall goes on that far, else as near as can be; where it is shorter than five
    columns nothing changes. The mask says that a height lies between two voxel centres.
    """
    one, two = links.one, links.two
    for c in numba.prange(len(h)):
        back, forth, back2, forth2 = one[0, c], one[1, c], two[0, c], two[1, c]
        fit, kind = h[c], np.uint8(0)
        if back2 >= 0 and forth2 >= 0:
            sides = 12 * (h[back] + h[forth]) - 3 * (h[back2] + h[forth2])
            fit, kind = (17 * h[c] + sides) / 35, np.uint8(1)
        elif back >= 0 and forth2 >= 0 and one[1, forth2] >= 0:
            ends = 6 * h[forth2] - 5 * h[one[1, forth2]]
            fit, kind = (9 * h[back] + 13 * h[c] + 12 * h[forth] + ends) / 35, np.uint8(2)
        elif forth >= 0 and back2 >= 0 and one[0, back2] >= 0:
            ends = 6 * h[back2] - 5 * h[one[0, back2]]
            fit, kind = (9 * h[forth] + 13 * h[c] + 12 * h[back] + ends) / 35, np.uint8(2)
        elif forth2 >= 0 and two[1, forth2] >= 0:
            ends = -3 * h[forth2] - 5 * h[one[1, forth2]] + 3 * h[two[1, forth2]]
            fit, kind = (31 * h[c] + 9 * h[forth] + ends) / 35, np.uint8(3)
        elif back2 >= 0 and two[0, back2] >= 0:
            ends = -3 * h[back2] - 5 * h[one[0, back2]] + 3 * h[two[0, back2]]
            fit, kind = (31 * h[c] + 9 * h[back] + ends) / 35, np.uint8(3)
        fitted[c], kinds[c] = fit, kind
        misfit[c] = max(np.float32(0), abs(fitted[c] - middles[c]) - np.float32(0.5))


@numba.njit(parallel=True, cache=True)
def _spread(misfit: Values, links: _Links, mean: Values) -> None:
    """The mean over up to five columns."""
    one, two = links.one, links.two
    for c in numba.prange(len(misfit)):
        # summed in pairs, so that turning the axis round changes no digit
        total, count = misfit[c], 1
        for step in (one, two):
            back, forth = step[0, c], step[1, c]
            pair = (misfit[back] if back >= 0 else np.float32(0)) + (
                misfit[forth] if forth >= 0 else np.float32(0)
            )
            total += pair
            count += (back >= 0) + (forth >= 0)
        mean[c] = total / np.float32(count)


@numba.njit(parallel=True, cache=True)
def _accept(heights: Values, noise: Values, trust: Values, fits: _Fits) -> None:
    """Move towards the fit as far as it agrees with the mask, and never farther than at the level before."""
    for c in numba.prange(len(heights)):
        share = min(trust[c], max(np.float32(0), 1 - fits.misfit[c] / np.float32(MISFIT)))
        trust[c] = share
        heights[c] += share * (fits.heights[c] - heights[c])
        noise[c] *= 1 - share * (1 - KEPT[fits.kinds[c]])


@numba.njit(parallel=True, cache=True)
def _level_with(heights: Values, noise: Values, onward: Links) -> Values:
    """Heights whose straight connections enclose what the curved wall through ``heights`` does.

    Between two columns a chord runs below a wall of second difference d by d / 12 on average, for each of the two
    axes: where the chords lie on both sides of the wall no volume is lost, and the distance halves. Only the
    smoothed part of a height has a curvature worth the name, so that noise, as a share, takes from it.
    """
    level = heights.copy()
    for c in numba.prange(len(heights)):
        bend = np.float32(0)
        for w in range(2):
            back, forth = onward[2 * w, c], onward[2 * w + 1, c]
            if back >= 0 and forth >= 0:
                bend += heights[back] + heights[forth] - 2 * heights[c]
        level[c] -= (1 - noise[c]) * bend / 12
    return level

"""A margin between thick slices: places that no slice shows, from slices on both sides.

Where one axis is much coarser than both others, straight lines between its slices cut every curve short. A margin
goes on between them as a cubic that keeps the slices' own values and rises and falls only where they do.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

from tomosurf.data.geometry import Geometry

THICK = 1.5
"""How many times coarser than both others an axis is at least, for margins to be curved along it."""

NONE = -1
"""In the place of an axis: straight lines along all three."""

Values = NDArray[np.float32]
Floats = NDArray[np.float64]


def thick_axis(grid: Geometry) -> int:
    """The axis that is ``THICK`` times coarser than both others; ``NONE`` where none is."""
    coarse = int(np.argmax(grid.spacing))
    others = [step for axis, step in enumerate(grid.spacing) if axis != coarse]
    return coarse if grid.spacing[coarse] >= THICK * max(others) else NONE


def slice_order(axis: int) -> list[int]:
    """The axes, a thick one first; as they are where none is."""
    return sorted(range(3), key=lambda other: other != axis)


def sampled(values: Values, axis: int, points: Floats) -> Floats:
    """(n, 4): a field's value at ``points`` (n, 3), index coordinates, and its change per step along i, j, k.

    Between eight voxels, along straight lines but for ``axis``, where it is the cubic whose slopes at both slices
    are fourth-order differences, as far as they keep it monotone: no extremum appears. What belongs to ``-values``
    is minus what belongs to ``values``, to the bit. NaN beyond the outermost voxels.

    Reference: Hyman 1983, Accurate monotonicity preserving cubic interpolation, SIAM J Sci Stat Comput 4:645.
    """
    order = slice_order(axis)
    found = np.empty((len(points), 4))
    _sample(values.transpose(order), points[:, order], found)
    found[:, [1 + n for n in order]] = found[:, 1:].copy()
    return found


@numba.njit(parallel=True, cache=True)
def _sample(planes: Values, points: Floats, found: Floats) -> None:
    count, ni, nj = planes.shape
    for n in numba.prange(len(points)):
        z, x, y = points[n, 0], points[n, 1], points[n, 2]
        if not (0 <= z <= count - 1 and 0 <= x <= ni - 1 and 0 <= y <= nj - 1):
            found[n, :] = math.nan
            continue
        k, i, j = min(int(z), max(count - 2, 0)), min(int(x), max(ni - 2, 0)), min(int(y), max(nj - 2, 0))
        x, y = x - i, y - j
        found[n, :] = 0.0
        for corner in range(4):
            along_x, along_y = corner & 1, corner >> 1
            a, b = (x if along_x else 1 - x), (y if along_y else 1 - y)
            p, q = min(i + along_x, ni - 1), min(j + along_y, nj - 1)
            value, change = between(planes, k, z - k, p, q)
            found[n, 0] += a * b * value
            found[n, 1] += a * b * change
            found[n, 2] += (2 * along_x - 1) * b * value
            found[n, 3] += (2 * along_y - 1) * a * value


@numba.njit(cache=True)
def between(planes: Values, k: int, part: float, i: int, j: int) -> tuple[float, float]:
    """Value and change per step in column (i, j) of ``planes`` (slices first), ``part`` of a step after ``k``."""
    here = np.float64(planes[k, i, j])
    if len(planes) == 1:
        return here, 0.0
    there = np.float64(planes[k + 1, i, j])
    low, high = min(here, there), max(here, there)
    near, far = _slope(planes, k, i, j), _slope(planes, k + 1, i, j)
    if part > 0.5:  # from the nearer slice, whose own value it is there
        here, there, near, far, part = there, here, -far, -near, 1 - part
        turned = -1.0
    else:
        turned = 1.0
    rise = there - here
    bend, twist = 3 * rise - 2 * near - far, near + far - 2 * rise
    value = here + part * (near + part * (bend + part * twist))
    return min(max(value, low), high), turned * (near + part * (2 * bend + 3 * part * twist))


@numba.njit(cache=True, inline="always")
def _step(planes: Values, n: int, i: int, j: int) -> float:
    """Change from plane ``n`` to the next; before the first step and after the last one, as there."""
    n = min(max(n, 0), len(planes) - 2)
    return np.float64(planes[n + 1, i, j]) - np.float64(planes[n, i, j])


@numba.njit(cache=True)
def _slope(planes: Values, k: int, i: int, j: int) -> float:
    """Change a step at plane ``k``, no steeper than stays monotone."""
    before, after = _step(planes, k - 1, i, j), _step(planes, k, i, j)
    slope = (7 * (before + after) - (_step(planes, k - 2, i, j) + _step(planes, k + 1, i, j))) / 12
    if before > 0 and after > 0:
        return float(min(max(slope, 0.0), 3 * min(before, after)))
    if before < 0 and after < 0:
        return float(max(min(slope, 0.0), 3 * max(before, after)))
    return 0.0

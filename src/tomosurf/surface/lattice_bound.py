"""How far a surface can be from the boundary that it stands for, as far as values at voxels can tell."""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

from tomosurf.surface.between_slices import between

Field = NDArray[np.float32]
Matrix = NDArray[np.float64]
Row = NDArray[np.float64]
REACH = 2
"""Voxels around a point within which a change from inside to outside is looked for."""
NEAR = 0.25
"""Spacings of the finest axis up to which the way along a field's slope is the only one that is tried."""
BLOCK = 4096
"""Points that one thread takes at a time."""
STRIDE = 0.125
"""Voxels between looks along a field's slope for its zero level."""


@numba.njit(parallel=True, cache=True)
def errors_in_field(points: Matrix, field: Field, affine: Matrix, curved: bool) -> Matrix:
    """For points (n, 3) in index coordinates: (n, 2) mm from the field's zero level, and what the field can't know.

    ``field`` is above zero inside and padded with what is outside; ``affine`` (3, 3) takes index steps to mm. The
    first number is the way along the field's slope, or where that is long along an axis, to where it is zero:
    interpolated between eight voxels, and if ``curved`` along the first axis by cubics
    (:mod:`tomosurf.surface.between_slices`). The second, together with the first, bounds how far the boundary can
    be: straight lines are wrong, in a field that bends once between voxels, by a quarter of the sum of second
    differences at both ends, along each axis; in a smooth one by a quarter of that. Where a slope is too flat for
    that, the lattice's edges that change sides bound the sum of both (:func:`errors_in_mask`).
    """
    found = np.empty((len(points), 2))
    for block in numba.prange((len(points) + BLOCK - 1) // BLOCK):
        part = slice(block * BLOCK, (block + 1) * BLOCK)
        found[part] = errors_in_mask(points[part], field, affine)
        _in_field(points[part], field, affine, curved, found[part])
    return found


@numba.njit(cache=True)
def _in_field(points: Matrix, field: Field, affine: Matrix, curved: bool, found: Matrix) -> None:
    """:func:`errors_in_field` in place of what the mask alone says."""
    steps = np.linalg.inv(affine)
    gradient = np.empty(3)
    near = NEAR * math.sqrt((affine * affine).sum(axis=0).min())
    for n in range(len(points)):
        value, bend = _value(field, points[n], gradient)
        slope = 0.0
        for axis in range(3):
            along = 0.0
            for index in range(3):
                along += steps[index, axis] * gradient[index]
            slope += along * along
        slope = math.sqrt(slope)
        if slope > 0 and (abs(value) + bend) / slope < found[n, 0] + found[n, 1]:
            found[n, 0], found[n, 1] = abs(value) / slope, bend / slope
        if curved:
            value = _interpolated(field, points[n], True)
        _keep_the_sum(found[n], _to_level(field, affine, (points[n], gradient), value, near, curved))


@numba.njit(cache=True)
def _to_level(
    field: Field, affine: Matrix, from_: tuple[Row, Row], value: float, near: float, curved: bool
) -> float:
    """The shortest way in mm to the zero level that is found, from a point at which the field is ``value``."""
    if value == 0:
        return 0.0
    point, gradient = from_
    best = _to_crossing(field, affine, point, curved)
    if gradient.any():
        best = min(best, _to_zero(field, affine, from_, value, curved))
    if best > near:  # a slope of parts that cancel each other leads past the level
        along = np.zeros(3)
        for axis in range(3):
            along[:] = 0.0
            along[axis] = 1.0
            best = min(best, _to_zero(field, affine, (point, along), value, curved))
    return best  # type: ignore[no-any-return]


@numba.njit(cache=True)
def _keep_the_sum(found: NDArray[np.float64], distance: float) -> None:
    """Put a measured distance in the place of an estimated one, and what it is less by to what can't be known."""
    if distance != np.inf:
        found[1] = max(found[0] + found[1] - distance, 0.0)
        found[0] = distance


@numba.njit(cache=True)
def _to_crossing(field: Field, affine: Matrix, point: NDArray[np.float64], curved: bool) -> float:
    """How far in mm a point is from the nearest edge of its own voxel on which the field is zero; or infinity.

    Such a place lies on the zero level, so that the level is no farther, also where slopes say nothing.
    """
    base = np.empty(3, np.int64)
    for axis in range(3):
        base[axis] = min(max(math.floor(point[axis]), 0), field.shape[axis] - 2)
    best = np.inf
    for edge in range(12):
        axis, one, other = edge >> 2, edge & 1, (edge >> 1) & 1
        i, j, k = base[0], base[1], base[2]
        if axis == 0:
            j, k = j + one, k + other
        elif axis == 1:
            i, k = i + one, k + other
        else:
            i, j = i + one, j + other
        lower = float(field[i, j, k])
        upper = float(field[i + (axis == 0), j + (axis == 1), k + (axis == 2)])
        if (lower > 0) == (upper > 0):
            continue
        part = lower / (lower - upper)
        if curved and axis == 0:
            part = _root(field, i, j, k)
        x = point[0] - i - (part if axis == 0 else 0.0)
        y = point[1] - j - (part if axis == 1 else 0.0)
        z = point[2] - k - (part if axis == 2 else 0.0)
        best = min(best, _length(affine, x, y, z))
    return best


@numba.njit(cache=True)
def _to_zero(field: Field, affine: Matrix, from_: tuple[Row, Row], value: float, curved: bool) -> float:
    """How far in mm a point is from the zero level along the field's slope, either way; infinity: not within REACH.

    ``from_`` is the point and the change per voxel there; the way goes along it in index coordinates.
    """
    point, gradient = from_
    longest = math.sqrt(gradient[0] ** 2 + gradient[1] ** 2 + gradient[2] ** 2)
    best = np.inf
    at = np.empty(3)
    for stride in range(1, int(REACH / STRIDE) + 1):
        for sign in (-1.0, 1.0):
            step = sign * STRIDE / longest
            for axis in range(3):
                at[axis] = point[axis] + stride * step * gradient[axis]
            if (_interpolated(field, at, curved) > 0) == (value > 0):
                continue
            near, far = (stride - 1) * step, stride * step
            for _ in range(12):
                middle = (near + far) / 2
                for axis in range(3):
                    at[axis] = point[axis] + middle * gradient[axis]
                if (_interpolated(field, at, curved) > 0) == (value > 0):
                    near = middle
                else:
                    far = middle
            best = min(best, _length(affine, far * gradient[0], far * gradient[1], far * gradient[2]))
        if best < np.inf:
            break
    return best


@numba.njit(cache=True)
def _root(field: Field, i: int, j: int, k: int) -> float:
    """Where in a step after voxel (i, j, k) along the first axis the cubic is zero; its ends are on two sides."""
    low, high = 0.0, 1.0
    rising = field[i + 1, j, k] > 0
    for _ in range(20):
        middle = (low + high) / 2
        if (between(field, i, middle, j, k)[0] > 0) == rising:
            high = middle
        else:
            low = middle
    return (low + high) / 2


@numba.njit(cache=True)
def _interpolated(field: Field, point: Row, curved: bool) -> float:
    """The field between its eight nearest voxels; beyond the outermost ones, as the outermost cell goes on."""
    i = min(max(math.floor(point[0]), 0), field.shape[0] - 2)
    j = min(max(math.floor(point[1]), 0), field.shape[1] - 2)
    k = min(max(math.floor(point[2]), 0), field.shape[2] - 2)
    x, y, z = point[0] - i, point[1] - j, point[2] - k
    value = 0.0
    if curved and 0 <= x <= 1:
        for corner in range(4):
            at_j, at_k = corner & 1, corner >> 1
            weight = (y if at_j else 1 - y) * (z if at_k else 1 - z)
            value += weight * between(field, i, x, j + at_j, k + at_k)[0]
        return value
    for corner in range(8):
        at_i, at_j, at_k = corner & 1, (corner >> 1) & 1, corner >> 2
        weight = (x if at_i else 1 - x) * (y if at_j else 1 - y) * (z if at_k else 1 - z)
        value += weight * float(field[i + at_i, j + at_j, k + at_k])
    return value


@numba.njit(cache=True)
def errors_in_mask(points: Matrix, field: Field, affine: Matrix) -> Matrix:
    """For points (n, 3) in index coordinates: (n, 2) mm to the mask's drawn boundary, and what it can't know.

    Any boundary that puts every voxel of ``field`` on its side (inside is above zero) crosses each lattice edge
    whose ends differ: it is no farther from a point than the edge's middle and half the edge together. The edge is
    chosen for which that is least; of it, the first number is the distance from the voxel face across the edge,
    where the mask draws its boundary, and the second the rest.
    """
    found = np.full((len(points), 2), np.inf)
    for n in range(len(points)):
        reach = 0
        while found[n, 0] == np.inf and reach <= REACH:
            _nearest_crossing(points[n], field, affine, reach, found[n])
            reach += 1
    return found


@numba.njit(cache=True)
def _nearest_crossing(
    point: NDArray[np.float64], field: Field, affine: Matrix, reach: int, found: NDArray[np.float64]
) -> None:
    low, high = np.empty(3, np.int64), np.empty(3, np.int64)
    for axis in range(3):
        base = math.floor(point[axis])
        low[axis] = max(base - reach, 0)
        high[axis] = min(base + 1 + reach, field.shape[axis] - 1)
    least = np.inf
    for i in range(low[0], high[0] + 1):
        for j in range(low[1], high[1] + 1):
            for k in range(low[2], high[2] + 1):
                for axis in range(3):
                    a, b, c = i + (axis == 0), j + (axis == 1), k + (axis == 2)
                    if a > high[0] or b > high[1] or c > high[2]:
                        continue
                    if (field[i, j, k] > 0) == (field[a, b, c] > 0):
                        continue
                    away = _length(
                        affine, point[0] - (i + a) / 2, point[1] - (j + b) / 2, point[2] - (k + c) / 2
                    )
                    half = _length(affine, float(a - i), float(b - j), float(c - k)) / 2
                    if away + half < least:
                        least = away + half
                        x = _past(point[0] - (i + a) / 2, axis == 0)
                        y = _past(point[1] - (j + b) / 2, axis == 1)
                        z = _past(point[2] - (k + c) / 2, axis == 2)
                        found[0] = min(_length(affine, x, y, z), least)
                        found[1] = least - found[0]


@numba.njit(cache=True, inline="always")
def _past(step: float, across: bool) -> float:
    """What of a step from a voxel face's middle lies across the face, or beyond its rim."""
    if across:
        return step
    return max(abs(step) - 0.5, 0.0)


@numba.njit(cache=True, inline="always")
def _length(affine: Matrix, i: float, j: float, k: float) -> float:
    x = affine[0, 0] * i + affine[0, 1] * j + affine[0, 2] * k
    y = affine[1, 0] * i + affine[1, 1] * j + affine[1, 2] * k
    z = affine[2, 0] * i + affine[2, 1] * j + affine[2, 2] * k
    return math.sqrt(x * x + y * y + z * z)


@numba.njit(cache=True)
def _value(field: Field, point: NDArray[np.float64], gradient: NDArray[np.float64]) -> tuple[float, float]:
    """The interpolated value and its bound on error; ``gradient`` is set to the change per voxel."""
    base, part = np.empty(3, np.int64), np.empty(3)
    for axis in range(3):
        base[axis] = min(max(math.floor(point[axis]), 0), field.shape[axis] - 2)
        part[axis] = point[axis] - base[axis]
        gradient[axis] = 0.0
    value, bends = 0.0, np.zeros(3)
    for corner in range(8):
        at_i, at_j, at_k = corner & 1, (corner >> 1) & 1, corner >> 2
        i, j, k = base[0] + at_i, base[1] + at_j, base[2] + at_k
        wi = part[0] if at_i else 1 - part[0]
        wj = part[1] if at_j else 1 - part[1]
        wk = part[2] if at_k else 1 - part[2]
        here = float(field[i, j, k])
        value += wi * wj * wk * here
        gradient[0] += (2 * at_i - 1) * wj * wk * here
        gradient[1] += wi * (2 * at_j - 1) * wk * here
        gradient[2] += wi * wj * (2 * at_k - 1) * here
        if 0 < i < field.shape[0] - 1:
            bends[0] = max(bends[0], abs(float(field[i - 1, j, k]) - 2 * here + float(field[i + 1, j, k])))
        if 0 < j < field.shape[1] - 1:
            bends[1] = max(bends[1], abs(float(field[i, j - 1, k]) - 2 * here + float(field[i, j + 1, k])))
        if 0 < k < field.shape[2] - 1:
            bends[2] = max(bends[2], abs(float(field[i, j, k - 1]) - 2 * here + float(field[i, j, k + 1])))
    # both ends of an edge have at most the larger difference: a quarter of the sum is a half of it
    return value, (bends[0] + bends[1] + bends[2]) / 2

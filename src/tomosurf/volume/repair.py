"""Slices that weren't acquired, interpolated from those that were: along the stack, keeping its shape."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float64]
Mask = NDArray[np.bool_]


def resample(
    acquired: NDArray[Any], padding: Mask | None, places: NDArray[np.float64]
) -> tuple[NDArray[Any], Mask | None]:
    """The slices at k = 0, 1, ... from acquired ones at ``places``, each column of voxels by itself.

    An acquired slice at a whole k is copied, never resampled. Between two of them runs a monotone cubic: it
    reproduces linear ramps and stays between the two acquired values. Beside an end of the stack or beside
    padding, the slope is that of the neighbouring interval. A voxel is padding where either neighbour is.
    Integers are rounded to the nearest whole number. Memory: the result and a few planes.

    Args:
        acquired: (n, rows, columns).
        padding: of the same shape, or None.
        places: (n,) ascending, from 0 to a whole number.

    Returns:
        values of the acquired ones' dtype, and their padding; (last place + 1, rows, columns).

    Reference: Fritsch and Butland, SIAM J. Sci. Stat. Comput. 5 (1984) 300, for the slopes, which satisfy the
    monotonicity of Fritsch and Carlson, SIAM J. Numer. Anal. 17 (1980) 238.
    """
    count = int(places[-1]) + 1
    values = np.empty((count, *acquired.shape[1:]), acquired.dtype)
    mask = None if padding is None else np.zeros(values.shape, bool)
    for k in range(count):
        n = int(np.searchsorted(places, k, side="right")) - 1
        if places[n] == k:
            values[k] = acquired[n]
            if padding is not None and mask is not None:
                mask[k] = padding[n]
            continue
        plane = _between(acquired, padding, places, n, k)
        values[k] = np.rint(plane, out=plane) if values.dtype.kind in "iu" else plane
        if padding is not None and mask is not None:
            mask[k] = padding[n] | padding[n + 1]
            for neighbour in (n, n + 1):
                np.copyto(values[k], acquired[neighbour], where=padding[neighbour])
    return values, mask


def _between(
    acquired: NDArray[Any], padding: Mask | None, places: NDArray[np.float64], n: int, k: int
) -> Plane:
    """The plane at ``k``, which lies between the places of slices ``n`` and ``n + 1``."""
    width = float(places[n + 1] - places[n])
    start, end = acquired[n].astype(np.float64), acquired[n + 1].astype(np.float64)
    secant = (end - start) / width
    slopes = []
    for other in (n - 1, n + 1):
        there = 0 <= other < len(places) - 1
        beside = _secant(acquired, padding, places, other, secant) if there else secant
        slopes.append(_slope(secant, beside, width, float(np.diff(places)[other]) if there else width))
    t = (k - float(places[n])) / width
    plane: Plane = start + (end - start) * (t * t * (3 - 2 * t))
    plane += (width * t * (1 - t) ** 2) * slopes[0]
    plane -= (width * t * t * (1 - t)) * slopes[1]
    clipped: Plane = np.clip(plane, np.minimum(start, end), np.maximum(start, end), out=plane)
    return clipped


def _secant(
    acquired: NDArray[Any], padding: Mask | None, places: NDArray[np.float64], n: int, instead: Plane
) -> Plane:
    """Change per step of k from slice ``n`` to the next; ``instead`` where one of them is padding."""
    slope: Plane = (acquired[n + 1].astype(np.float64) - acquired[n]) / float(places[n + 1] - places[n])
    if padding is not None:
        np.copyto(slope, instead, where=padding[n] | padding[n + 1])
    return slope


def _slope(secant: Plane, beside: Plane, width: float, width_beside: float) -> Plane:
    """The slope where two intervals meet: their secants' weighted harmonic mean, 0 at a turning point."""
    near, far = width + 2 * width_beside, 2 * width + width_beside
    product = secant * beside
    below = near * beside + far * secant
    return np.divide((near + far) * product, below, out=np.zeros_like(product), where=product > 0)

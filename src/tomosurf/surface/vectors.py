"""Products of vectors of three, for compiled loops: NumPy's own go through linear algebra libraries."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


@numba.njit(cache=True, inline="always")
def squared_step(a: Vector, b: Vector) -> float:
    """The squared distance of two points."""
    return (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2 + (a[2] - b[2]) ** 2  # type: ignore[no-any-return]


@numba.njit(cache=True, inline="always")
def normal_of(a: Vector, b: Vector, c: Vector) -> tuple[float, float, float]:
    """The normal of a triangle, twice as long as its area."""
    ux, uy, uz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    vx, vy, vz = c[0] - a[0], c[1] - a[1], c[2] - a[2]
    return uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx

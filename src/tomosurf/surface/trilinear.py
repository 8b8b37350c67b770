"""One value of a sampled field between its voxels, for compiled loops."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray


@numba.njit(cache=True)
def trilinear(field: NDArray[Any], x: float, y: float, z: float) -> float:
    """``field`` (ni, nj, nk, any real dtype) at an index place; beyond its ends the end's value."""
    ni, nj, nk = field.shape
    x = min(max(x, 0.0), ni - 1.0)
    y = min(max(y, 0.0), nj - 1.0)
    z = min(max(z, 0.0), nk - 1.0)
    i, j, k = int(x), int(y), int(z)
    i1, j1, k1 = min(i + 1, ni - 1), min(j + 1, nj - 1), min(k + 1, nk - 1)
    u, v, w = x - i, y - j, z - k
    low = (field[i, j, k] * (1 - u) + field[i1, j, k] * u) * (1 - v)
    low += (field[i, j1, k] * (1 - u) + field[i1, j1, k] * u) * v
    high = (field[i, j, k1] * (1 - u) + field[i1, j, k1] * u) * (1 - v)
    high += (field[i, j1, k1] * (1 - u) + field[i1, j1, k1] * u) * v
    value: float = np.float64(low * (1 - w) + high * w)
    return value

"""Which voxel centres lie inside a closed surface."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from tomosurf.data.geometry import Geometry
from tomosurf.data.mesh import SurfaceMesh

Box = tuple[slice, slice, slice]


def box_of(mesh: SurfaceMesh, geometry: Geometry) -> Box:
    """Slices of ``geometry`` around all voxel centres that can lie inside ``mesh``; empty where none can."""
    if not len(mesh.faces):
        return slice(0, 0), slice(0, 0), slice(0, 0)
    index = geometry.to_index(mesh.vertices)
    low = np.maximum(np.ceil(index.min(axis=0)), 0).astype(int)
    high = np.minimum(np.floor(index.max(axis=0)) + 1, geometry.shape).astype(int)
    a, b, c = (slice(int(start), int(max(start, stop))) for start, stop in zip(low, high, strict=True))
    return a, b, c


def voxelise(mesh: SurfaceMesh, geometry: Geometry, box: Box) -> NDArray[np.bool_]:
    """(ni, nj, nk) bool of ``box``: True where a ray along i from the voxel centre crosses ``mesh`` an odd number
    of times.

    Exact but for rounding: a ray through an edge or a corner counts the faces around it as if the ray ran a
    hair beside it, always on the same side. Memory: one byte a voxel of the box, 24 bytes a vertex.
    """
    start = np.array([part.start for part in box], np.float64)
    shape = tuple(part.stop - part.start for part in box)
    inside = np.zeros(shape, bool, order="F")
    if inside.size and len(mesh.faces):
        _cross(geometry.to_index(mesh.vertices) - start, mesh.faces, inside)
        _accumulate(inside)
    return inside


@numba.njit(cache=True)
def _side(a: NDArray[np.float64], b: NDArray[np.float64], y: float, z: float) -> float:
    """Twice the area of (a, b, (y, z)) in the plane of j and k; a hair off zero by a rule without tolerance."""
    area: float = (b[1] - a[1]) * (z - a[2]) - (b[2] - a[2]) * (y - a[1])
    if area != 0:
        return area
    tilt: float = -(b[2] - a[2])
    if tilt == 0:
        tilt = b[1] - a[1]
    hair: float = np.sign(tilt) * 1e-300
    return hair


@numba.njit(cache=True)
def _oriented(points: NDArray[np.float64], first: int, second: int, y: float, z: float) -> float:
    """:func:`_side` of an edge, computed alike for both faces at it: from its lower vertex number."""
    turned = first > second
    area: float = _side(points[min(first, second)], points[max(first, second)], y, z)
    return -area if turned else area


@numba.njit(cache=True)
def _cross(points: NDArray[np.float64], faces: NDArray[np.int32], flips: NDArray[np.bool_]) -> None:
    """Flip the first voxel at or behind each place where a line along i crosses a face."""
    ni, nj, nk = flips.shape
    for f in range(len(faces)):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        y0 = max(0, int(np.ceil(min(points[a, 1], points[b, 1], points[c, 1]))))
        y1 = min(nj - 1, int(np.floor(max(points[a, 1], points[b, 1], points[c, 1]))))
        z0 = max(0, int(np.ceil(min(points[a, 2], points[b, 2], points[c, 2]))))
        z1 = min(nk - 1, int(np.floor(max(points[a, 2], points[b, 2], points[c, 2]))))
        for k in range(z0, z1 + 1):
            for j in range(y0, y1 + 1):
                u = _oriented(points, b, c, j, k)
                v = _oriented(points, c, a, j, k)
                w = _oriented(points, a, b, j, k)
                if not ((u > 0) == (v > 0) == (w > 0)):
                    continue
                total = u + v + w
                if total == 0:
                    continue
                x = (u * points[a, 0] + v * points[b, 0] + w * points[c, 0]) / total
                i = max(0, int(np.ceil(x)))
                if i < ni:
                    flips[i, j, k] ^= True


@numba.njit(cache=True)
def _accumulate(flips: NDArray[np.bool_]) -> None:
    """Parity of the flips up to each voxel along i, in place."""
    ni, nj, nk = flips.shape
    for k in range(nk):
        for j in range(nj):
            odd = False
            for i in range(ni):
                odd ^= flips[i, j, k]
                flips[i, j, k] = odd

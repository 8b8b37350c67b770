"""Squared distances from planes, summed into ten numbers a vertex, and where they are least."""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

from tomosurf.surface.incidence import FIXED, INSIDE, OUTLINE, Corners

TERMS = 11
"""xx, xy, xz, yy, yz, zz, x, y, z, 1, and the area that they stand for."""
PULL = 1e-5
"""Weight of the distance from an edge's middle: it keeps vertices spread where planes leave the place open."""
SHORTNESS = 1e-6
"""Weight of an edge's squared length in its cost, so that short edges go first where all lies in a plane."""

Quadrics = NDArray[np.float64]
Points = NDArray[np.float64]
Sum = tuple[float, float, float, float, float, float, float, float, float, float, float]
"""The ``TERMS`` of one quadric."""


@numba.njit(cache=True)
def quadrics_of(points: Points, faces: NDArray[np.int32]) -> Quadrics:
    """For each vertex the planes of its triangles, each weighted by a third of its area.

    Reference: Garland and Heckbert 1997, Surface simplification using quadric error metrics, SIGGRAPH 97.
    """
    quadrics = np.zeros((len(points), TERMS))
    for face in range(len(faces)):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        ux, uy, uz = _step(points, a, b)
        vx, vy, vz = _step(points, a, c)
        x, y, z = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        length = math.sqrt(x * x + y * y + z * z)
        if length == 0.0:
            continue
        x, y, z = x / length, y / length, z / length
        away = -(x * points[a, 0] + y * points[a, 1] + z * points[a, 2])
        for corner in range(3):
            _add_plane(quadrics, faces[face, corner], (x, y, z, away), length / 6)
    return quadrics


@numba.njit(cache=True)
def add_curves(
    quadrics: Quadrics, points: Points, faces: NDArray[np.int32], kinds: NDArray[np.uint8], corners: Corners
) -> None:
    """Add, for each edge between curve vertices, the planes through it that stand upright on its triangles.

    They hold a curve in place against sliding over its walls. An edge that joins two curve vertices without being
    on a curve is added too; it does no harm.
    """
    for face in range(len(faces)):
        for s in range(3):
            a, b = faces[face, s], faces[face, (s + 1) % 3]
            if kinds[a] == INSIDE or kinds[b] == INSIDE:
                continue
            ux, uy, uz = _step(points, a, b)
            vx, vy, vz = _step(points, a, faces[face, (s + 2) % 3])
            square = ux * ux + uy * uy + uz * uz
            if square == 0.0:
                continue
            along = (ux * vx + uy * vy + uz * vz) / square
            x, y, z = vx - along * ux, vy - along * uy, vz - along * uz
            length = math.sqrt(x * x + y * y + z * z)
            if length == 0.0:
                continue
            x, y, z = x / length, y / length, z / length
            away = -(x * points[a, 0] + y * points[a, 1] + z * points[a, 2])
            for end in (a, b):
                _add_plane(quadrics, end, (x, y, z, away), square / 4)
                quadrics[end, 10] -= square / 4  # no area: a curve's weight isn't a wall's


@numba.njit(cache=True, inline="always")
def _step(points: Points, a: int, b: int) -> tuple[float, float, float]:
    return points[b, 0] - points[a, 0], points[b, 1] - points[a, 1], points[b, 2] - points[a, 2]


@numba.njit(cache=True, inline="always")
def _add_plane(
    quadrics: Quadrics, vertex: int, plane: tuple[float, float, float, float], weight: float
) -> None:
    x, y, z, away = plane
    q = quadrics[vertex]
    q[0] += weight * x * x
    q[1] += weight * x * y
    q[2] += weight * x * z
    q[3] += weight * y * y
    q[4] += weight * y * z
    q[5] += weight * z * z
    q[6] += weight * x * away
    q[7] += weight * y * away
    q[8] += weight * z * away
    q[9] += weight * away * away
    q[10] += weight


@numba.njit(cache=True)
def merged(
    places: NDArray[np.float64], kind_u: int, kind_v: int, u: int, v: int
) -> tuple[float, float, float, float, float]:
    """Where the edge (u, v) shrinks to, its squared distance summed over area, and the area.

    ``places`` (n, 3 + TERMS) holds each vertex' coordinates and quadric.
    """
    q = _sum(places[u], places[v])
    if kind_u >= FIXED or (kind_u != INSIDE and kind_v == INSIDE):
        x, y, z = places[u, 0], places[u, 1], places[u, 2]
    elif kind_v >= FIXED or (kind_v != INSIDE and kind_u == INSIDE):
        x, y, z = places[v, 0], places[v, 1], places[v, 2]
    elif OUTLINE in (kind_u, kind_v):
        x, y, z = _least_between(q, places, u, v)
    else:
        x, y, z = _least(q, places, u, v)
    dx, dy, dz = _step(places, u, v)
    cost = max(_value(q, x, y, z), 0.0) + SHORTNESS * q[10] * (dx * dx + dy * dy + dz * dz)
    return x, y, z, cost, q[10]


@numba.njit(cache=True, inline="always")
def _sum(one: Points, other: Points) -> Sum:
    """Two vertices' quadrics added: a tuple, since an array would be made anew for every edge."""
    return (
        one[3] + other[3],
        one[4] + other[4],
        one[5] + other[5],
        one[6] + other[6],
        one[7] + other[7],
        one[8] + other[8],
        one[9] + other[9],
        one[10] + other[10],
        one[11] + other[11],
        one[12] + other[12],
        one[13] + other[13],
    )


@numba.njit(cache=True, inline="always")
def _value(q: Sum, x: float, y: float, z: float) -> float:
    return (
        x * (q[0] * x + 2 * (q[1] * y + q[2] * z + q[6]))
        + y * (q[3] * y + 2 * (q[4] * z + q[7]))
        + z * (q[5] * z + 2 * q[8])
        + q[9]
    )


@numba.njit(cache=True, inline="always")
def _least(q: Sum, points: Points, u: int, v: int) -> tuple[float, float, float]:
    """The place of the least sum, drawn a little to the edge's middle: always one, by Cramer's rule."""
    mx, my, mz = (
        (points[u, 0] + points[v, 0]) / 2,
        (points[u, 1] + points[v, 1]) / 2,
        (points[u, 2] + points[v, 2]) / 2,
    )
    pull = PULL * (q[0] + q[3] + q[5]) + 1e-300
    a, b, c, d, e, f = q[0] + pull, q[1], q[2], q[3] + pull, q[4], q[5] + pull
    x = -(q[0] * mx + q[1] * my + q[2] * mz + q[6])
    y = -(q[1] * mx + q[3] * my + q[4] * mz + q[7])
    z = -(q[2] * mx + q[4] * my + q[5] * mz + q[8])
    aa, bb, cc = d * f - e * e, c * e - b * f, b * e - c * d
    dd, ee, ff = a * f - c * c, b * c - a * e, a * d - b * b
    whole = a * aa + b * bb + c * cc
    return (
        mx + (aa * x + bb * y + cc * z) / whole,
        my + (bb * x + dd * y + ee * z) / whole,
        mz + (cc * x + ee * y + ff * z) / whole,
    )


@numba.njit(cache=True)
def _least_between(q: Sum, points: Points, u: int, v: int) -> tuple[float, float, float]:
    """The place of the least sum on the straight edge."""
    dx, dy, dz = _step(points, u, v)
    x, y, z = points[u, 0], points[u, 1], points[u, 2]
    bend = _value(q, dx, dy, dz) - 2 * (q[6] * dx + q[7] * dy + q[8] * dz) - q[9]
    slope = (
        dx * (q[0] * x + q[1] * y + q[2] * z + q[6])
        + dy * (q[1] * x + q[3] * y + q[4] * z + q[7])
        + dz * (q[2] * x + q[4] * y + q[5] * z + q[8])
    )
    share = 0.5 if bend <= 1e-12 * (q[0] + q[3] + q[5]) else min(max(-slope / bend, 0.0), 1.0)
    return x + share * dx, y + share * dy, z + share * dz

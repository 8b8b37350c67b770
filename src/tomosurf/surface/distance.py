"""The true distance between two triangle meshes, both ways: mean, 95th percentile, and a bound on the maximum."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from tomosurf.data.budget import Distances
from tomosurf.errors import DataError
from tomosurf.surface.farthest import farthest
from tomosurf.surface.tree import Corners, Tree, nearest, tree_of

SAMPLES_PER_MM2 = 4.0
"""Density of the samples for mean and 95th percentile."""
FEWEST, MOST = 20_000, 200_000
"""Least and largest number of samples on one mesh, whatever its area."""
GAP_MM = 5e-4
"""How far a reported maximum may lie above the true one, besides ``GAP_SHARE`` of it."""
GAP_SHARE = 0.01

Mesh = tuple[NDArray[np.float64], NDArray[np.int32]]
"""Vertices (n, 3) in mm and faces (m, 3)."""


def two_sided(one: Mesh, other: Mesh) -> Distances:
    """Distances from every point of each mesh to the other one.

    Mean and 95th percentile come from points spread evenly over the area, ``SAMPLES_PER_MM2`` but at least
    ``FEWEST`` and at most ``MOST`` a mesh, the same ones every time. The maximum is no sample's: triangles are
    split until what is left can't be farther than the bound that is returned, corners, edges and insides alike,
    which lies at most ``GAP_MM`` plus ``GAP_SHARE`` above the Hausdorff distance.

    Raises:
        DataError: a mesh has no faces.

    Reference: Guthe, Borodin and Klein 2005, Fast and accurate Hausdorff distance calculation between meshes,
    Journal of WSCG 13:41.
    """
    if not len(one[1]) or not len(other[1]):
        raise DataError("a mesh without faces has no distance from another")
    first, second = tree_of(*one), tree_of(*other)
    ways = [_one_way(first, second), _one_way(second, first)]
    return Distances(*(max(way[n] for way in ways) for n in range(3)))


def _one_way(start: Tree, goal: Tree) -> tuple[float, float, float]:
    """Mean, 95th percentile and maximum of the distances from ``start`` to ``goal``."""
    found = np.sqrt(squared_distances(samples(start.corners)[0], goal))
    _, most = farthest(start.corners, goal, float(found.max()), GAP_SHARE, GAP_MM)
    return float(found.mean()), float(np.quantile(found, 0.95)), most


def samples(corners: Corners) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Points (n, 3) spread evenly by area over triangles (m, 3, 3), always the same, and whose each one is (n,).

    The n-th point lies where n + 1/2 shares of the area are passed, in the order of the triangles, and within its
    triangle by the R2 sequence (Roberts 2018, The unreasonable effectiveness of quasirandom sequences).
    """
    areas = np.linalg.norm(
        np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
    )  # twice the area, which is the same to a share
    passed = np.cumsum(areas)
    count = int(np.clip(passed[-1] / 2 * SAMPLES_PER_MM2, FEWEST, MOST))
    numbers = np.arange(count)
    where = np.searchsorted(passed, (numbers + 0.5) * (passed[-1] / count), side="right")
    where = np.minimum(where, len(corners) - 1)
    s, t = (0.5 + numbers * 0.7548776662466927) % 1.0, (0.5 + numbers * 0.5698402909980532) % 1.0
    over = s + t > 1
    s[over], t[over] = 1 - s[over], 1 - t[over]
    a, b, c = (corners[where, corner] for corner in range(3))
    return a + s[:, None] * (b - a) + t[:, None] * (c - a), where


@numba.njit(cache=True)
def squared_distances(points: NDArray[np.float64], goal: Tree) -> NDArray[np.float64]:
    """Squared distances of points to the nearest triangle."""
    found = np.empty(len(points))
    hint = 0
    for n in range(len(points)):
        hint, found[n] = nearest(goal, points[n, 0], points[n, 1], points[n, 2], hint)
    return found

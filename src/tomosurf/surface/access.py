"""How deep a target lies below each place of the skin, and how far the straight way keeps from what to avoid."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numba
import numpy as np
from numpy.typing import NDArray

from tomosurf.data.mesh import SurfaceMesh
from tomosurf.errors import DataError
from tomosurf.surface.tree import Corners, Tree, nearest, tree_of

TOLERANCE_MM = 0.1
"""How far a clearance may be told too small; it is never told larger than it is."""


def access_map(
    skin: SurfaceMesh, target: SurfaceMesh, avoid: Sequence[SurfaceMesh] = ()
) -> dict[str, NDArray[np.float32]]:
    """``access_depth`` and ``access_clearance``, (n,) float32 mm, for the vertices of ``skin``.

    The way from a vertex is the straight line to the nearest place of the target's surface; its length is the
    depth. The clearance is the distance of that line from the surfaces in ``avoid``, 0 where it crosses one, at
    most ``TOLERANCE_MM`` too small; it is left out when there is nothing to avoid. NaN where the skin only ends
    because the image does (``fov_cut``): nobody can enter there.

    Raises:
        DataError: the target, or one of ``avoid``, has no faces.
    """
    if not len(target.faces) or any(not len(mesh.faces) for mesh in avoid):
        raise DataError("a structure without a surface can be neither reached nor avoided")
    depth = np.empty(len(skin.vertices))
    ends = np.empty((len(skin.vertices), 3))
    _nearest_places(tree_of(target.vertices, target.faces), skin.vertices, ends, depth)
    found = {"access_depth": depth}
    if avoid:
        found["access_clearance"] = np.empty(len(skin.vertices))
        _clearances(_together(avoid), skin.vertices, ends, found["access_clearance"])
    cut = skin.vertex_data.get("fov_cut", np.zeros(len(skin.vertices), np.uint8)) != 0
    for values in found.values():
        values[cut] = np.nan
    return {name: values.astype(np.float32) for name, values in found.items()}


def _together(meshes: Sequence[SurfaceMesh]) -> Tree:
    """One tree of several meshes."""
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    vertices = np.concatenate([mesh.vertices for mesh in meshes])
    faces = [mesh.faces + np.int32(start) for mesh, start in zip(meshes, starts[:-1], strict=True)]
    return tree_of(vertices, np.concatenate(faces).astype(np.int32))


@numba.njit(cache=True)
def _nearest_places(
    tree: Tree, points: NDArray[np.float64], ends: NDArray[np.float64], depth: NDArray[np.float64]
) -> None:
    hint = 0
    for n in range(len(points)):
        x, y, z = points[n, 0], points[n, 1], points[n, 2]
        hint, squared = nearest(tree, x, y, z, hint)
        depth[n] = math.sqrt(squared)
        ends[n, 0], ends[n, 1], ends[n, 2] = _place_on(tree.corners, hint, x, y, z)


@numba.njit(cache=True)
def _place_on(corners: Corners, n: int, x: float, y: float, z: float) -> tuple[float, float, float]:
    """The place of triangle ``n`` nearest to a point: on one of its edges, or below the point where that is nearer.

    Below the point: the place with barycentric coordinates s, t that the normal equations give.
    """
    least = np.inf
    bx, by, bz = corners[n, 0, 0], corners[n, 0, 1], corners[n, 0, 2]
    for edge in range(3):
        ax, ay, az = corners[n, edge, 0], corners[n, edge, 1], corners[n, edge, 2]
        other = (edge + 1) % 3
        ux, uy, uz = corners[n, other, 0] - ax, corners[n, other, 1] - ay, corners[n, other, 2] - az
        along = (x - ax) * ux + (y - ay) * uy + (z - az) * uz
        part = min(1.0, max(0.0, along / max(ux * ux + uy * uy + uz * uz, 1e-300)))
        px, py, pz = ax + part * ux, ay + part * uy, az + part * uz
        distance = (x - px) ** 2 + (y - py) ** 2 + (z - pz) ** 2
        if distance < least:
            least, bx, by, bz = distance, px, py, pz
    ax, ay, az = corners[n, 0, 0], corners[n, 0, 1], corners[n, 0, 2]
    ux, uy, uz = corners[n, 1, 0] - ax, corners[n, 1, 1] - ay, corners[n, 1, 2] - az
    vx, vy, vz = corners[n, 2, 0] - ax, corners[n, 2, 1] - ay, corners[n, 2, 2] - az
    wx, wy, wz = x - ax, y - ay, z - az
    uu, uv, vv = ux * ux + uy * uy + uz * uz, ux * vx + uy * vy + uz * vz, vx * vx + vy * vy + vz * vz
    uw, vw = ux * wx + uy * wy + uz * wz, vx * wx + vy * wy + vz * wz
    size = uu * vv - uv * uv
    if size > 0:
        s, t = (vv * uw - uv * vw) / size, (uu * vw - uv * uw) / size
        if s >= 0 and t >= 0 and s + t <= 1:
            return ax + s * ux + t * vx, ay + s * uy + t * vy, az + s * uz + t * vz
    return bx, by, bz


@numba.njit(cache=True)
def _clearances(
    tree: Tree, starts: NDArray[np.float64], ends: NDArray[np.float64], clearance: NDArray[np.float64]
) -> None:
    """Least distance along each line: a step of ``s`` from a place at distance d can't come nearer than d - s."""
    for n in range(len(starts)):
        x, y, z = starts[n, 0], starts[n, 1], starts[n, 2]
        ux, uy, uz = ends[n, 0] - x, ends[n, 1] - y, ends[n, 2] - z
        length = math.sqrt(ux * ux + uy * uy + uz * uz)
        along, best, hint = 0.0, np.inf, 0
        while True:
            part = along / max(length, 1e-300)
            hint, squared = nearest(tree, x + part * ux, y + part * uy, z + part * uz, hint)
            distance = math.sqrt(squared)
            best = min(best, distance)
            if along >= length or best <= TOLERANCE_MM / 2:
                break
            along = min(length, along + distance - best + TOLERANCE_MM)
        clearance[n] = max(0.0, best - TOLERANCE_MM / 2)

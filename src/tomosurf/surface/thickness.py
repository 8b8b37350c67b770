"""How thick the wall is under each vertex of a closed surface."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from tomosurf.data.mesh import SurfaceMesh
from tomosurf.surface.tree import Tree, first_hit, tree_of

START = 1e-6
"""Millimetres along the ray before which a hit is the vertex' own triangles."""


def wall_thickness(mesh: SurfaceMesh) -> NDArray[np.float32]:
    """(n,) mm from each vertex straight through the body to the other side; NaN where a ray finds none.

    The ray runs against the vertex' normal, the sum of its triangles' normals weighted by their angles at it
    (Thuermer and Wuethrich 1998). On a wall with parallel sides that is its thickness, to rounding; where the
    sides lean towards each other it is longer than the shortest way across, by one over the cosine of the lean.
    """
    if not len(mesh.faces):
        return np.full(len(mesh.vertices), np.nan, np.float32)
    tree = tree_of(mesh.vertices, mesh.faces)
    return _thickness(tree, mesh.vertices, vertex_normals(mesh.vertices, mesh.faces))  # type: ignore[no-any-return]


def vertex_normals(vertices: NDArray[np.float64], faces: NDArray[np.int32]) -> NDArray[np.float64]:
    """(n, 3) unit normals, triangles weighted by their angle at the vertex; zero for a vertex of no triangle."""
    corners = vertices[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = _unit(normals)
    found = np.zeros_like(vertices)
    for corner in range(3):
        ahead = _unit(corners[:, (corner + 1) % 3] - corners[:, corner])
        behind = _unit(corners[:, (corner + 2) % 3] - corners[:, corner])
        angles = np.arccos(np.clip(np.einsum("ij,ij->i", ahead, behind), -1, 1))
        for axis in range(3):
            found[:, axis] += np.bincount(faces[:, corner], angles * normals[:, axis], len(vertices))
    return _unit(found)


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: NDArray[np.float64] = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    return unit


@numba.njit(cache=True)
def _thickness(
    tree: Tree, vertices: NDArray[np.float64], normals: NDArray[np.float64]
) -> NDArray[np.float32]:
    found = np.empty(len(vertices), np.float32)
    for n in range(len(vertices)):
        inward = -normals[n]
        away = first_hit(tree, vertices[n], inward, START) if inward.any() else np.inf
        found[n] = away if away < np.inf else np.nan
    return found

"""Directions that a surface faces at its vertices."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.mesh import SurfaceMesh

_CHUNK = 1 << 13  # faces looked at together: what a core's cache holds


def vertex_normals(mesh: SurfaceMesh) -> NDArray[np.float64]:
    """(n, 3) unit normals in LPS, outward: means of the faces' normals around each vertex, weighted by area.

    A vertex of no face, or whose faces cancel out, gets the diagonal of the axes.
    """
    sums = np.zeros((3, len(mesh.vertices)))
    for start in range(0, len(mesh.faces), _CHUNK):
        faces = mesh.faces[start : start + _CHUNK]
        a, b, c = (mesh.vertices[corner] for corner in faces.T)
        first = int(faces.min())  # neighbouring faces have neighbouring vertices: a chunk touches a stretch
        corners = (faces - first).reshape(-1)
        for axis, across in enumerate(np.cross(b - a, c - a).T):
            part = np.bincount(corners, np.repeat(across, 3))
            sums[axis, first : first + len(part)] += part
    length = np.linalg.norm(sums, axis=0)
    sums = np.divide(sums, length, out=np.full_like(sums, 3**-0.5), where=length > 0)
    normals: NDArray[np.float64] = sums.T
    return normals

"""Volume, area and soundness of a triangulated surface."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.mesh import Measurements, SurfaceMesh

_CHUNK = 1 << 18  # faces looked at together: bounds the temporaries


def measure(mesh: SurfaceMesh) -> Measurements:
    """Measure ``mesh``: volume by the divergence theorem in float64, soundness exactly, from the indices.

    Takes less than a second a million triangles, and about 80 bytes a triangle beside the mesh.
    """
    faces = mesh.faces
    if not len(faces):
        return Measurements(0.0, 0.0, 0, closed=False, manifold=False, components=0)
    volume, area = _volume_and_area(mesh.vertices, faces)
    cut = mesh.cut_faces
    cut_area = _volume_and_area(mesh.vertices, faces[cut])[1] if cut.any() else 0.0
    used = np.zeros(len(mesh.vertices), bool)
    used[faces.reshape(-1)] = True
    vertices = int(used.sum())
    twins = _twins(faces, len(used))
    manifold = twins is not None and _fans(twins) == vertices
    components = _components(faces, len(used)) - (len(used) - vertices)
    return Measurements(
        volume, area - cut_area, len(faces), twins is not None, manifold, components, cut_area
    )


def volume_of(mesh: SurfaceMesh) -> float:
    """The volume in mm3 that :func:`measure` gives, by itself."""
    return _volume_and_area(mesh.vertices, mesh.faces)[0]


def areas_of(vertices: NDArray[np.float64], faces: NDArray[np.int32]) -> NDArray[np.float64]:
    """The area of each triangle in mm2."""
    areas = np.empty(len(faces))
    for start in range(0, len(faces), _CHUNK):
        some = slice(start, start + _CHUNK)
        a, b, c = (vertices[corner] for corner in faces[some].T)
        areas[some] = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
    return areas


def _volume_and_area(vertices: NDArray[np.float64], faces: NDArray[np.int32]) -> tuple[float, float]:
    """Signed volume in mm3 and area in mm2; corners are taken from the mesh's middle to keep all digits."""
    middle = (vertices.min(axis=0) + vertices.max(axis=0)) / 2
    volume = area = 0.0
    for start in range(0, len(faces), _CHUNK):
        a, b, c = (vertices[corner] - middle for corner in faces[start : start + _CHUNK].T)
        normals = np.cross(b - a, c - a)
        area += float(np.linalg.norm(normals, axis=1).sum()) / 2
        volume += float(np.einsum("ij,ij->", a, normals)) / 6
    return volume, area


def _twins(faces: NDArray[np.int32], vertices: int) -> NDArray[np.int32] | None:
    """For each directed edge (3f + s: from corner s to the next of face f) the opposite one, (3m,) int32.

    None when some edge has no opposite one or more than one: the surface isn't closed.
    """
    from scipy.sparse import coo_array

    tails, heads = faces.reshape(-1), np.roll(faces, -1, axis=1).reshape(-1)
    numbers = np.arange(len(tails), dtype=np.int32)
    if (tails == heads).any():
        return None  # a face with two equal corners
    edges = coo_array((numbers, (tails, heads)), shape=(vertices, vertices)).tocsr()
    del tails, heads, numbers
    if edges.nnz != faces.size:
        return None  # some directed edge occurs twice
    opposite = edges.T.tocsr()
    if not (
        np.array_equal(edges.indptr, opposite.indptr) and np.array_equal(edges.indices, opposite.indices)
    ):
        return None  # some directed edge has no opposite one
    twins = np.empty(faces.size, np.int32)
    twins[edges.data] = opposite.data
    return twins


def _fans(twins: NDArray[np.int32]) -> int:
    """The number of fans of faces around vertices, equal to the number of vertices if each has one.

    Going from a corner over its outgoing edge to the next face's corner at the same vertex permutes the
    corners, and each cycle is a fan. Cycles are counted by their least corner, spread by pointer doubling.
    """
    onward = twins + 1
    onward[onward % 3 == 0] -= 3
    least = np.arange(len(onward), dtype=np.int32)
    corners = least.copy()
    while True:
        spread = np.minimum(least, least[onward])
        if np.array_equal(spread, least):
            return int((least == corners).sum())
        least = spread
        onward = onward[onward]


def _components(faces: NDArray[np.int32], vertices: int) -> int:
    """The number of connected parts; vertices of no face count as a part each."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rows = np.concatenate([faces[:, 0], faces[:, 1]])
    columns = np.concatenate([faces[:, 1], faces[:, 2]])
    edges = coo_array((np.ones(len(rows), bool), (rows, columns)), shape=(vertices, vertices))
    return int(connected_components(edges, directed=False, return_labels=False))

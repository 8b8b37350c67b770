"""Binary STL: triangles alone, one file a segment, LPS mm.

The format knows neither units nor axes; they stand in the 80 bytes of header that readers skip.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tomosurf.data.mesh import SurfaceMesh
from tomosurf.export.exporter import Exporter, refuse_empty

HEADER = b"tomosurf; units mm; axes LPS (+x left, +y posterior, +z superior)"
"""Must not begin with "solid", by which readers know the text variant."""

_TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
_CHUNK = 1 << 13  # faces written at once: what a core's cache holds


def write(mesh: SurfaceMesh, path: Path) -> None:
    """Write ``mesh`` to ``path``: float32 LPS mm, unit normals by the right-hand rule, outward.

    Rounding to float32 moves a vertex by at most 0.00003 mm where coordinates stay below 512 mm. Two
    vertices that are distinct in the mesh stay distinct, as far as the surface stage made it
    (:mod:`tomosurf.surface.fractions`), so that readers that merge equal corners find it closed.

    Raises:
        ExportError: the mesh has no triangles.
    """
    refuse_empty(mesh)
    vertices = mesh.vertices.astype("<f4")
    with path.open("wb") as file:
        file.write(HEADER.ljust(80, b" "))
        file.write(np.uint32(len(mesh.faces)).astype("<u4").tobytes())
        for start in range(0, len(mesh.faces), _CHUNK):
            faces = mesh.faces[start : start + _CHUNK]
            triangles = np.zeros(len(faces), _TRIANGLE)
            triangles["corners"] = vertices[faces]
            a, b, c = (mesh.vertices[corner] for corner in faces.T)
            normals = np.cross(b - a, c - a)
            length = np.linalg.norm(normals, axis=1, keepdims=True)
            triangles["normal"] = np.divide(normals, length, out=normals, where=length > 0)
            file.write(triangles.tobytes())


EXPORTER = Exporter(suffix=".stl", content="mesh", write=write)

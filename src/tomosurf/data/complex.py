"""All surfaces of one label map as one complex, in which neighbours share their wall."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.arrays import frozen
from tomosurf.data.mesh import SurfaceMesh
from tomosurf.data.segmentation import Segment
from tomosurf.errors import DataError

PINCHED = "pinched"
"""Vertex data of a complex: 1 where some label's surface may touch itself in that vertex alone."""


@dataclass(frozen=True, slots=True, eq=False)
class SurfaceComplex:
    """Triangles between labels: each lies between two of them and belongs to the surface of both.

    A wall between two structures is stored once, so that both get the same vertices, bit for bit. The triangles
    around any one label, background (0) included, are closed: every edge belongs to an even number of them.

    Args:
        vertices: (n, 3) float64, LPS mm.
        faces: (m, 3) int32, counter-clockwise seen from the side of ``sides[:, 1]``: normals point from
            ``sides[:, 0]`` to ``sides[:, 1]``.
        sides: (m, 2) uint16, the two labels that a triangle parts; ``sides[:, 0] > sides[:, 1]``, so that 0,
            background, only stands second.
        vertex_data: name to array of length n.

    Raises:
        DataError: wrong shapes or types, a face that points at no vertex, or sides out of order.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int32]
    sides: NDArray[np.uint16]
    vertex_data: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.vertices.ndim != 2 or self.vertices.shape[1] != 3 or self.vertices.dtype != np.float64:
            raise DataError("vertices are (n, 3) float64")
        if self.faces.ndim != 2 or self.faces.shape[1] != 3 or self.faces.dtype != np.int32:
            raise DataError("faces are (m, 3) int32")
        if self.sides.shape != (len(self.faces), 2) or self.sides.dtype != np.uint16:
            raise DataError("sides are (m, 2) uint16, one pair a face")
        if len(self.faces) and not (self.faces.min() >= 0 and self.faces.max() < len(self.vertices)):
            raise DataError("a face points at no vertex")
        if not (self.sides[:, 0] > self.sides[:, 1]).all():
            raise DataError("the first side of a face is the larger label")
        if any(len(data) != len(self.vertices) for data in self.vertex_data.values()):
            raise DataError("vertex data has one entry a vertex")
        for name in ("vertices", "faces", "sides"):
            object.__setattr__(self, name, frozen(getattr(self, name)))
        data = {name: frozen(values) for name, values in self.vertex_data.items()}
        object.__setattr__(self, "vertex_data", MappingProxyType(data))

    @property
    def labels(self) -> tuple[int, ...]:
        """The labels that have a surface, background left out."""
        seen = np.zeros(np.iinfo(self.sides.dtype).max + 1, bool)
        seen[self.sides] = True
        return tuple(int(label) for label in np.flatnonzero(seen) if label)

    def mesh(self, segment: Segment) -> SurfaceMesh:
        """The surface of one label, wound outwards, with the vertices that it uses in the complex's order.

        Vertices and their data are copies of the complex's, so that two neighbours' walls are equal to the bit. A
        vertex at which the surface touches itself (marked in the complex's vertex data as ``pinched``) is there
        once for each of the parts that meet, so that the mesh is 2-manifold; the copies come last.
        """
        second = self.sides[:, 1] == segment.label
        own = np.flatnonzero((self.sides[:, 0] == segment.label) | second)
        faces, second = np.take(self.faces, own, axis=0), second[own]
        faces[second] = faces[second][:, ::-1]
        used = np.zeros(len(self.vertices), bool)
        used[faces] = True
        places = np.cumsum(used, dtype=np.int32) - 1
        faces = np.take(places, faces)
        origins = np.flatnonzero(used)
        pinched = (
            self.vertex_data[PINCHED][origins] != 0 if PINCHED in self.vertex_data else np.zeros(0, bool)
        )
        if pinched.any():
            faces, origins = _parted(faces, origins, pinched)
        data = {name: values[origins] for name, values in self.vertex_data.items() if name != PINCHED}
        return SurfaceMesh(np.take(self.vertices, origins, axis=0), faces, segment, data)


def _parted(
    faces: NDArray[np.int32], origins: NDArray[np.intp], pinched: NDArray[np.bool_]
) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    """The faces with a vertex of its own for each fan around a pinched one, and the origins of all vertices."""
    touching = np.flatnonzero(pinched[faces].any(axis=1))
    added: list[int] = []
    for vertex in np.unique(faces[touching][pinched[faces[touching]]]).tolist():
        around = touching[(faces[touching] == vertex).any(axis=1)]
        fans = _fans(faces[around], vertex)
        for fan in fans[1:]:
            rows = faces[around[fan]]
            rows[rows == vertex] = len(origins) + len(added)
            faces[around[fan]] = rows
            added.append(int(origins[vertex]))
    return faces, np.concatenate([origins, np.array(added, origins.dtype)])


def _fans(faces: NDArray[np.int32], vertex: int) -> list[list[int]]:
    """Which of the faces around a vertex hang together by edges at it."""
    fans: list[list[int]] = []
    left = {n: {int(corner) for corner in face} - {vertex} for n, face in enumerate(faces)}
    while left:
        start, rim = left.popitem()
        fan = [start]
        while more := [n for n, corners in left.items() if corners & rim]:
            for n in more:
                rim |= left.pop(n)
            fan += more
        fans.append(sorted(fan))
    return sorted(fans)

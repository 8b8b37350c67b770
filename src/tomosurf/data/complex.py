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
        return tuple(int(label) for label in np.unique(self.sides) if label)

    def mesh(self, segment: Segment) -> SurfaceMesh:
        """The surface of one label, wound outwards, with the vertices that it uses in the complex's order.

        Vertices and their data are copies of the complex's, so that two neighbours' walls are equal to the bit.
        """
        first = self.sides[:, 0] == segment.label
        second = self.sides[:, 1] == segment.label
        faces = self.faces.copy()
        faces[second] = faces[second][:, ::-1]
        faces = faces[first | second]
        used = np.zeros(len(self.vertices), bool)
        used[faces] = True
        places = np.cumsum(used, dtype=np.int32) - 1
        data = {name: values[used] for name, values in self.vertex_data.items()}
        return SurfaceMesh(self.vertices[used], places[faces], segment, data)

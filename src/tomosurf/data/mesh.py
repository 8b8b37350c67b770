"""Triangulated surfaces in the patient frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.adjacency import Adjacency
from tomosurf.data.arrays import frozen
from tomosurf.data.budget import ErrorBudget
from tomosurf.data.face import Face
from tomosurf.data.geometry import Geometry
from tomosurf.data.segmentation import Segment
from tomosurf.data.survival import Loss
from tomosurf.errors import DataError


@dataclass(frozen=True, slots=True, eq=False)
class SurfaceMesh:
    """The surface of one segment.

    Args:
        vertices: (n, 3) float64, LPS mm.
        faces: (m, 3) int32, counter-clockwise seen from outside.
        segment: whose surface it is.
        vertex_data: name to array of length n, as docs/reference/vertex-data.md lists them; ``fov_cut`` (uint8)
            is 1 where the surface only closes because the image ends.
        error: how far it may be from what it stands for; None where that wasn't measured.

    Raises:
        DataError: wrong shapes, a face that points at no vertex, or data of another length.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int32]
    segment: Segment
    vertex_data: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    error: ErrorBudget | None = None

    def __post_init__(self) -> None:
        if self.vertices.ndim != 2 or self.vertices.shape[1] != 3 or self.vertices.dtype != np.float64:
            raise DataError("vertices are (n, 3) float64")
        if self.faces.ndim != 2 or self.faces.shape[1] != 3 or self.faces.dtype != np.int32:
            raise DataError("faces are (m, 3) int32")
        count = len(self.vertices)
        if len(self.faces) and not (self.faces.min() >= 0 and self.faces.max() < count):
            raise DataError("a face points at no vertex")
        if any(len(data) != count for data in self.vertex_data.values()):
            raise DataError("vertex data has one entry a vertex")
        object.__setattr__(self, "vertices", frozen(self.vertices))
        object.__setattr__(self, "faces", frozen(self.faces))
        data = {name: frozen(values) for name, values in self.vertex_data.items()}
        object.__setattr__(self, "vertex_data", MappingProxyType(data))

    @property
    def cut_faces(self) -> NDArray[np.bool_]:
        """(m,) True for the faces of the flat patch that closes the surface where the image ends.

        All three corners of such a face carry ``fov_cut``.
        """
        cut = self.vertex_data.get("fov_cut")
        if cut is None:
            return np.zeros(len(self.faces), bool)
        patch: NDArray[np.bool_] = (cut != 0)[self.faces].all(axis=1)
        return patch


@dataclass(frozen=True, slots=True)
class Measurements:
    """What was measured on one mesh; kept in the case, since measuring millions of triangles takes a while.

    ``volume_mm3`` is positive for a closed surface wound outwards. ``closed``: every edge belongs to exactly
    two faces that run through it in opposite directions. ``manifold``: closed, and the faces around every
    vertex form a single fan. ``components`` counts surfaces, a cavity's wall as one. A mesh without faces
    is neither closed nor manifold. ``area_mm2`` is the structure's own; the patch that closes it where the image
    ends (:attr:`SurfaceMesh.cut_faces`) counts in ``cut_area_mm2``.
    """

    volume_mm3: float
    area_mm2: float
    triangles: int
    closed: bool
    manifold: bool
    components: int
    cut_area_mm2: float = 0.0


@dataclass(frozen=True, slots=True)
class Reliability:
    """How far a surface can be trusted, over its own area (the patch where the image ends left out).

    ``basis`` is "calibrated", "estimated", "grid" or "none" (:data:`tomosurf.surface.describe.Basis`).
    ``within_1mm`` is the share of the area that says 1 mm or better, ``median_mm`` the half-width that half of the
    area doesn't exceed; both None without confidence. ``repaired`` is the share made from slices that were
    interpolated, ``farthest_mm`` the largest distance from an acquired slice; None where nobody knows.
    """

    basis: str
    within_1mm: float | None = None
    median_mm: float | None = None
    repaired: float | None = None
    farthest_mm: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """All surfaces of one case, in one frame of reference, in the order of their labels.

    ``losses`` is what of their structures was lost between the segmenter and here; ``faces`` says which structures
    show a face, or may, and what was done about it (one that was withheld has no mesh). ``adjacency`` says which
    structures share a wall.
    """

    meshes: tuple[SurfaceMesh, ...]
    geometry: Geometry | None = None
    losses: tuple[Loss, ...] = ()
    faces: tuple[Face, ...] = ()
    adjacency: tuple[Adjacency, ...] = ()

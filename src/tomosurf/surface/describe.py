"""What is known at each vertex of a job's surfaces, added to them."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.geometry import Geometry
from tomosurf.data.mesh import Reliability, Scene, SurfaceMesh
from tomosurf.data.segmentation import Segmentation
from tomosurf.data.volume import Volume
from tomosurf.surface.normals import vertex_normals

NEAR_MM = 1.0
"""Half-width up to which a place of a surface counts as known."""

_CHUNK = 1 << 18  # faces looked at together: bounds the temporaries

Basis = Literal["calibrated", "estimated", "grid", "none"]
"""What a surface's confidence rests on: doubt held against cases that the segmenter wasn't made with; the image's
noise and edges; the size of a voxel alone (``confidence_floor``); nothing."""


def basis_of(segmentation: Segmentation) -> Basis:
    """What confidence can rest on for the surfaces of ``segmentation``."""
    if segmentation.doubt is not None and segmentation.doubt.calibrated:
        return "calibrated"
    method = segmentation.provenance.get("method")
    if method == "threshold":
        return "estimated"
    return "grid" if method == "imported" else "none"


def describe(scene: Scene, segmentation: Segmentation, volume: Volume | None) -> Scene:
    """``scene`` with confidence and acquired planes at every vertex, as far as anyone knows them.

    ``confidence`` (float32 mm) comes from calibrated doubt, or is estimated from the image for thresholds. A mask
    from elsewhere gets ``confidence_floor`` instead: half a voxel along the normal, below which it says nothing.
    ``acquired`` and ``repaired`` need the volume. Existing vertex data stay; docs/reference/vertex-data.md.
    """
    return replace(scene, meshes=tuple(_described(mesh, segmentation, volume) for mesh in scene.meshes))


def _described(mesh: SurfaceMesh, segmentation: Segmentation, volume: Volume | None) -> SurfaceMesh:
    from tomosurf.surface.acquired import acquired_of
    from tomosurf.surface.confidence import confidence_of
    from tomosurf.surface.edge_estimate import estimate_of

    data = dict(mesh.vertex_data)
    basis = basis_of(segmentation)
    if basis == "calibrated" and segmentation.doubt is not None:
        data["confidence"] = confidence_of(mesh, segmentation, segmentation.doubt)
    elif basis == "estimated" and volume is not None:
        data["confidence"] = estimate_of(mesh, volume)
    elif basis == "grid":
        data["confidence_floor"] = half_voxel_of(mesh, segmentation.geometry)
    if volume is not None:
        data.update(acquired_of(mesh, volume))
    return replace(mesh, vertex_data=data)


def half_voxel_of(mesh: SurfaceMesh, geometry: Geometry) -> NDArray[np.float32]:
    """(n,) half the extent of a voxel of ``geometry`` along each vertex's normal, in mm."""
    edges = geometry.affine[:3, :3]
    half: NDArray[np.float32] = (np.abs(vertex_normals(mesh) @ edges).sum(axis=1) / 2).astype(np.float32)
    return half


def reliability_of(mesh: SurfaceMesh, basis: Basis) -> Reliability:
    """What the vertex data of ``mesh`` say of its whole surface; vertices count by the area around them."""
    data = mesh.vertex_data
    weights = _areas(mesh)
    if not weights.sum() > 0:
        return Reliability(basis)
    share = weights / weights.sum()
    within = median = repaired = farthest = None
    if "confidence" in data:
        order = np.argsort(data["confidence"], kind="stable")
        place = int(np.searchsorted(np.cumsum(share[order]), 0.5))
        median = float(data["confidence"][order][min(place, len(order) - 1)])
        within = float(share[data["confidence"] <= NEAR_MM].sum())
    if "repaired" in data:
        repaired = float(share[data["repaired"] != 0].sum())
    if "acquired" in data:
        farthest = float(data["acquired"][weights > 0].max())
    return Reliability(
        basis, *(None if v is None else round(v, 6) for v in (within, median, repaired, farthest))
    )


def _areas(mesh: SurfaceMesh) -> NDArray[np.float64]:
    """(n,) a third of the area of the faces around each vertex, mm2, without the patch where the image ends."""
    faces = mesh.faces[~mesh.cut_faces]
    areas = np.zeros(len(mesh.vertices))
    for start in range(0, len(faces), _CHUNK):
        some = faces[start : start + _CHUNK]
        a, b, c = (mesh.vertices[corner] for corner in some.T)
        third = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 6
        areas += np.bincount(some.reshape(-1), np.repeat(third, 3), len(areas))
    return areas

"""What is known at each vertex of a job's surfaces, added to them."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.geometry import Geometry
from tomosurf.data.mesh import Scene, SurfaceMesh
from tomosurf.data.segmentation import Segmentation
from tomosurf.data.volume import Volume
from tomosurf.surface.normals import vertex_normals

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

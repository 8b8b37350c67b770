"""The error of every structure's surface: from the segmentation's boundary, and through each step after it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.budget import Distances, ErrorBudget, ErrorStep
from tomosurf.data.geometry import Geometry
from tomosurf.data.mesh import Scene, SurfaceMesh
from tomosurf.data.segmentation import Margin, Segmentation
from tomosurf.surface.between_slices import NONE, slice_order, thick_axis
from tomosurf.surface.distance import two_sided
from tomosurf.surface.lattice_bound import errors_in_field, errors_in_mask
from tomosurf.surface.measure import areas_of, volume_of

TOGETHER = 1 << 19
"""Points that are looked at together: bounds what they take besides."""


def with_errors(scene: Scene, segmentation: Segmentation) -> Scene:
    """A fresh scene with every surface's error: from the segmentation's boundary, and by rounding in files."""
    meshes = [
        replace(mesh, error=budget_of(mesh, segmentation).after(rounding_step(mesh))) for mesh in scene.meshes
    ]
    return replace(scene, meshes=tuple(meshes))


def budget_of(mesh: SurfaceMesh, segmentation: Segmentation) -> ErrorBudget:
    """How far a fresh surface is from the boundary that its segmentation describes, and what that can't know.

    With a margin: the distance of every vertex and every triangle's middle from the margin's zero level, and how
    far interpolation between voxels can be wrong there, which is no less for being curved. Without: the distance
    from the faces between voxels where the mask changes, and what lattice edges leave open. Mean and 95th
    percentile weigh by area; the flat patch where the image ends stands for no boundary and doesn't count.
    """
    margin = segmentation.margins.get(mesh.segment.label)
    points, weights = _points(mesh)
    if margin is not None and margin.values.max() > 0:
        geometry = margin.geometry
        found = _errors_in(margin, points)
    else:
        inside, geometry = _mask(segmentation, mesh.segment.label, points)
        affine = np.ascontiguousarray(geometry.affine[:3, :3])
        found = errors_in_mask(geometry.to_index(points) + 1, np.pad(inside, 1, mode="edge"), affine)
    known = np.isfinite(found).all(axis=1, keepdims=True)  # elsewhere no change of side lies near
    found = np.where(known, found, _voxel(geometry))
    return ErrorBudget((ErrorStep("surface", _spread(found[:, 0], weights)),), _spread(found[:, 1], weights))


def _errors_in(margin: Margin, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Both errors at points in mm; along a thick axis the margin is curved as the walls are."""
    axis = thick_axis(margin.geometry)
    order = slice_order(axis)
    affine = np.ascontiguousarray(margin.geometry.affine[:3, order])
    field = _closed(np.asarray(margin.values)).transpose(order)
    found = np.empty((len(points), 2))
    for start in range(0, len(points), TOGETHER):
        some = slice(start, start + TOGETHER)
        places = np.ascontiguousarray(margin.geometry.to_index(points[some])[:, order] + 1)
        found[some] = errors_in_field(places, field, affine, axis != NONE)
    return found


def step_between(step: str, before: SurfaceMesh, after: SurfaceMesh) -> ErrorStep:
    """What a step did to one structure's surface: distances both ways, and the change of its volume."""
    distances = two_sided((before.vertices, before.faces), (after.vertices, after.faces))
    change = volume_of(after) - volume_of(before)
    return ErrorStep(step, distances, change)


def rounding_step(mesh: SurfaceMesh) -> ErrorStep:
    """What a file's float32 coordinates do: no point of a triangle moves farther than the worst of its corners."""
    rounded = mesh.vertices.astype(np.float32).astype(np.float64)
    moved = np.linalg.norm(rounded - mesh.vertices, axis=1)
    moved = np.maximum(np.maximum(*(moved[mesh.faces[:, n]] for n in (0, 1))), moved[mesh.faces[:, 2]])
    change = volume_of(SurfaceMesh(rounded, mesh.faces, mesh.segment)) - volume_of(mesh)
    return ErrorStep("rounding", _spread(moved, areas_of(mesh.vertices, mesh.faces)), change)


def _points(mesh: SurfaceMesh) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """All triangles' middles and corners in mm, and the area that each stands for; a flat cut's stand for none."""
    areas = areas_of(mesh.vertices, mesh.faces)
    cut = np.asarray(mesh.vertex_data.get("fov_cut", np.zeros(len(mesh.vertices)))) > 0
    counted = np.flatnonzero(~cut[mesh.faces].any(axis=1))
    if not len(counted):
        counted = np.arange(len(mesh.faces))
    faces = mesh.faces[counted]
    used = np.unique(faces)
    around = np.bincount(faces.reshape(-1), np.repeat(areas[counted], 3), len(mesh.vertices))[used]
    middles = sum(mesh.vertices[faces[:, corner]] for corner in range(3)) / 3
    points = np.concatenate([middles, mesh.vertices[used]])
    return points, np.concatenate([areas[counted], around / 3])


def _mask(
    segmentation: Segmentation, label: int, points: NDArray[np.float64]
) -> tuple[NDArray[np.float32], Geometry]:
    """The label as a field of 1 and -1 around the surface, and its grid."""
    grid = segmentation.geometry
    places = grid.to_index(points)
    low = np.clip(np.floor(places.min(axis=0)).astype(int) - 3, 0, np.array(grid.shape) - 1)
    high = np.clip(np.ceil(places.max(axis=0)).astype(int) + 4, low + 1, grid.shape)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    inside = np.where(segmentation.labels[box] == label, np.float32(1), np.float32(-1))
    return inside, grid.cropped(tuple(low.tolist()), tuple((high - low).tolist()))


def _closed(field: NDArray[np.float32]) -> NDArray[np.float32]:
    """The field with a voxel more around it that goes on as the field ends: a cut is no boundary."""
    return (
        np.pad(field, 1, mode="reflect", reflect_type="odd")
        if min(field.shape) > 1
        else np.pad(field, 1, mode="edge")
    )


def _voxel(geometry: Geometry) -> float:
    """The diagonal of a voxel in mm: what is said where no change of side lies near."""
    return float(np.linalg.norm(geometry.affine[:3, :3].sum(axis=1)))


def _spread(values: NDArray[np.float64], weights: NDArray[np.float64]) -> Distances:
    """Mean and 95th percentile by weight, and the largest."""
    if not len(values) or not weights.sum() > 0:
        return Distances(0.0, 0.0, float(values.max(initial=0.0)))
    order = np.argsort(values, kind="stable")
    passed = np.cumsum(weights[order])
    place = min(int(np.searchsorted(passed, 0.95 * passed[-1])), len(values) - 1)
    return Distances(
        float(np.average(values, weights=weights)), float(values[order[place]]), float(values.max())
    )

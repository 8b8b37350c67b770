"""Surfaces: truth to a phantom, time to make and to measure them, against what people use instead.

The phantom's image holds partial volume, as a scanner's does: a voxel's value is the fraction that the shape
fills. Ours contours the value less one half; the peers get the mask of what is at least one half. Distances are
taken from the middles of all triangles, weighted by area, so that chords count too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.harness import Figure, main, measure
from tomosurf.data.geometry import Geometry
from tomosurf.data.mesh import SurfaceMesh
from tomosurf.data.segmentation import Margin, Segmentation
from tomosurf.surface import measure as measuring
from tomosurf.surface.extract import extract
from tomosurf.testing.phantoms import (
    Ball,
    Capsule,
    Ellipsoid,
    Placed,
    Shape,
    Torus,
    rasterise,
    rotation_about,
)
from tomosurf.testing.segmentations import segment

GRID = Geometry(
    (256, 256, 160), np.array([[-0.8, 0, 0, 102], [0, -0.8, 0, 102], [0, 0, 1.2, -96], [0, 0, 0, 1.0]])
)
SHAPES: tuple[Shape, ...] = (
    Ball((55.0, 50.0, 40.0), 35.0),
    Ellipsoid((-50.0, 45.0, -30.0), (38.0, 30.0, 52.0)),
    Capsule((-60.0, -60.0, -70.0), (-20.0, -45.0, 70.0), 9.0),
    Placed(Torus((0.0, 0.0, 0.0), 30.0, 9.0), rotation_about((1.0, 0.3, 0.0), 40.0), (45.0, -40.0, -30.0)),
)

Mesh = tuple[NDArray[Any], NDArray[Any]]


def phantom() -> Segmentation:
    """Labels and margins, each margin cropped to its structure with two voxels around."""
    labels = np.zeros(GRID.shape, np.uint8, order="F")
    margins = {}
    for label, shape in enumerate(SHAPES, 1):
        field = rasterise(shape, GRID) - np.float32(0.5)
        inside = np.argwhere(field >= 0)
        labels[tuple(inside.T)] = label
        start = inside.min(axis=0) - 2
        extent = inside.max(axis=0) + 3 - start
        box = tuple(slice(a, a + n) for a, n in zip(start, extent, strict=True))
        margins[label] = Margin(
            GRID.cropped(tuple(start.tolist()), tuple(extent.tolist())), np.asfortranarray(field[box])
        )
    return Segmentation(GRID, labels, tuple(segment(label) for label in margins), margins)


def ours(segmentation: Segmentation) -> list[Mesh]:
    return [(mesh.vertices, mesh.faces) for mesh in extract(segmentation).meshes]


def discrete_flying_edges(segmentation: Segmentation, iterations: int, pass_band: float) -> list[Mesh]:
    """VTK's usual recipe, on each label's box."""
    from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
    from vtkmodules.vtkCommonDataModel import vtkImageData
    from vtkmodules.vtkFiltersCore import vtkWindowedSincPolyDataFilter
    from vtkmodules.vtkFiltersGeneral import vtkDiscreteFlyingEdges3D

    meshes = []
    for label, margin in segmentation.margins.items():
        mask, place = masked(segmentation, label, margin)
        image = vtkImageData()
        image.SetDimensions(*mask.shape)
        image.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(mask.T).reshape(-1)))
        contour = vtkDiscreteFlyingEdges3D()
        contour.SetInputData(image)
        contour.SetValue(0, 1)
        contour.ComputeNormalsOff()
        contour.ComputeGradientsOff()
        smooth = vtkWindowedSincPolyDataFilter()
        smooth.SetInputConnection(contour.GetOutputPort())
        smooth.SetNumberOfIterations(iterations)
        smooth.SetPassBand(pass_band)
        smooth.NormalizeCoordinatesOn()
        smooth.BoundarySmoothingOff()
        smooth.FeatureEdgeSmoothingOff()
        smooth.Update()
        surface = smooth.GetOutput()
        faces = vtk_to_numpy(surface.GetPolys().GetConnectivityArray()).reshape(-1, 3)
        meshes.append((place(vtk_to_numpy(surface.GetPoints().GetData())), faces))
    return meshes


def scikit_image(segmentation: Segmentation) -> list[Mesh]:
    from skimage.measure import marching_cubes

    meshes = []
    for label, margin in segmentation.margins.items():
        mask, place = masked(segmentation, label, margin)
        vertices, faces, _, _ = marching_cubes(mask, 0.5)
        meshes.append((place(vertices), faces))
    return meshes


def masked(
    segmentation: Segmentation, label: int, margin: Margin
) -> tuple[NDArray[np.uint8], Callable[[NDArray[Any]], NDArray[Any]]]:
    """The label's mask on its margin's box, and how the box's indices map to LPS mm."""
    start = np.round(segmentation.geometry.to_index([margin.geometry.origin])[0]).astype(int)
    box = tuple(slice(a, a + n) for a, n in zip(start, margin.geometry.shape, strict=True))
    return (segmentation.labels[box] == label).astype(np.uint8), margin.geometry.to_world


def distance(meshes: Sequence[Mesh]) -> float:
    """Mean distance in mm to the true surfaces."""
    total = weight = 0.0
    for (vertices, faces), shape in zip(meshes, SHAPES, strict=True):
        corners = vertices[faces].astype(np.float64)
        area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
        total += float(area @ np.abs(shape.signed_distance(corners.mean(axis=1))))
        weight += float(area.sum())
    return total / weight


def volume_error(meshes: Sequence[Mesh]) -> float:
    """The largest error of a volume, in percent."""
    errors = []
    for (vertices, faces), shape in zip(meshes, SHAPES, strict=True):
        mesh = SurfaceMesh(np.asarray(vertices, np.float64), np.asarray(faces, np.int32), segment())
        errors.append(abs(abs(measuring.measure(mesh).volume_mm3) / shape.volume - 1) * 100)
    return max(errors)


def trimesh_measurements(mesh: SurfaceMesh) -> object:
    import trimesh

    peer = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    return peer.volume, peer.area, peer.is_watertight, peer.is_winding_consistent, peer.body_count


def figures() -> list[Figure]:
    segmentation = phantom()
    peers: dict[str, Callable[[], list[Mesh]]] = {
        "VTK DiscreteFlyingEdges + windowed sinc 20": lambda: discrete_flying_edges(segmentation, 20, 0.1),
        "VTK DiscreteFlyingEdges + windowed sinc 40": lambda: discrete_flying_edges(segmentation, 40, 0.03),
        "scikit-image marching cubes": lambda: scikit_image(segmentation),
    }
    found = ours(segmentation)
    mean, worst = distance(found), volume_error(found)
    seconds = measure(lambda: ours(segmentation))
    voxel = min(GRID.spacing)
    results = [
        Figure("mean distance to the true surface", mean / voxel, unit="voxel", goal=0.15),
        Figure("worst volume error", worst, unit="%", goal=0.5),
    ]
    for name, peer in peers.items():
        meshes = peer()
        results += [
            Figure("mean distance to the true surface", mean, distance(meshes), name, "mm", 1.0),
            Figure("worst volume error", worst, volume_error(meshes), name, "%"),
            Figure("time for four surfaces", seconds, measure(peer), name, "s", 1.0),
        ]
    largest = max(extract(segmentation).meshes, key=lambda mesh: len(mesh.faces))
    results.append(
        Figure(
            f"measuring a mesh of {len(largest.faces)} triangles",
            measure(lambda: measuring.measure(largest)),
            measure(lambda: trimesh_measurements(largest)),
            "trimesh",
            "s",
            1.0,
        )
    )
    return results


if __name__ == "__main__":
    raise SystemExit(main("surfaces", figures))

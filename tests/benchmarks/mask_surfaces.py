"""Surfaces from masks alone, against what people use instead: eight labels, then other shapes, at other spacings.

Distances are taken from the middles of all triangles, weighted by area, so that chords count too. Peers run on
each label's own box. Recipes: VTK's discrete flying edges and windowed sinc; VTK's surface nets; scikit-image's
marching cubes and trimesh's Taubin filter; dicom2stl's mesh part without its reduction (its parseargs.py: 25 steps
of Laplacian smoothing); and 3D Slicer's (vtkBinaryLabelmapToClosedSurfaceConversionRule.cxx: discrete flying edges,
windowed sinc, 20 steps, pass band 10^(-4 s) at its default smoothing factor s = 0.5).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.eight_labels import DETAILED, GRID, STRUCTURES, box_of, masks
from tests.benchmarks.harness import Figure, main
from tomosurf.data.mesh import SurfaceMesh
from tomosurf.data.segmentation import Segmentation
from tomosurf.surface.extract import extract
from tomosurf.surface.measure import measure
from tomosurf.testing.grids import centred
from tomosurf.testing.phantoms import Ball, Box, Capsule, Ellipsoid, Placed, Shape, Torus, rotation_about
from tomosurf.testing.segmentations import segment

Mesh = tuple[NDArray[Any], NDArray[Any]]
Peer = Callable[[NDArray[np.uint8], tuple[float, float, float]], Mesh]


def _image(mask: NDArray[np.uint8], spacing: tuple[float, float, float]) -> Any:
    from vtkmodules.util.numpy_support import numpy_to_vtk
    from vtkmodules.vtkCommonDataModel import vtkImageData

    image = vtkImageData()
    image.SetDimensions(*mask.shape)
    image.SetSpacing(*spacing)
    image.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(mask.T).reshape(-1)))
    return image


def _arrays(polydata: Any) -> Mesh:
    from vtkmodules.util.numpy_support import vtk_to_numpy

    faces = vtk_to_numpy(polydata.GetPolys().GetConnectivityArray()).reshape(-1, 3)
    return vtk_to_numpy(polydata.GetPoints().GetData()), faces


def _contour(mask: NDArray[np.uint8], spacing: tuple[float, float, float]) -> Any:
    from vtkmodules.vtkFiltersGeneral import vtkDiscreteFlyingEdges3D

    contour = vtkDiscreteFlyingEdges3D()
    contour.SetInputData(_image(mask, spacing))
    contour.SetValue(0, 1)
    contour.ComputeNormalsOff()
    contour.ComputeGradientsOff()
    return contour


def windowed_sinc(iterations: int, pass_band: float) -> Peer:
    def peer(mask: NDArray[np.uint8], spacing: tuple[float, float, float]) -> Mesh:
        from vtkmodules.vtkFiltersCore import vtkWindowedSincPolyDataFilter

        contour, smooth = _contour(mask, spacing), vtkWindowedSincPolyDataFilter()
        smooth.SetInputConnection(contour.GetOutputPort())
        smooth.SetNumberOfIterations(iterations)
        smooth.SetPassBand(pass_band)
        smooth.NormalizeCoordinatesOn()
        smooth.BoundarySmoothingOff()
        smooth.FeatureEdgeSmoothingOff()
        smooth.NonManifoldSmoothingOn()
        smooth.Update()
        return _arrays(smooth.GetOutput())

    return peer


def laplacian(mask: NDArray[np.uint8], spacing: tuple[float, float, float]) -> Mesh:
    from vtkmodules.vtkFiltersCore import vtkSmoothPolyDataFilter

    contour, smooth = _contour(mask, spacing), vtkSmoothPolyDataFilter()
    smooth.SetInputConnection(contour.GetOutputPort())
    smooth.SetNumberOfIterations(25)
    smooth.Update()
    return _arrays(smooth.GetOutput())


def surface_nets(mask: NDArray[np.uint8], spacing: tuple[float, float, float]) -> Mesh:
    from vtkmodules.vtkFiltersCore import vtkSurfaceNets3D

    nets = vtkSurfaceNets3D()
    nets.SetInputData(_image(mask, spacing))
    nets.SetValue(0, 1)
    nets.SetOutputMeshTypeToTriangles()
    nets.SetNumberOfIterations(16)
    nets.Update()
    return _arrays(nets.GetOutput())


def taubin(mask: NDArray[np.uint8], spacing: tuple[float, float, float]) -> Mesh:
    import trimesh
    from skimage.measure import marching_cubes

    vertices, faces, _, _ = marching_cubes(mask, 0.5, spacing=spacing)
    mesh = trimesh.smoothing.filter_taubin(trimesh.Trimesh(vertices, faces, process=False))
    return np.asarray(mesh.vertices), np.asarray(mesh.faces)


PEERS: Mapping[str, Peer] = {
    "VTK flying edges + windowed sinc 20": windowed_sinc(20, 0.1),
    "VTK flying edges + windowed sinc 40": windowed_sinc(40, 0.03),
    "3D Slicer's recipe": windowed_sinc(20, 0.01),
    "dicom2stl's recipe": laplacian,
    "VTK SurfaceNets3D 16": surface_nets,
    "scikit-image + trimesh Taubin": taubin,
}


def ours(segmentation: Segmentation) -> list[Mesh]:
    return [(mesh.vertices, mesh.faces) for mesh in extract(segmentation).meshes]


def theirs(peer: Peer, segmentation: Segmentation, shapes: Mapping[str, Shape]) -> list[Mesh]:
    geometry, meshes = segmentation.geometry, []
    for label, shape in enumerate(shapes.values(), 1):
        box = box_of(shape, geometry)
        points, faces = peer((segmentation.labels[box] == label).astype(np.uint8), geometry.spacing)
        start = np.array([s.start for s in box])
        meshes.append((geometry.to_world(points / np.array(geometry.spacing) + start), faces))
    return meshes


def distance(mesh: Mesh, shape: Shape) -> tuple[float, float]:
    """Mean distance in mm to the true surface, and the area."""
    corners = mesh[0][mesh[1]].astype(np.float64)
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    away = [
        shape.signed_distance(some) for some in np.array_split(corners.mean(axis=1), len(area) // 200_000 + 1)
    ]
    return float(area @ np.abs(np.concatenate(away)) / area.sum()), float(area.sum()) / 2


def mean_distance(meshes: list[Mesh], shapes: Mapping[str, Shape], names: set[str]) -> float:
    found = [distance(m, s) for m, (name, s) in zip(meshes, shapes.items(), strict=True) if name in names]
    return sum(d * area for d, area in found) / sum(area for _, area in found)


def worst_volume(meshes: list[Mesh], shapes: Mapping[str, Shape]) -> float:
    """In percent."""
    errors = []
    for (points, faces), shape in zip(meshes, shapes.values(), strict=True):
        mesh = SurfaceMesh(np.asarray(points, np.float64), np.asarray(faces, np.int32), segment())
        errors.append(abs(abs(measure(mesh).volume_mm3) / shape.volume - 1) * 100)
    return max(errors)


def cpu_seconds(function: Callable[[], list[Mesh]]) -> float:
    """The least of three runs after the first."""
    function()
    times = []
    for _ in range(3):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return min(times)


def eight() -> list[Figure]:
    segmentation = masks(GRID)
    detailed = set(DETAILED)
    smooth = set(STRUCTURES) - detailed
    found, seconds = ours(segmentation), cpu_seconds(lambda: ours(segmentation))
    near, fine, volume = (
        mean_distance(found, STRUCTURES, smooth),
        mean_distance(found, STRUCTURES, detailed),
        worst_volume(found, STRUCTURES),
    )
    figures = [
        Figure("smooth structures, mean distance", near, unit="mm", goal=0.045),
        Figure("spine, mean distance", fine, unit="mm", goal=0.075),
        Figure("worst volume error", volume, unit="%", goal=0.15),
    ]
    for name, peer in PEERS.items():
        meshes = theirs(peer, segmentation, STRUCTURES)
        time_goal = 1.0 if name.endswith("sinc 40") else None
        taken = cpu_seconds(lambda peer=peer: theirs(peer, segmentation, STRUCTURES))  # type: ignore[misc]
        figures += [
            Figure("smooth, mean distance", near, mean_distance(meshes, STRUCTURES, smooth), name, "mm", 1.0),
            Figure(
                "spine, mean distance", fine, mean_distance(meshes, STRUCTURES, detailed), name, "mm", 1.0
            ),
            Figure("worst volume error", volume, worst_volume(meshes, STRUCTURES), name, "%"),
            Figure("CPU time", seconds, taken, name, "s", time_goal),
        ]
    return figures


def alone(shape: Shape, spacing: tuple[float, float, float]) -> Segmentation:
    """The mask of one shape about the origin."""
    i, j, k = (2 * int(30 / s) for s in spacing)
    geometry = centred((i, j, k), np.diag(spacing))
    centres = geometry.to_world(np.indices(geometry.shape).reshape(3, -1).T)
    labels = shape.contains(centres).reshape(geometry.shape).astype(np.uint8)
    return Segmentation(geometry, np.asfortranarray(labels), (segment(1, "shape"),))


def singly(spacing: tuple[float, float, float]) -> list[Figure]:
    """One shape at a time, its distance and its volume's error, beside 40 steps of windowed sinc."""
    turned = rotation_about((0.3, 1.0, 0.5), 37.0)
    shapes: Mapping[str, Shape] = {
        "ball, r 20 mm": Ball((0.21, 0.13, 0.34), 20.0),
        "torus, r 6 mm": Placed(Torus((0.0, 0.0, 0.0), 16.0, 6.0), turned, (0.21, 0.13, 0.34)),
        "capsule, r 5 mm": Placed(Capsule((-12.0, 0.0, 0.0), (15.0, 3.0, 0.0), 5.0), turned),
        "ellipsoid, 22 x 14 x 9 mm": Placed(Ellipsoid((0.0, 0.0, 0.0), (22.0, 14.0, 9.0)), turned),
        "box, 26 x 20 x 16 mm": Placed(Box((0.0, 0.0, 0.0), (26.0, 20.0, 16.0)), turned),
        "flat box, turned by 3 degrees": Placed(
            Box((0.0, 0.0, 0.0), (34.0, 30.0, 14.0)), rotation_about((0.6, 0.8, 0.1), 3.0), (0.21, 0.13, 0.34)
        ),
        "capsule, r 1 mm": Placed(Capsule((-12.0, 0.0, 0.0), (15.0, 3.0, 0.0), 1.0), turned),
    }
    name = "VTK flying edges + windowed sinc 40"
    figures = []
    for what, shape in shapes.items():
        one = alone(shape, spacing)
        meshes = [ours(one), theirs(PEERS[name], one, {what: shape})]
        place = f"{what}, at {' x '.join(f'{s:g}' for s in spacing)} mm"
        near, peer_near = (distance(mesh, shape)[0] for (mesh,) in meshes)
        volume, peer_volume = (worst_volume(mesh, {what: shape}) for mesh in meshes)
        figures += [
            Figure(f"{place}: mean distance", near, peer_near, name, "mm", 1.0),
            Figure(f"{place}: volume error", volume, peer_volume, name, "%"),
        ]
    return figures


def elsewhere(spacing: tuple[float, float, float], turns: int = 4) -> list[Figure]:
    """Other shapes, each turned and moved at random, at one spacing: mean over shapes and turns."""
    random = np.random.default_rng(2026)
    shapes: dict[str, Shape] = {}
    whole = (
        Ball((0.0, 0.0, 0.0), 17.0),
        Torus((0.0, 0.0, 0.0), 15.0, 5.0),
        Capsule((-9.0, 0.0, 0.0), (12.0, 3.0, 0.0), 4.0),
        Ellipsoid((0.0, 0.0, 0.0), (19.0, 12.0, 8.0)),
    )
    for turn in range(turns):
        for shape in whole:
            rotation = rotation_about(random.normal(size=3), float(random.uniform(0, 180)))
            x, y, z = random.uniform(-1, 1, 3).tolist()
            shapes[f"{type(shape).__name__} {turn}"] = Placed(shape, rotation, (x, y, z))
    results: dict[str, list[float]] = {name: [] for name in ("ours", *PEERS)}
    for name, shape in shapes.items():
        one = alone(shape, spacing)
        results["ours"].append(distance(ours(one)[0], shape)[0])
        for peer_name, peer in PEERS.items():
            results[peer_name].append(distance(theirs(peer, one, {name: shape})[0], shape)[0])
    mean = float(np.mean(results["ours"]))
    what = f"{len(shapes)} turned shapes at {' x '.join(f'{s:g}' for s in spacing)} mm, mean distance"
    return [Figure(what, mean, float(np.mean(results[name])), name, "mm", 1.0) for name in PEERS]


def figures() -> list[Figure]:
    others = [*elsewhere((0.8, 0.8, 0.8)), *elsewhere((0.7, 0.7, 3.0)), *elsewhere((0.8, 0.8, 5.0))]
    return [*eight(), *others, *singly((0.8, 0.8, 0.8)), *singly((0.8, 0.8, 5.0))]


if __name__ == "__main__":
    raise SystemExit(main("mask_surfaces", figures))

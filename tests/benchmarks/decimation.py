"""Thinning: all walls of the eight labels to a tenth of their triangles, against libraries that thin single meshes.

Time is processor time. Error is the mean two-sided distance of the thinned surfaces from the full ones, the worst
structure's, and the mean distance to the phantom's truth. The peers get each structure's mesh by itself, as they
know no walls; a shared wall is lost when the two structures' triangles no longer agree.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Set
from typing import Any

import numpy as np

from tests.benchmarks.eight_labels import DETAILED, STRUCTURES, masks
from tests.benchmarks.harness import Figure, main
from tests.benchmarks.mask_surfaces import mean_distance
from tests.benchmarks.surfaces import phantom
from tests.benchmarks.walls import mixed
from tests.complexes import three_parts, walls_of
from tomosurf.data.complex import SurfaceComplex
from tomosurf.data.mesh import Scene, SurfaceMesh
from tomosurf.surface.decimate import Target, decimate
from tomosurf.surface.distance import two_sided
from tomosurf.surface.extract import extract
from tomosurf.surface.lighter import complex_of
from tomosurf.surface.measure import measure
from tomosurf.testing.segmentations import segment

SHARE = 0.1
Meshes = list[SurfaceMesh]


def processor_time(function: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of the second call: the first one compiles."""
    function()
    start = time.process_time()
    result = function()
    return time.process_time() - start, result


def ours(surfaces: SurfaceComplex) -> Meshes:
    fewer = decimate(surfaces, Target(triangles=int(SHARE * len(surfaces.faces))))
    return [fewer.mesh(segment(label)) for label in fewer.labels]


def fast_simplification(meshes: Meshes) -> Meshes:
    import fast_simplification as peer

    found = []
    for mesh in meshes:
        vertices, faces = peer.simplify(
            np.array(mesh.vertices), np.array(mesh.faces), target_reduction=1 - SHARE
        )
        found.append(SurfaceMesh(vertices.astype(np.float64), faces.astype(np.int32), mesh.segment))
    return found


def vtk_quadrics(meshes: Meshes) -> Meshes:
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkFiltersCore import vtkQuadricDecimation

    from tomosurf.surface.polydata import polydata

    found = []
    for mesh in meshes:
        thin = vtkQuadricDecimation()
        thin.SetInputData(polydata(mesh.vertices, mesh.faces))
        thin.SetTargetReduction(1 - SHARE)
        thin.Update()
        surface = thin.GetOutput()
        faces = vtk_to_numpy(surface.GetPolys().GetConnectivityArray()).reshape(-1, 3).astype(np.int32)
        vertices = vtk_to_numpy(surface.GetPoints().GetData()).astype(np.float64)
        found.append(SurfaceMesh(vertices, faces, mesh.segment))
    return found


def apart(before: Meshes, after: Meshes) -> float:
    """Mean two-sided distance in mm, the worst structure's."""
    return max(
        two_sided((a.vertices, a.faces), (b.vertices, b.faces)).mean_mm
        for a, b in zip(before, after, strict=True)
    )


def torn(meshes: Meshes) -> int:
    """Structures that are no closed manifold any more."""
    return sum(not measure(mesh).manifold for mesh in meshes)


def walls(meshes: Meshes) -> int:
    """Triangles that two structures share to the bit; one that a structure has twice counts once."""
    corners = (mixed(np.ascontiguousarray(mesh.vertices).view(np.uint64))[mesh.faces] for mesh in meshes)
    keys = [np.unique(three.sum(axis=1, dtype=np.uint64)) for three in corners]
    return int((np.unique(np.concatenate(keys), return_counts=True)[1] > 1).sum())


PEERS = {"fast_simplification": fast_simplification, "vtkQuadricDecimation": vtk_quadrics}
SMOOTH = set(STRUCTURES) - set(DETAILED)


def truth(meshes: Meshes, names: Set[str]) -> float:
    """Mean distance in mm to the phantom's surfaces."""
    return mean_distance([(m.vertices, m.faces) for m in meshes], STRUCTURES, set(names))


def eight_labels() -> list[Figure]:
    """All walls of the phantom's masks at once, a structure at a time by the peers."""
    scene = extract(masks())
    full, surfaces = list(scene.meshes), complex_of(scene.meshes)
    seconds, thinned = processor_time(lambda: ours(surfaces))
    what = f"{len(surfaces.faces)} triangles to {SHARE:.0%}"
    near = truth(thinned, SMOOTH)
    results = [Figure("smooth structures: mean distance to the truth", near, unit="mm", goal=0.055)]
    for name, peer in PEERS.items():
        its_seconds, its = processor_time(lambda peer=peer: peer(full))
        results += [
            Figure(f"{what}: processor time, self-intersections looked for", seconds, its_seconds, name, "s"),
            Figure("mean distance to the full surface", apart(full, thinned), apart(full, its), name, "mm"),
            Figure("smooth structures: mean distance to the truth", near, truth(its, SMOOTH), name, "mm"),
            Figure("spine: mean distance to the truth", truth(thinned, DETAILED), truth(its, DETAILED), name, "mm"),
            Figure(f"structures of {len(full)} no longer closed", torn(thinned), torn(its), name, ""),
        ]  # fmt: skip
    full_truth = truth(full, SMOOTH)
    return [*results, Figure("smooth structures: mean distance before", full_truth, unit="mm")]


def shared_walls() -> list[Figure]:
    """How many triangles two of three parts still share."""
    shared = walls_of(three_parts(40))
    parts = [shared.mesh(segment(label)) for label in shared.labels]
    what, own = "triangles that two of three parts share", walls(ours(shared))
    return [
        Figure(what, own, walls(peer(parts)), name, "", lower_is_better=False) for name, peer in PEERS.items()
    ]


def within_a_bound() -> list[Figure]:
    """Four shapes thinned as far as an error allows."""
    scene: Scene = extract(phantom())
    full, surfaces = list(scene.meshes), complex_of(scene.meshes)
    start = time.process_time()
    bounded = decimate(surfaces, Target(max_error_mm=0.1))
    taken = time.process_time() - start
    most = max(
        two_sided((mesh.vertices, mesh.faces), (less.vertices, less.faces)).max_mm
        for mesh, less in ((mesh, bounded.mesh(mesh.segment)) for mesh in full)
    )
    return [
        Figure(
            f"{len(surfaces.faces)} triangles, largest distance after --max-error 0.1mm", most, unit="mm", goal=0.1
        ),
        Figure("share of triangles left then", len(bounded.faces) / len(surfaces.faces), unit=""),
        Figure("processor time of that", taken),
    ]  # fmt: skip


def figures() -> list[Figure]:
    return [*shared_walls(), *within_a_bound(), *eight_labels()]


if __name__ == "__main__":
    raise SystemExit(main("decimation", figures))

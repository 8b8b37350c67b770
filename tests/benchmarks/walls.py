"""Walls between labels: fields of eight structures against peers' masks; Voronoi cells in growing numbers.

The cells fill an ellipsoid; their walls are found, checked and counted. Time is CPU time of extraction alone.
"""

from __future__ import annotations

import time

import numba
import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.eight_labels import STRUCTURES, fields
from tests.benchmarks.harness import Figure, main, peak_memory_mb
from tests.benchmarks.surfaces import Mesh, discrete_flying_edges
from tomosurf.data.complex import SurfaceComplex
from tomosurf.data.geometry import Geometry
from tomosurf.data.segmentation import Segmentation
from tomosurf.surface.extract import extract, extract_complexes
from tomosurf.surface.measure import measure
from tomosurf.testing.segmentations import segment

SHAPE = (512, 512, 300)


def distances(meshes: dict[str, Mesh]) -> dict[str, float]:
    """Mean distance in mm of each structure's surface, sampled at its triangles' middles, to the true one."""
    found = {}
    for name, (vertices, faces) in meshes.items():
        corners = np.asarray(vertices, np.float64)[faces]
        area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
        away = np.abs(STRUCTURES[name].signed_distance(corners.mean(axis=1)))
        found[name] = float(area @ away / area.sum())
    return found


def voronoi(count: int, shape: tuple[int, int, int] = SHAPE) -> Segmentation:
    """``count`` cells around points drawn at random, within an ellipsoid that nearly fills the image."""
    random = np.random.default_rng(count)
    directions = random.normal(size=(count, 3))
    radii = random.random((count, 1)) ** (1 / 3)
    seeds = directions / np.linalg.norm(directions, axis=1, keepdims=True) * radii
    labels = np.zeros(shape, np.uint8, order="F")
    _grow(labels.T, seeds)
    geometry = Geometry(shape, np.diag([0.7, 0.7, 1.0, 1.0]))
    return Segmentation(geometry, labels, tuple(segment(n) for n in range(1, count + 1)))


@numba.njit(parallel=True)
def _grow(labels: NDArray[np.uint8], seeds: NDArray[np.float64]) -> None:
    nk, nj, ni = labels.shape
    for k in numba.prange(nk):
        for j in range(nj):
            for i in range(ni):
                x, y, z = 2.1 * (i / ni - 0.5), 2.1 * (j / nj - 0.5), 2.1 * (k / nk - 0.5)
                if x * x + y * y + z * z > 1:
                    continue
                least = np.inf
                for n in range(len(seeds)):
                    away = (x - seeds[n, 0]) ** 2 + (y - seeds[n, 1]) ** 2 + (z - seeds[n, 2]) ** 2
                    if away < least:
                        least = away
                        labels[k, j, i] = n + 1


def faults(walls: SurfaceComplex) -> tuple[int, int]:
    """How many labels' meshes aren't closed and manifold, and how many pairs of triangles meet, decided exactly."""
    from igl.copyleft import cgal

    meshes = [measure(walls.mesh(segment(label))) for label in walls.labels]
    met = cgal.remesh_self_intersections(walls.vertices, walls.faces.astype(np.int64), detect_only=True)[2]
    return sum(not (m.closed and m.manifold) for m in meshes), len(met)


def cells(count: int, shape: tuple[int, int, int] = SHAPE) -> list[Figure]:
    segmentation = voronoi(count, shape)
    before = peak_memory_mb()
    start = time.process_time()
    (walls,) = extract_complexes(segmentation)
    seconds = time.process_time() - start
    memory = peak_memory_mb() - before
    unsound, met = faults(walls)
    millions = len(walls.faces) / 1e6
    return [
        Figure(f"{count} cells: triangles", millions, unit="million"),
        Figure(f"{count} cells: surfaces not closed and manifold", unsound, unit="", goal=0),
        Figure(f"{count} cells: pairs of triangles that meet", met, unit="", goal=0),
        Figure(f"{count} cells: CPU time a million triangles", seconds / millions, unit="s"),
        Figure(f"{count} cells: memory over the labels'", memory, unit="MB"),
    ]


def from_fields() -> list[Figure]:
    segmentation = fields()
    extract(segmentation)
    start = time.process_time()
    scene = extract(segmentation)
    seconds = time.process_time() - start
    mean = distances({m.segment.name: (m.vertices, m.faces) for m in scene.meshes})
    ours = float(np.mean(list(mean.values())))
    figures = [
        Figure("eight labels from fields at 1.5 mm: mean distance", ours, unit="mm", goal=0.03),
        Figure("eight labels from fields at 1.5 mm: the spine's", mean["spine"], unit="mm"),
        Figure("eight labels from fields at 1.5 mm: CPU time", seconds, unit="s"),
    ]
    names = [s.name for s in segmentation.segments]
    for iterations, band in ((20, 0.1), (40, 0.03)):
        peer = distances(dict(zip(names, discrete_flying_edges(segmentation, iterations, band), strict=True)))
        what = f"VTK DiscreteFlyingEdges + windowed sinc {iterations}"
        figures.append(
            Figure("mean distance, its mask", ours, float(np.mean(list(peer.values()))), what, "mm", 1.0)
        )
    return figures


def figures() -> list[Figure]:
    extract_complexes(voronoi(3, (32, 32, 32)))
    return [*from_fields(), *(figure for count in (10, 30, 100) for figure in cells(count))]


if __name__ == "__main__":
    raise SystemExit(main("walls", figures))

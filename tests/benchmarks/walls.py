"""Walls between labels: fields of eight structures against peers' masks; Voronoi cells in growing numbers.

The cells fill an ellipsoid; their walls are found, checked and counted. Time is CPU time of extraction alone, the
system's share included: of a process's first extraction on an idle machine, as a case has it, and of one straight
after it, when some memory is at hand already (the more of it the fewer the cells).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TypeVar

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
from tomosurf.surface.intersections import self_intersections
from tomosurf.surface.measure import measure
from tomosurf.testing.segmentations import segment

T = TypeVar("T")

SHAPE = (512, 512, 300)
COUNTS = (10, 30, 100)
PROCESSES = 7
"""In how many each number of cells is extracted. The median counts: handing out memory takes a virtual machine now
more, now less, and the least is the luckiest."""

IDLE_S = 5.0
"""How long a process waits before it begins, as for a case. What another freed lies at hand for a second or two,
until a virtual machine's host takes it back: it would favour small scenes, being all that they take."""


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
    return segmented(labels, count)


def segmented(labels: NDArray[np.uint8], count: int) -> Segmentation:
    """``count`` labels, (ni, nj, nk), with their geometry."""
    ni, nj, nk = labels.shape
    geometry = Geometry((ni, nj, nk), np.diag([0.7, 0.7, 1.0, 1.0]))
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


@dataclass(frozen=True, slots=True)
class Walls:
    """What became of a number of cells."""

    triangles: int
    seconds: float
    least: float
    again: float
    bytes: float


@dataclass(frozen=True, slots=True)
class Checks:
    """What is wrong with them."""

    unsound: int
    meeting: int
    unshared: int
    seconds: float


def made(file: Path, count: int) -> Walls:
    """Extract; call it in a process of its own, since memory is the process' largest so far."""
    extract_complexes(voronoi(3, (32, 32, 32)))
    segmentation = segmented(np.load(file), count)
    before = peak_memory_mb()
    time.sleep(IDLE_S)
    start = time.process_time()
    (walls,) = extract_complexes(segmentation)
    seconds = time.process_time() - start
    memory = peak_memory_mb() - before
    start = time.process_time()
    extract_complexes(segmentation)
    return Walls(len(walls.faces), seconds, seconds, time.process_time() - start, memory * 1e6)


def checked(file: Path, count: int) -> Checks:
    """Look whether surfaces are sound, meet, and share their walls."""
    (walls,) = extract_complexes(segmented(np.load(file), count))
    start = time.process_time()
    unsound, unshared = parts(walls)
    meeting = len(self_intersections(walls.vertices, walls.faces))
    return Checks(unsound, meeting, unshared, time.process_time() - start)


def parts(walls: SurfaceComplex) -> tuple[int, int]:
    """Labels whose mesh has an open or non-manifold edge or vertex; triangles that a neighbour lacks to the bit.

    A triangle between two labels must be in the meshes of both, with the same three corners.
    """
    unsound, keys = 0, []
    for label in walls.labels:
        mesh = walls.mesh(segment(label))
        measured = measure(mesh)
        unsound += not (measured.closed and measured.manifold)
        corners = mixed(np.ascontiguousarray(mesh.vertices).view(np.uint64))
        keys.append(corners[mesh.faces].sum(axis=1, dtype=np.uint64))
    counts = np.unique(np.concatenate(keys), return_counts=True)[1]
    inner = int((walls.sides[:, 1] > 0).sum())
    return unsound, abs(inner - int((counts == 2).sum())) + int((counts > 2).sum())


def mixed(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """One number for the bits of a row's three coordinates (the finaliser of MurmurHash3, once a coordinate)."""
    key = np.zeros(len(bits), np.uint64)
    for column in bits.T:
        key = key * np.uint64(31) + column
        for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
            key = (key ^ (key >> np.uint64(33))) * np.uint64(factor)
        key ^= key >> np.uint64(33)
    return key


def by_another_library(walls: SurfaceComplex) -> int:
    """Pairs of triangles that meet, as CGAL finds them exactly; it takes too much memory for millions."""
    from igl.copyleft import cgal

    found = cgal.remesh_self_intersections(walls.vertices, walls.faces.astype(np.int64), detect_only=True)
    return len(found[2])


def cells() -> list[Figure]:
    """Growing numbers of cells on the full grid, each in processes of their own."""
    with TemporaryDirectory() as folder:
        files = {count: Path(folder) / f"{count}.npy" for count in COUNTS}
        for count, file in files.items():
            np.save(file, voronoi(count).labels)
        # in turns, since a machine is not as fast in one minute as in the next
        turns = [
            {count: _apart(made, file, count) for count, file in files.items()} for _ in range(PROCESSES)
        ]
        checks = {count: _apart(checked, file, count) for count, file in files.items()}
    found = {count: _of_all([turn[count] for turn in turns]) for count in COUNTS}
    figures = []
    for count, walls in found.items():
        figures += [
            Figure(f"{count} cells: triangles", walls.triangles / 1e6, unit="million"),
            Figure(
                f"{count} cells: surfaces not closed and manifold", checks[count].unsound, unit="", goal=0
            ),
            Figure(f"{count} cells: pairs of triangles that meet", checks[count].meeting, unit="", goal=0),
            Figure(
                f"{count} cells: triangles that a neighbour lacks", checks[count].unshared, unit="", goal=0
            ),
            Figure(f"{count} cells: CPU time of extraction", walls.seconds),
            Figure(f"{count} cells: the least of {PROCESSES}", walls.least),
            Figure(f"{count} cells: the same once more, straight after", walls.again),
            Figure(f"{count} cells: memory beside the labels", walls.bytes / 1e6, unit="MB"),
            Figure(f"{count} cells: CPU time of these checks", checks[count].seconds),
        ]
    fewest, *more = COUNTS
    for count in more:
        for what, unit, per, goal in (
            ("seconds", "s", 1e6, 1.0),
            ("least", "s", 1e6, None),
            ("again", "s", 1e6, None),
            ("bytes", "B", 1.0, 1.0),
        ):
            ours, fewer = (getattr(found[n], what) / found[n].triangles * per for n in (count, fewest))
            text = f"{count} cells: {what} {'a triangle' if per == 1 else 'a million triangles'}"
            figures.append(Figure(text, ours, fewer, f"{fewest} cells", unit, goal))
    (small,) = extract_complexes(voronoi(100, (128, 128, 75)))
    what = f"100 cells, {len(small.faces)} triangles: pairs that meet, by CGAL"
    return [*figures, Figure(what, by_another_library(small), unit="", goal=0)]


def _of_all(runs: Sequence[Walls]) -> Walls:
    """What many runs of one number of cells took."""
    return Walls(
        runs[0].triangles,
        median(run.seconds for run in runs),
        min(run.seconds for run in runs),
        median(run.again for run in runs),
        max(run.bytes for run in runs),
    )


def _apart(what: Callable[[Path, int], T], file: Path, count: int) -> T:
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        return process.submit(what, file, count).result()


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
    return [*from_fields(), *cells()]


if __name__ == "__main__":
    raise SystemExit(main("walls", figures))

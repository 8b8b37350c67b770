from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tomosurf.data.complex import SurfaceComplex
from tomosurf.surface.crossings import find_crossings
from tomosurf.surface.measure import Measurements, measure
from tomosurf.surface.meeting import place_meeting
from tomosurf.surface.triangulate import Triangulation, triangulate
from tomosurf.testing.segmentations import segment


def padded(labels: Any) -> NDArray[np.uint8]:
    return np.asfortranarray(np.pad(np.asarray(labels, np.uint8), 1))


def walls_of(labels: Any, seed: int | None = None) -> Triangulation:
    """Walls half way between voxels, or at random places with a ``seed``, many of them extreme."""
    lattice = padded(labels)
    crossings = find_crossings(lattice)
    along = [np.full(len(starts), 0.5, np.float32) for starts in crossings.starts]
    if seed is not None:
        random = np.random.default_rng(seed)
        along = [np.clip(random.beta(0.3, 0.3, len(a)), 1e-3, 1 - 1e-3).astype(np.float32) for a in along]
    return triangulate(lattice, crossings, (along[0], along[1], along[2]))


def complex_of(found: Triangulation) -> SurfaceComplex:
    pinched = np.zeros(len(found.points), np.uint8)
    pinched[found.pinches] = 1
    return SurfaceComplex(found.points, found.faces, found.sides, {"pinched": pinched})


def surface_of(labels: Any, label: int = 1) -> Measurements:
    return measure(complex_of(walls_of(labels)).mesh(segment(label)))


def self_intersections(found: Triangulation) -> int:
    """Pairs of triangles that meet elsewhere than in corners and edges they share, decided exactly."""
    from igl.copyleft import cgal

    result = cgal.remesh_self_intersections(found.points, found.faces.astype(np.int64), detect_only=True)
    return len(result[2])


def test_every_pattern_of_eight_voxels_is_closed_and_six_connected() -> None:
    import cc3d

    for pattern in product((0, 1), repeat=8):
        if any(pattern):
            block = np.array(pattern).reshape(2, 2, 2)
            measured = surface_of(block)
            assert measured.closed and measured.manifold
            parts = cc3d.connected_components(block.astype(np.uint8), connectivity=6).max()
            assert measured.components == parts


@pytest.mark.parametrize(
    ("neighbour", "inside_parts", "outside_parts"), [((3, 2, 2), 1, 1), ((3, 3, 2), 2, 1), ((3, 3, 3), 2, 2)]
)
def test_which_voxels_count_as_joined(
    neighbour: tuple[int, int, int], inside_parts: int, outside_parts: int
) -> None:
    block = np.zeros((6, 6, 6), np.uint8)
    block[2, 2, 2] = block[neighbour] = 1
    assert surface_of(block).components == inside_parts
    assert surface_of(1 - block).components == 1 + outside_parts


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("labels", range(2, 7))
def test_noise_of_many_labels_gives_closed_surfaces_that_do_not_meet(labels: int, seed: int) -> None:
    random = np.random.default_rng((labels, seed))
    shape = (6, 5, 7)
    noise = random.integers(seed % 2, labels + 1, shape)
    found = walls_of(noise, seed=seed)
    assert self_intersections(found) == 0
    walls, volume = complex_of(found), 0.0
    for label in walls.labels:
        measured = measure(walls.mesh(segment(label)))
        assert measured.closed and measured.manifold and measured.volume_mm3 > 0
        volume += measured.volume_mm3
    outer = found.faces[found.sides[:, 1] == 0]
    a, b, c = (found.points[corner] for corner in outer.T)
    assert volume == pytest.approx(np.einsum("ij,ij->", a, np.cross(b, c)) / 6, rel=1e-9)
    assert len(found.faces) == len(np.unique(np.sort(found.faces, axis=1), axis=0))


def test_every_edge_belongs_to_two_triangles_of_each_label_beside_it() -> None:
    found = walls_of(np.random.default_rng(5).integers(0, 5, (8, 8, 8)), seed=5)
    edges = np.sort(found.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    for side in np.unique(found.sides):
        beside = np.repeat((found.sides == side).any(axis=1), 3)
        _, counts = np.unique(edges[beside], axis=0, return_counts=True)
        assert (counts == 2).all()


def test_a_structure_that_touches_itself_is_parted_there_and_counted() -> None:
    # two arms of 1 pass each other around a block of 2 and one of 3, which meet between them
    found = walls_of(np.random.default_rng(2).integers(1, 4, (9, 9, 9)), seed=1)
    assert len(found.pinches)
    walls = complex_of(found)
    for label in walls.labels:
        mesh = walls.mesh(segment(label))
        assert measure(mesh).manifold
    assert sum(len(walls.mesh(segment(label)).vertices) for label in walls.labels) > sum(
        len(np.unique(found.faces[(found.sides == label).any(axis=1)])) for label in walls.labels
    )


def test_a_flat_outer_surface_stays_flat_where_two_structures_meet_beneath_it() -> None:
    block = np.ones((6, 6, 4), np.uint8)
    block[3:] = 2
    lattice = padded(block)
    crossings = find_crossings(lattice)
    along = [np.full(len(starts), 0.3, np.float32) for starts in crossings.starts]
    values = np.zeros(len(crossings), np.float32)
    found = triangulate(lattice, crossings, (along[0], along[1], along[2]), values)
    top = found.points[(found.points[:, 2] > 4.1) & (found.points[:, :2] > 1.5).all(axis=1)]
    top = top[(top[:, :2] < 5.5).all(axis=1)]
    assert len(top) and np.allclose(top[:, 2], 4.3)


def test_nothing_has_no_walls() -> None:
    assert walls_of(np.zeros((3, 3, 3))).faces.shape == (0, 3)


def test_the_same_bytes_again() -> None:
    noise = np.random.default_rng(3).integers(0, 4, (12, 11, 10))
    first, second = walls_of(noise, seed=3), walls_of(noise, seed=3)
    for name in ("points", "faces", "sides", "pinches"):
        assert getattr(first, name).tobytes() == getattr(second, name).tobytes()


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_points_beside_crossings_that_were_moved_are_where_they_would_have_been(
    kind: type[np.integer[Any]],
) -> None:
    labels = np.random.default_rng(5).integers(0, 4, (9, 8, 7)).astype(kind)
    lattice = np.asfortranarray(np.pad(labels, 1))
    crossings = find_crossings(lattice)
    random = np.random.default_rng(6)
    first, second = (random.uniform(0.01, 0.99, len(crossings)).astype(np.float32) for _ in range(2))
    moved, wanted = (triangulate(lattice, crossings, crossings.by_axis(a)) for a in (first, second))
    others = slice(len(crossings), None)
    assert (moved.points[others] != wanted.points[others]).any()
    moved.points[: len(crossings)] = wanted.points[: len(crossings)]
    place_meeting(moved.meeting, lattice.shape[:2], moved.points)
    np.testing.assert_array_equal(moved.points, wanted.points)


def test_values_go_along_and_move_no_point() -> None:
    lattice = padded(np.random.default_rng(5).integers(0, 4, (9, 8, 7)))
    crossings = find_crossings(lattice)
    random = np.random.default_rng(6)
    along = crossings.by_axis(random.uniform(0.01, 0.99, len(crossings)).astype(np.float32))
    values = random.normal(size=len(crossings)).astype(np.float32)
    without, found = triangulate(lattice, crossings, along), triangulate(lattice, crossings, along, values)
    np.testing.assert_array_equal(found.points, without.points)
    assert np.isnan(without.values).all()
    np.testing.assert_array_equal(found.values[: len(values)], values)
    others = found.values[len(values) :]
    assert len(others) and (others > values.min()).all() and (others < values.max()).all()

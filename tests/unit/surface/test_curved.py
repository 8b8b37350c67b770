"""Walls between thick slices: as curved as the shape is, closed, shared, and never through each other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tomosurf.data.geometry import Geometry
from tomosurf.data.mesh import Scene
from tomosurf.data.segmentation import Margin, Segmentation
from tomosurf.surface.error import budget_of
from tomosurf.surface.extract import extract, extract_complexes
from tomosurf.surface.intersections import self_intersections
from tomosurf.surface.measure import measure
from tomosurf.testing.grids import centred
from tomosurf.testing.phantoms import Ball, Capsule, Ellipsoid, Placed, Shape, Torus, rotation_about
from tomosurf.testing.segmentations import segment, segmentation_of


def thick(apart: float, half: float = 30.0, step: float = 0.8) -> Geometry:
    """Around the origin, not centred on it; slices ``apart`` mm."""
    shape = (int(2 * half / step), int(2 * half / step), int(2 * half / apart) + 2)
    return centred(shape, np.diag([step, step, apart]), [0.2, -0.3, 0.37])


def points_of(geometry: Geometry) -> NDArray[np.float64]:
    index = np.stack(np.meshgrid(*map(np.arange, geometry.shape), indexing="ij"), axis=-1)
    return geometry.to_world(index.reshape(-1, 3))


SHAPES: dict[str, Shape] = {
    "ball": Ball((0.0, 0.0, 0.0), 14.0),
    "tilted torus": Placed(
        Torus((0.0, 0.0, 0.0), 17.0, 7.0), rotation_about((1.0, 0.4, 0.2), 50), (0.0, 0.0, 0.0)
    ),
    "tilted capsule": Capsule((-14.0, -3.0, -16.0), (14.0, 4.0, 16.0), 6.0),
    "tilted ellipsoid": Placed(
        Ellipsoid((0.0, 0.0, 0.0), (10.0, 16.0, 24.0)), rotation_about((1.0, 0.4, 0.2), 40), (0.0, 0.0, 0.0)
    ),
}


@pytest.mark.parametrize("apart", [2.4, 5.0])
@pytest.mark.parametrize("name", SHAPES)
def test_between_thick_slices_surfaces_are_curved_as_the_shape_is(name: str, apart: float) -> None:
    """By chords between slices triangles would lie two to four times as far off, and 1 to 4 % would be lost."""
    shape = SHAPES[name]
    mesh = extract(segmentation_of([shape], thick(apart))).meshes[0]
    measured = measure(mesh)
    assert measured.closed and measured.manifold and measured.components == 1
    corners = mesh.vertices[mesh.faces]
    weights = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    away = np.average(np.abs(shape.signed_distance(corners.mean(axis=1))), weights=weights)
    sagitta = apart**2 / 8 / 6.0
    assert away < sagitta / 3.5
    assert measured.volume_mm3 == pytest.approx(shape.volume, rel=0.01 if apart < 3 else 0.015)


def test_axes_are_alike() -> None:
    shape = SHAPES["tilted torus"]
    grid = thick(5.0)
    volumes, counts = [], []
    for axis in range(3):
        order = [axis if n == 2 else 2 if n == axis else n for n in range(3)]
        shape_of = tuple(grid.shape[n] for n in order)
        turned = Geometry((shape_of[0], shape_of[1], shape_of[2]), grid.affine[:, [*order, 3]])
        mesh = extract(segmentation_of([shape], turned)).meshes[0]
        volumes.append(measure(mesh).volume_mm3)
        counts.append(len(mesh.vertices))
    assert volumes == pytest.approx([volumes[0]] * 3, rel=2e-4)
    assert (
        max(counts) - min(counts) < 0.01 * counts[0]
    )  # splitting by the shorter diagonal leaves room for ties


def test_even_grids_keep_their_triangles() -> None:
    found = segmentation_of([SHAPES["ball"]], thick(1.0))
    complex_ = extract_complexes(found)[0]
    index = found.margins[1].geometry.to_index(complex_.vertices)
    assert (np.abs(index - np.rint(index)) < 1e-9).sum(
        axis=1
    ).min() >= 2  # every vertex on an edge of the lattice


def test_the_budget_measures_from_the_curved_level_and_bounds_what_slices_know() -> None:
    shape = SHAPES["ball"]
    found = segmentation_of([shape], thick(5.0))
    mesh = extract(found).meshes[0]
    budget = budget_of(mesh, found)
    away = np.abs(shape.signed_distance(mesh.vertices))
    assert budget.total.mean_mm < 0.04
    assert away.mean() < budget.bound.mean_mm and away.max() < budget.bound.max_mm
    assert budget.bound.mean_mm > 0.1


@given(st.integers(0, 2**32 - 1), st.sampled_from([1.6, 3.0, 6.0]), st.sampled_from([0.4, 1.0, 2.5]))
@settings(max_examples=30, deadline=None)
def test_walls_through_noise_are_closed_and_dont_meet(seed: int, apart: float, smooth: float) -> None:
    from scipy.ndimage import gaussian_filter

    random = np.random.default_rng(seed)
    scores = gaussian_filter(
        random.normal(size=(3, 14, 13, 9)), (0, smooth, smooth, smooth / apart), mode="wrap"
    )
    scores[0] += 0.2 * scores.std()
    labels = scores.argmax(axis=0).astype(np.uint8)
    affine = np.diag([1.0, 0.9, apart, 1.0])
    affine[0, 2] = 0.4  # leans
    geometry = Geometry(labels.shape, affine)
    margins = {
        n: Margin(geometry, (scores[n] - np.delete(scores, n, axis=0).max(axis=0)).astype(np.float32))
        for n in (1, 2)
        if (labels == n).any()
    }
    found = Segmentation(geometry, labels, tuple(segment(n) for n in margins), margins)
    (complex_,) = extract_complexes(found)
    assert not len(self_intersections(complex_.vertices, complex_.faces))
    for mesh in extract(found).meshes:
        measured = measure(mesh)
        assert measured.closed and measured.manifold and measured.volume_mm3 > 0


def rivals(apart: float, shift: float = 2.3) -> Segmentation:
    """Background, two balls that press each other flat and a third on both, by scores; margins cropped apart."""
    geometry = thick(apart, 28.0)
    centres = np.array([[-8.0, 0.0, -shift], [8.0, 1.0, shift], [0.0, 9.0, 8.0]])
    radii = np.array([12.0, 12.5, 9.0])
    away = np.linalg.norm(points_of(geometry)[None] - centres[:, None], axis=2)
    scores = np.concatenate([np.zeros((1, away.shape[1])), radii[:, None] - away]).astype(np.float32)
    labels = scores.argmax(axis=0).astype(np.uint8).reshape(geometry.shape)
    margins = {}
    for label in (1, 2, 3):
        values = (scores[label] - np.delete(scores, label, axis=0).max(axis=0)).reshape(geometry.shape)
        inside = np.argwhere(values > 0)
        low, high = np.maximum(inside.min(axis=0) - 2, 0), np.minimum(inside.max(axis=0) + 3, geometry.shape)
        values = values[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
        i, j, k = low.tolist()
        margins[label] = Margin(geometry.cropped((i, j, k), values.shape), np.ascontiguousarray(values))
    return Segmentation(geometry, labels, tuple(segment(label) for label in (1, 2, 3)), margins)


def triangles(scene: Scene, number: int) -> set[frozenset[bytes]]:
    mesh = scene.meshes[number]
    return {frozenset(vertex.tobytes() for vertex in corners) for corners in mesh.vertices[mesh.faces]}


@pytest.mark.parametrize("apart", [2.4, 5.0])
def test_neighbours_share_their_walls_to_the_bit(apart: float) -> None:
    scene = extract(rivals(apart))
    for mesh in scene.meshes:
        measured = measure(mesh)
        assert measured.closed and measured.manifold and measured.components == 1
    shared = triangles(scene, 0) & triangles(scene, 1)
    assert len(shared) > 300
    wall = np.array([[np.frombuffer(vertex) for vertex in corners] for corners in shared])
    ahead = (12.5 - np.linalg.norm(wall - [8.0, 1.0, 2.3], axis=-1)) - (
        12.0 - np.linalg.norm(wall - [-8.0, 0.0, -2.3], axis=-1)
    )
    assert np.abs(ahead).mean() < 0.2


def test_order_of_labels_makes_no_difference_to_places() -> None:
    found = rivals(5.0)
    swapped = {1: 2, 2: 1, 3: 3}
    labels = np.array([0, 2, 1, 3], np.uint8)[found.labels]
    other = replace(
        found, labels=labels, margins={swapped[label]: margin for label, margin in found.margins.items()}
    )
    one, two = extract(found), extract(other)
    for first, second in ((0, 1), (1, 0), (2, 2)):
        assert measure(one.meshes[first]).volume_mm3 == pytest.approx(
            measure(two.meshes[second]).volume_mm3,
            rel=1e-5,  # junctions are placed in the order of labels
        )


def test_what_lies_on_top_ends_where_its_own_margin_does() -> None:
    geometry = thick(5.0)
    rising = points_of(geometry)[:, 2].reshape(geometry.shape)  # mm along the stack
    edge = 20.0 - np.abs(points_of(geometry)[:, :2]).max(axis=1).reshape(geometry.shape)
    body = np.minimum(np.minimum(rising + 26.0, 26.0 - rising), edge)
    core = np.minimum(np.minimum(rising + 11.1, 14.0 - rising), edge - 8.0)
    labels = np.where(core > 0, 2, np.where(body > 0, 1, 0)).astype(np.uint8)
    margins = {n: Margin(geometry, v.astype(np.float32)) for n, v in ((1, body), (2, core))}
    scene = extract(Segmentation(geometry, labels, (segment(1), segment(2)), margins))
    core_mesh = scene.meshes[1]
    middle = np.abs(core_mesh.vertices[:, :2]).max(axis=1) < 6.0
    heights = core_mesh.vertices[middle, 2]
    assert np.minimum(np.abs(heights + 11.1), np.abs(heights - 14.0)).max() < 0.1
    assert measure(core_mesh).components == 1


def test_a_structure_that_leaves_the_image_ends_on_the_outer_face_of_its_thick_voxel() -> None:
    geometry = Geometry((30, 30, 8), np.diag([1.0, 1.0, 4.0, 1.0]))
    rod = Capsule((15.0, 15.0, -50.0), (15.0, 15.0, 80.0), 8.0)
    mesh = extract(segmentation_of([rod], geometry)).meshes[0]
    cap = mesh.vertex_data["fov_cut"].astype(bool)
    assert np.unique(mesh.vertices[cap, 2]).tolist() == pytest.approx([-2.0, 30.0])
    assert measure(mesh).volume_mm3 == pytest.approx(np.pi * 64 * 32, rel=0.02)
    assert np.abs(np.hypot(*(mesh.vertices[~cap, :2] - 15.0).T) - 8.0).max() < 0.02


def test_the_same_bytes_again() -> None:
    one, two = (extract(rivals(5.0)) for _ in range(2))
    for first, second in zip(one.meshes, two.meshes, strict=True):
        assert first.vertices.tobytes() == second.vertices.tobytes()
        assert first.faces.tobytes() == second.faces.tobytes()

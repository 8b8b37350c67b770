from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from tomosurf.data.geometry import Geometry
from tomosurf.data.mesh import Scene
from tomosurf.data.segmentation import Margin, Segmentation
from tomosurf.surface.between_slices import refined_lattice, refined_margin, split, thick_axis
from tomosurf.surface.error import budget_of
from tomosurf.surface.extract import extract
from tomosurf.surface.lattice import lattices_of
from tomosurf.surface.measure import measure
from tomosurf.testing.phantoms import Ball, Capsule, Ellipsoid, Placed, Shape, Torus, rotation_about
from tomosurf.testing.segmentations import segment, segmentation_of

COLUMNS = arrays(
    np.float32,
    st.tuples(st.integers(1, 3), st.integers(1, 2), st.integers(1, 9)),
    elements=st.floats(-3e4, 3e4, width=32) | st.sampled_from([0.0, 1e-30, -1e-30, 3e38, -3e38]),
)


def thick(apart: float, half: float = 30.0, step: float = 0.8) -> Geometry:
    """Around the origin, not centred on it; slices ``apart`` mm."""
    shape = (int(2 * half / step), int(2 * half / step), int(2 * half / apart) + 2)
    affine = np.diag([step, step, apart, 1.0])
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2 + [0.2, -0.3, 0.37])
    return Geometry(shape, affine)


def points_of(geometry: Geometry) -> NDArray[np.float64]:
    index = np.stack(np.meshgrid(*map(np.arange, geometry.shape), indexing="ij"), axis=-1)
    return geometry.to_world(index.reshape(-1, 3))


@given(COLUMNS)
@settings(max_examples=200, deadline=None)
def test_slices_keep_their_values_and_nothing_between_them_goes_beyond_either(
    values: NDArray[np.float32],
) -> None:
    found = split(values, 2)
    assert found[:, :, 1::3].tobytes() == values.tobytes()
    steps = np.diff(found.astype(np.float64), axis=2)[:, :, 1:-1]
    whole = np.repeat(np.sign(np.diff(values.astype(np.float64), axis=2)), 3, axis=2)
    scale = np.repeat(np.abs(np.diff(values.astype(np.float64), axis=2)), 3, axis=2)
    assert (steps * whole >= -1e-6 * scale * np.abs(whole)).all() and (steps[whole == 0] == 0).all()
    assert (found[:, :, 0] == values[:, :, 0]).all() and (found[:, :, -1] == values[:, :, -1]).all()


@given(COLUMNS)
@settings(max_examples=200, deadline=None)
def test_what_is_between_negatives_is_the_negative_to_the_bit(values: NDArray[np.float32]) -> None:
    assert (split(-values, 2) == -split(values, 2)).all()


def test_axes_are_alike() -> None:
    values = np.random.default_rng(3).normal(size=(7, 6, 5)).astype(np.float32)
    for axis in range(3):
        turned = np.moveaxis(split(np.moveaxis(values, axis, 2), 2), 2, axis)
        assert (split(values, axis) == turned).all()


def test_a_cubic_that_rises_is_met_exactly() -> None:
    z = np.arange(12.0)

    def cubic(z: NDArray[np.float64]) -> NDArray[np.float64]:
        return 0.02 * (z - 5.3) ** 3 + z - 5.3

    found = split(cubic(z).astype(np.float32).reshape(1, 1, -1), 2)[0, 0]
    places = (np.arange(36) - 1) / 3
    inner = (places >= 2) & (places <= 9)
    assert np.abs(found - cubic(places))[inner].max() < 2e-6


def test_an_axis_is_thick_when_both_others_are_finer_by_half() -> None:
    assert thick_axis(Geometry((3, 3, 3), np.diag([1.0, 1.0, 1.5, 1.0]))) == 2
    assert thick_axis(Geometry((3, 3, 3), np.diag([4.0, 1.0, 1.5, 1.0]))) == 0
    assert thick_axis(Geometry((3, 3, 3), np.diag([1.0, 1.0, 1.4, 1.0]))) is None
    assert thick_axis(Geometry((3, 3, 3), np.diag([0.5, 2.0, 2.0, 1.0]))) is None


def test_a_refined_margin_lies_where_it_lay_and_even_grids_stay() -> None:
    margin = segmentation_of([Ball((0.0, 0.0, 0.0), 12.0)], thick(5.0)).margins[1]
    refined = refined_margin(margin)
    centres = np.array([[3, 4, 2], [10, 20, 8]])
    there = refined.geometry.to_index(margin.geometry.to_world(centres))
    assert there == pytest.approx(centres * [1, 1, 3] + [0, 0, 1])
    assert (refined.values[:, :, 1::3] == margin.values).all()
    even = segmentation_of([Ball((0.0, 0.0, 0.0), 12.0)], thick(1.0)).margins[1]
    assert refined_margin(even) is even


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
    """By chords between slices the mean distance would be twice as large, the volume up to 1.3 or 4.3 % short."""
    shape = SHAPES[name]
    found = segmentation_of([shape], thick(apart))
    mesh = extract(found).meshes[0]
    measured = measure(mesh)
    assert measured.closed and measured.manifold and measured.components == 1
    away = np.abs(shape.signed_distance(mesh.vertices))
    sagitta = apart**2 / 8 / 6.0
    assert away.mean() < sagitta / 6
    assert measured.volume_mm3 == pytest.approx(shape.volume, rel=0.006 if apart < 3 else 0.015)


def test_the_budget_measures_from_the_refined_level_and_bounds_what_slices_know() -> None:
    shape = SHAPES["ball"]
    found = segmentation_of([shape], thick(5.0))
    mesh = extract(found).meshes[0]
    budget = budget_of(mesh, found)
    away = np.abs(shape.signed_distance(mesh.vertices))
    assert budget.total.mean_mm < 0.02
    assert away.mean() < budget.bound.mean_mm and away.max() < budget.bound.max_mm
    assert budget.bound.mean_mm > 0.1


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
def test_neighbours_share_their_walls_to_the_bit_and_no_background_lies_between(apart: float) -> None:
    scene = extract(rivals(apart))
    for mesh in scene.meshes:
        measured = measure(mesh)
        assert measured.closed and measured.manifold and measured.components == 1
    shared = triangles(scene, 0) & triangles(scene, 1)
    assert len(shared) > 300
    wall = np.array(
        [[np.frombuffer(vertex) for vertex in corners] for corners in shared if len(corners) == 3]
    )
    ahead = (12.5 - np.linalg.norm(wall - [8.0, 1.0, 2.3], axis=-1)) - (
        12.0 - np.linalg.norm(wall - [-8.0, 0.0, -2.3], axis=-1)
    )
    assert np.abs(ahead).mean() < 0.2
    (lattice,) = lattices_of(rivals(apart))
    labels = refined_lattice(lattice).labels
    below, between, above = labels[:, :, 2:-3:3], labels[:, :, 3:-2:3], labels[:, :, 5::3]
    above = above[:, :, : below.shape[2]]
    assert between[(below > 0) & (above > 0)].all()


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


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_pieces_are_as_many_as_their_voxels_make(seed: int) -> None:
    """Pieces and cavities of a ragged field: none grow together between slices, and none part."""
    field = np.random.default_rng(seed).integers(-4, 4, (9, 8, 6)).astype(np.float32) + np.float32(0.5)
    values = np.pad(field, 1, constant_values=np.float32(-1.5))
    labels = (values > 0).astype(np.uint8)
    even, uneven = (
        measure(extract(Segmentation(grid, labels, (segment(),), {1: Margin(grid, values)})).meshes[0])
        for grid in (
            Geometry(values.shape, np.diag([1.0, 1.0, 1.0, 1.0])),
            Geometry(values.shape, np.diag([1.0, 1.0, 3.0, 1.0])),
        )
    )
    assert uneven.components == even.components
    assert uneven.closed and uneven.manifold

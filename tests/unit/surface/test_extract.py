from __future__ import annotations

import numpy as np
import pytest

from tomosurf.data.geometry import Geometry
from tomosurf.data.segmentation import Margin, Segmentation
from tomosurf.errors import DataError
from tomosurf.surface.extract import extract
from tomosurf.surface.measure import measure
from tomosurf.testing.phantoms import Ball, Ellipsoid
from tomosurf.testing.segmentations import margin_of, segment, segmentation_of

GRID = Geometry(
    (40, 36, 30), np.array([[-0.8, 0, 0, 200], [0, 0.8, 0.2, -310], [0, 0, 1.2, 512.0], [0, 0, 0, 1]])
)
CENTRE = tuple(GRID.to_world([[20.3, 17.8, 15.1]])[0].tolist())


def test_an_ellipsoid_is_met_within_a_fraction_of_a_voxel() -> None:
    shape = Ellipsoid(CENTRE, (11.0, 9.0, 12.0))
    mesh = extract(segmentation_of([shape], GRID)).meshes[0]
    assert np.abs(shape.signed_distance(mesh.vertices)).mean() < 0.02
    assert measure(mesh).volume_mm3 == pytest.approx(shape.volume, rel=0.01)


def test_meshes_come_in_the_order_of_labels_without_the_absent() -> None:
    balls = [Ball(tuple(GRID.to_world([[i, 18, 15]])[0].tolist()), 4.0) for i in (8, 30)]
    found = segmentation_of(balls, GRID)
    segments = (segment(7, "absent"), *found.segments[::-1])
    scene = extract(Segmentation(GRID, found.labels, segments, found.margins))
    assert [mesh.segment.label for mesh in scene.meshes] == [1, 2]
    assert scene.geometry is GRID
    assert extract(Segmentation(GRID, np.zeros(GRID.shape, np.uint8), segments)).meshes == ()
    assert extract(Segmentation(GRID, np.zeros(GRID.shape, np.uint8), ())).meshes == ()


def test_a_cut_ball_closes_on_the_outer_face_and_says_so() -> None:
    for axis in range(3):
        centre = np.array([20.0, 18.0, 15.0])
        centre[axis] = 0.0
        ball = Ball(tuple(GRID.to_world([centre])[0].tolist()), 9.0)
        found = segmentation_of([ball], GRID)
        mesh = extract(found).meshes[0]
        cap = mesh.vertex_data["fov_cut"].astype(bool)
        index = GRID.to_index(mesh.vertices)
        assert cap.any() and np.allclose(index[cap][:, axis], -0.5)
        assert (index[~cap][:, axis] >= -1e-6).all()
        measured = measure(mesh)
        assert measured.closed and measured.manifold
        plane = np.delete(GRID.affine[:3, :3], axis, axis=1)
        half_step = GRID.voxel_volume / np.linalg.norm(np.cross(*plane.T)) / 2
        cut_off = ball.volume / 2 + np.pi * ball.radius**2 * half_step
        coarseness = (max(GRID.spacing) / ball.radius) ** 2  # chords, and the bevel around the cap
        assert (1 - coarseness) * cut_off < measured.volume_mm3 < cut_off


def test_a_structure_that_fills_the_image_fills_its_box() -> None:
    geometry = Geometry((6, 5, 4), np.diag([2.0, 1.0, -3.0, 1.0]))
    values = np.full(geometry.shape, 100, np.float32)
    found = Segmentation(
        geometry, np.ones(geometry.shape, np.uint8), (segment(),), {1: Margin(geometry, values)}
    )
    mesh = extract(found).meshes[0]
    assert mesh.vertex_data["fov_cut"].all()
    assert mesh.vertices.min(axis=0).tolist() == [-1.0, -0.5, -10.5]
    assert mesh.vertices.max(axis=0).tolist() == [11.0, 4.5, 1.5]


@pytest.mark.parametrize("factor", [0.5, 1.7])
def test_a_margin_on_another_grid_lands_in_the_same_place(factor: float) -> None:
    ball = Ball(CENTRE, 9.0)
    labels = segmentation_of([ball], GRID).labels
    shape = tuple(int(np.ceil(n / factor)) + 1 for n in GRID.shape)
    other = Geometry(shape, GRID.affine @ np.diag([factor, factor, factor, 1.0]))
    mesh = extract(Segmentation(GRID, labels, (segment(),), {1: margin_of(ball, other)})).meshes[0]
    assert np.abs(ball.signed_distance(mesh.vertices)).max() < max(other.spacing) ** 2 / 8 / 7 + 1e-3


def test_a_margin_that_is_nowhere_inside_gives_way_to_the_mask() -> None:
    found = segmentation_of([Ball(CENTRE, 5.0)], GRID)
    nowhere = Margin(GRID, np.full(GRID.shape, -1, np.float32))
    mesh = extract(Segmentation(GRID, found.labels, found.segments, {1: nowhere})).meshes[0]
    assert measure(mesh).volume_mm3 == pytest.approx(found.labels.sum() * GRID.voxel_volume, rel=0.02)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_a_margin_that_is_not_finite_is_refused(wrong: float) -> None:
    values = np.full(GRID.shape, -1, np.float32)
    values[3, 3, 3] = wrong
    labels = np.zeros(GRID.shape, np.uint8)
    labels[3, 3, 3] = 1
    with pytest.raises(DataError, match="NaN or infinity"):
        extract(Segmentation(GRID, labels, (segment(),), {1: Margin(GRID, values)}))


def test_a_cropped_margin_is_placed_by_its_own_geometry_and_a_careless_crop_refused() -> None:
    ball = Ball(CENTRE, 6.0)
    whole = segmentation_of([ball], GRID)
    full = extract(whole).meshes[0]

    def cropped(start: tuple[int, int, int], shape: tuple[int, int, int]) -> Segmentation:
        box = tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))
        margin = Margin(GRID.cropped(start, shape), whole.margins[1].values[box])
        return Segmentation(GRID, whole.labels, whole.segments, {1: margin})

    mesh = extract(cropped((10, 8, 8), (21, 20, 15))).meshes[0]
    assert measure(mesh).triangles == measure(full).triangles
    assert np.allclose(mesh.vertices, full.vertices, atol=1e-4)
    with pytest.raises(DataError, match="ends within the structure"):
        extract(cropped((20, 8, 8), (11, 20, 15)))


def test_the_same_bytes_again_and_progress_to_the_end() -> None:
    seen: list[float] = []
    found = segmentation_of([Ball(CENTRE, 6.0)], GRID)
    first = extract(found, lambda stage, fraction: seen.append(fraction)).meshes[0]
    second = extract(found).meshes[0]
    assert first.vertices.tobytes() == second.vertices.tobytes()
    assert first.faces.tobytes() == second.faces.tobytes()
    assert seen == sorted(seen) and seen[-1] == 1.0


def test_neighbours_share_their_wall_to_the_bit_and_its_area_is_told() -> None:
    geometry = Geometry((24, 20, 18), np.diag([-0.7, 0.9, 1.3, 1.0]))
    labels = np.zeros(geometry.shape, np.uint8)
    labels[3:12, 4:16, 3:15] = 1
    labels[12:21, 4:16, 3:15] = 2
    middle = geometry.to_world([[11.7, 0, 0]])[0, 0]
    index = np.stack(np.meshgrid(*map(np.arange, geometry.shape), indexing="ij"), axis=-1).reshape(-1, 3)
    points = geometry.to_world(index)
    low, high = geometry.to_world([[2.6, 3.6, 2.6], [20.4, 15.4, 14.4]])
    inside = np.minimum(points - np.minimum(low, high), np.maximum(low, high) - points).min(axis=1)
    beyond = points[:, 0] - middle
    margins = {
        label: Margin(geometry, np.minimum(inside, side * beyond).reshape(geometry.shape).astype(np.float32))
        for label, side in ((1, 1.0), (2, -1.0))
    }
    found = Segmentation(geometry, labels, (segment(1), segment(2)), margins)
    scene = extract(found)
    wall = [
        {vertex.tobytes() for vertex in mesh.vertices if abs(vertex[0] - middle) < 1e-5}
        for mesh in scene.meshes
    ]
    assert len(wall[0]) > 100 and wall[0] == wall[1]
    (pair,) = scene.adjacency
    assert (pair.first, pair.second) == ("shape-1", "shape-2")
    # the wall's rim lies within a quarter of a voxel of the outer surface: near a wall, margins know it less well
    assert 11.3 * 0.9 * 11.3 * 1.3 < pair.area_mm2 <= 11.8 * 0.9 * 11.8 * 1.3
    assert extract(segmentation_of([Ball(CENTRE, 5.0)], GRID)).adjacency == ()


def test_a_segment_whose_label_no_voxel_can_have_has_no_surface() -> None:
    geometry = Geometry((6, 5, 4), np.eye(4))
    labels = np.zeros(geometry.shape, np.uint8)
    labels[2:4, 2:4, 1:3] = 7
    found = extract(Segmentation(geometry, labels, (segment(300), segment(7)), {}))
    assert [mesh.segment.label for mesh in found.meshes] == [7]

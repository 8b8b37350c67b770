from __future__ import annotations

import numpy as np
import pytest

from tomosurf.data.geometry import Geometry
from tomosurf.data.mesh import SurfaceMesh
from tomosurf.surface.extract import extract
from tomosurf.testing.phantoms import Ball
from tomosurf.testing.segmentations import segment, segmentation_of
from tomosurf.validate import mesh_distance
from tomosurf.validate.mesh_distance import mesh_distances, surface_of_mask


def grid(step: float = 1.0, cells: int = 40) -> Geometry:
    affine = np.diag([step, step, step, 1.0])
    affine[:3, 3] = -step * (cells - 1) / 2
    return Geometry((cells, cells, cells), affine)


def surface(ball: Ball, geometry: Geometry) -> SurfaceMesh:
    return extract(segmentation_of([ball], geometry)).meshes[0]


def plate(height: float, edge: float = 10.0) -> SurfaceMesh:
    corners = [[0, 0], [edge, 0], [edge, edge], [0, edge]]
    vertices = np.array([[x, y, height] for x, y in corners])
    return SurfaceMesh(vertices, np.array([[0, 1, 2], [0, 2, 3]], np.int32), segment())


def test_parallel_plates_are_as_far_apart_as_they_are():
    assert mesh_distances(plate(0), plate(2.5)) == pytest.approx({"mesh_msd_mm": 2.5, "mesh_p95_mm": 2.5})


def test_nested_balls_are_apart_by_the_difference_of_their_radii():
    small, large = surface(Ball((0, 0, 0), 10.0), grid()), surface(Ball((0, 0, 0), 12.0), grid())
    told = mesh_distances(small, large)
    assert told["mesh_msd_mm"] == pytest.approx(2.0, abs=0.02)
    assert told["mesh_p95_mm"] == pytest.approx(2.0, abs=0.05)
    assert mesh_distances(large, small) == pytest.approx(told)


def test_a_shifted_ball_is_off_by_half_the_shift_on_average():
    """The distance from a point of one sphere to the other is nearly |shift . normal|, whose mean is shift / 2."""
    a, b = surface(Ball((0, 0, 0), 12.0), grid()), surface(Ball((1.0, 0, 0), 12.0), grid())
    assert mesh_distances(a, b)["mesh_msd_mm"] == pytest.approx(0.5, abs=0.02)
    assert mesh_distances(a, b)["mesh_p95_mm"] == pytest.approx(0.95, abs=0.03)


@pytest.mark.parametrize("voxels", [4.0, 8.0, 15.0])
def test_the_reference_surface_of_a_mask_is_within_a_tenth_of_a_voxel(voxels):
    """What the docstring states: no mesh can be shown to be better than this."""
    step = 2.0
    ball = Ball((0.2, 0.4, 0.6), voxels * step)
    drawn = surface_of_mask(segmentation_of([ball], grid(step)).labels > 0, grid(step))
    corners = drawn.vertices[drawn.faces]
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    off = np.abs(ball.signed_distance(corners.mean(axis=1))) / step
    assert (off @ areas) / areas.sum() < 0.095


def test_no_mask_no_surface():
    assert surface_of_mask(np.zeros((4, 4, 4), bool), grid(cells=4)) is None


def test_sampling_fewer_triangles_changes_little(monkeypatch):
    a, b = surface(Ball((0, 0, 0), 12.0), grid()), surface(Ball((1.0, 0, 0), 12.0), grid())
    whole = mesh_distances(a, b)
    monkeypatch.setattr(mesh_distance, "MOST_SAMPLES", 1000)
    assert mesh_distances(a, b) == pytest.approx(whole, rel=0.03)

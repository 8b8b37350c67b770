"""Value objects refuse what contradicts itself, and stay as they were checked."""

from __future__ import annotations

import numpy as np
import pytest

from tomosurf.data.geometry import Geometry
from tomosurf.data.mesh import SurfaceMesh
from tomosurf.data.segmentation import Code, Margin, Segment, Segmentation
from tomosurf.data.volume import Volume
from tomosurf.errors import DataError, GeometryError

GRID = Geometry((2, 3, 4), np.eye(4))
BONE = Segment(1, "bone", Code("1", "Bone"), (1, 2, 3))
LABELS = np.zeros(GRID.shape, np.uint8)
VERTICES = np.zeros((3, 3))
FACES = np.array([[0, 1, 2]], np.int32)


@pytest.mark.parametrize(
    "affine",
    [
        np.eye(3),
        np.full((4, 4), np.nan),
        np.diag([1.0, 1, 1, 2]),
        np.diag([1.0, 0, 1, 1]),
        np.array([[1.0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]),
    ],
)
def test_what_does_not_span_space_is_no_geometry(affine):
    with pytest.raises(GeometryError):
        Geometry((2, 2, 2), affine)


@pytest.mark.parametrize("shape", [(0, 1, 1), (1, 1), (1, 1, 1, 1)])
def test_a_shape_is_three_positive_numbers(shape):
    with pytest.raises(GeometryError):
        Geometry(shape, np.eye(4))


def test_geometry_knows_shear_hands_and_steps():
    tilted = np.array([[-1.0, 0, 0, 5], [0, 1, 0.5, 6], [0, 0, 2, 7], [0, 0, 0, 1]])
    grid = Geometry((3, 3, 3), tilted)
    assert not grid.is_orthogonal
    assert not grid.is_right_handed
    assert grid.slice_step == pytest.approx(2.0)
    assert grid.voxel_volume == pytest.approx(2.0)
    assert grid.to_index(grid.corners())[-1] == pytest.approx([2, 2, 2])
    assert grid.cropped((1, -1, 0), (1, 2, 3)).origin == pytest.approx([4, 5, 7])
    assert not grid.coincides(Geometry((3, 3, 4), tilted))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Volume(GRID, np.zeros((2, 2, 2)), "CT"),
        lambda: Volume(GRID, np.zeros(GRID.shape, complex), "CT"),
        lambda: Volume(GRID, np.zeros(GRID.shape), "CT", padding=np.zeros((1, 1, 1), bool)),
        lambda: Volume(GRID, np.zeros(GRID.shape), "CT", laterality="X"),
        lambda: Segment(0, "bone", Code("1", "Bone"), (1, 2, 3)),
        lambda: Segment(1, "../bone", Code("1", "Bone"), (1, 2, 3)),
        lambda: Margin(GRID, np.zeros(GRID.shape)),
        lambda: Segmentation(GRID, np.zeros((1, 1, 1), np.uint8), (BONE,)),
        lambda: Segmentation(GRID, np.zeros(GRID.shape, np.int32), (BONE,)),
        lambda: Segmentation(GRID, LABELS, (BONE, BONE)),
        lambda: Segmentation(GRID, LABELS, (), {1: Margin(GRID, np.zeros(GRID.shape, np.float32))}),
        lambda: Segmentation(GRID, LABELS, (BONE,)).segment("skull"),
        lambda: SurfaceMesh(VERTICES.astype(np.float32), FACES, BONE),
        lambda: SurfaceMesh(VERTICES, FACES.astype(np.int64), BONE),
        lambda: SurfaceMesh(VERTICES, FACES + 1, BONE),
        lambda: SurfaceMesh(VERTICES, FACES, BONE, {"fov_cut": np.zeros(2)}),
    ],
)
def test_contradictions_are_refused(make):
    with pytest.raises(DataError):
        make()


def test_arrays_can_not_be_written_to():
    volume = Volume(GRID, np.zeros(GRID.shape), "CT")
    with pytest.raises(ValueError, match="read-only"):
        volume.array[0, 0, 0] = 1
    with pytest.raises(ValueError, match="read-only"):
        volume.geometry.affine[0, 0] = 1


def test_labels_widen_when_they_count_beyond_a_byte():
    labels = LABELS.copy()
    labels[0, 0, 0] = 1
    renamed = Segmentation(GRID, labels, (BONE,)).renamed({"bone": "skull"}, 300)
    assert renamed.labels.dtype == np.uint16
    assert renamed.labels[0, 0, 0] == 301
    assert renamed.segment("skull").label == 301

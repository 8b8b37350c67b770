"""Clean-up of components and cavities, with margins on the volume's grid and on their own."""

from __future__ import annotations

import numpy as np
import pytest

from tomosurf.config import RefineRule
from tomosurf.data.geometry import Geometry
from tomosurf.data.segmentation import Code, Margin, Segment, Segmentation
from tomosurf.errors import ConfigError
from tomosurf.refine.refine import refine
from tomosurf.surface.extract import extract
from tomosurf.surface.measure import measure
from tomosurf.testing.phantoms import Ball

GRID = Geometry((40, 30, 30), np.diag([1.0, 1.0, 1.0, 1.0]))
LARGE, SMALL = Ball((10.0, 15.0, 15.0), 7.1), Ball((31.0, 15.0, 15.0), 4.1)
BONE = Segment(1, "bone", Code("272673000", "Bone structure"), (1, 2, 3))
OTHER = Segment(2, "other", Code("272673000", "Bone structure"), (3, 2, 1))


def field(geometry: Geometry, *shapes: Ball, hollow: Ball | None = None) -> np.ndarray:
    """Signed distance, positive inside, of a union of balls less a hollow."""
    points = geometry.to_world(np.argwhere(np.ones(geometry.shape, bool)))
    distance = np.min([shape.signed_distance(points) for shape in shapes], axis=0)
    if hollow is not None:
        distance = np.maximum(distance, -hollow.signed_distance(points))
    return np.asfortranarray(-distance.reshape(geometry.shape)).astype(np.float32)


def segmentation(*shapes: Ball, hollow: Ball | None = None, fine: bool = False) -> Segmentation:
    labels = np.asfortranarray(field(GRID, *shapes, hollow=hollow) > 0).astype(np.uint8)
    grid = GRID
    if fine:
        affine = np.diag([0.8, 0.8, 0.8, 1.0])
        affine[:3, 3] = 0.13
        grid = Geometry((48, 36, 36), affine)
    margin = Margin(grid, field(grid, *shapes, hollow=hollow))
    return Segmentation(GRID, labels, (BONE, OTHER), {1: margin})


@pytest.mark.parametrize("fine", [False, True])
def test_the_largest_component_stays_and_its_surface_does_not_move(fine):
    before = segmentation(LARGE, SMALL, fine=fine)
    after = refine(before, {"bone": RefineRule(keep=1)})
    mesh = extract(after).meshes[0]
    assert measure(mesh).components == 1
    alone = extract(segmentation(LARGE, fine=fine)).meshes[0]
    assert measure(mesh).volume_mm3 == pytest.approx(measure(alone).volume_mm3, rel=1e-6)
    assert after.provenance["refined"]["bone"]["voxels_removed"] == int((before.labels != after.labels).sum())


def test_what_lies_between_the_voxels_of_the_label_map_is_no_piece():
    """A ball of 0.4 mm around a node of the margin's grid that no voxel's centre meets."""
    grid = segmentation(LARGE, fine=True).margins[1].geometry
    node = grid.to_world(np.array([[38, 18, 18]]))[0]
    speck = Ball(tuple(node), 0.4)
    before = segmentation(LARGE, speck, fine=True)
    assert np.array_equal(before.labels, segmentation(LARGE).labels)
    assert measure(extract(before).meshes[0]).components == 2
    after = refine(before, {"bone": RefineRule(keep=1)})
    alone = extract(segmentation(LARGE, fine=True)).meshes[0]
    mesh = extract(after).meshes[0]
    assert measure(mesh).components == 1
    assert measure(mesh).volume_mm3 == pytest.approx(measure(alone).volume_mm3, rel=1e-6)
    same = refine(before, {"bone": RefineRule(fill_holes="volume")})
    assert np.array_equal(same.margins[1].values, before.margins[1].values)


def test_a_thin_piece_that_voxels_meet_stays():
    """Two balls no wider than a node of the margin, each around the centre of a voxel: both are pieces."""
    small = [Ball((31.0, 15.0, 15.0), 0.75), Ball((31.0, 8.0, 8.0), 0.75)]
    before = segmentation(LARGE, *small, fine=True)
    assert before.labels[31, 15, 15] == before.labels[31, 8, 8] == 1
    after = refine(before, {"bone": RefineRule(keep=3)})
    assert np.array_equal(after.margins[1].values, before.margins[1].values)


def test_two_are_kept_when_two_are_asked_for_and_small_ones_go_by_volume():
    both = segmentation(LARGE, SMALL)
    assert np.array_equal(refine(both, {"bone": RefineRule(keep=2)}).labels, both.labels)
    kept = refine(both, {"bone": RefineRule(min_volume_mm3=400.0)})
    assert measure(extract(kept).meshes[0]).components == 1
    gone = refine(both, {"bone": RefineRule(min_volume_mm3=1e6)})
    assert not gone.labels.any()


@pytest.mark.parametrize("fine", [False, True])
def test_a_cavity_is_filled_and_the_outer_surface_stays(fine):
    hollow = Ball(LARGE.centre, 3.0)
    after = refine(segmentation(LARGE, hollow=hollow, fine=fine), {"bone": RefineRule(fill_holes="volume")})
    mesh = extract(after).meshes[0]
    whole = extract(segmentation(LARGE, fine=fine)).meshes[0]
    assert measure(mesh).components == 1
    assert measure(mesh).volume_mm3 == pytest.approx(measure(whole).volume_mm3, rel=1e-6)


def test_another_segment_inside_is_not_filled_over():
    before = segmentation(LARGE, hollow=Ball(LARGE.centre, 3.0))
    labels = before.labels.copy()
    labels[10, 15, 15] = 2
    mixed = Segmentation(GRID, labels, (BONE, OTHER), before.margins)
    after = refine(mixed, {"bone": RefineRule(fill_holes="volume")})
    assert after.labels[10, 15, 15] == 2
    assert after.labels[10, 15, 16] == 1


def test_a_cavity_open_at_the_last_slice_is_filled_slice_by_slice():
    labels = np.zeros(GRID.shape, np.uint8, order="F")
    labels[5:25, 5:25] = 1
    labels[12:18, 12:18] = 0  # a tunnel from the first slice to the last
    tunnel = Segmentation(GRID, labels, (BONE,))
    assert np.array_equal(refine(tunnel, {"bone": RefineRule(fill_holes="volume")}).labels, labels)
    assert refine(tunnel, {"bone": RefineRule(fill_holes="slices")}).labels[5:25, 5:25].all()


def test_without_rules_nothing_changes_and_nothing_is_copied():
    before = segmentation(LARGE, SMALL)
    after = refine(before, {})
    assert np.shares_memory(after.labels, before.labels)
    assert after.margins == before.margins


def test_a_rule_for_nobody_is_refused():
    with pytest.raises(ConfigError, match="skull"):
        refine(segmentation(LARGE), {"skull": RefineRule()})

"""A head whose pose is known: where its hippocampi are found, on which side, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.heads import HIPPOCAMPI, dressed, pose, posed, stored_otherwise
from tomosurf.config import load_protocol
from tomosurf.data.geometry import Geometry
from tomosurf.data.volume import Volume
from tomosurf.errors import InputRefused
from tomosurf.localise_rule import Gates
from tomosurf.pipeline import RunOptions, segment_volume, surfaces_of
from tomosurf.segment.localise import mni152
from tomosurf.segment.localise.gates import placement_failures
from tomosurf.segment.localise.head import canonical, head_of
from tomosurf.segment.localise.quality import quality_of
from tomosurf.segment.localise.register import FINE_MM, _Pair, _upright, register

PROTOCOL = load_protocol("mr-hippocampus")
TO_PATIENT = pose((12.0, -5.0, 8.0), (31.0, -140.0, 420.0), 0.93)


@pytest.fixture(scope="module")
def head() -> Volume:
    """Turned, shifted, small; 1.4 mm voxels, so that nothing lies on the network's own grid."""
    return posed(*dressed(), TO_PATIENT, 1.4)


@pytest.fixture(scope="module")
def found(head):
    """Stored with its axes in another order and two of them backwards."""
    stored = stored_otherwise(head)[29]
    assert not np.allclose(stored.geometry.directions, head.geometry.directions)
    return segment_volume(stored, PROTOCOL, RunOptions("cpu"))


def test_four_segments_lie_where_the_template_was_laid(found):
    told = found.provenance["localise"]
    assert [(s.label, s.name) for s in found.segments] == [
        (1, "hippocampus_anterior_left"),
        (2, "hippocampus_posterior_left"),
        (3, "hippocampus_anterior_right"),
        (4, "hippocampus_posterior_right"),
    ]
    laid = HIPPOCAMPI @ TO_PATIENT[:3, :3].T + TO_PATIENT[:3, 3]
    atlas_to_patient = np.array(told["atlas_to_patient"])
    believed = HIPPOCAMPI @ atlas_to_patient[:3, :3].T + atlas_to_patient[:3, 3]
    assert np.linalg.norm(believed - laid, axis=1).max() < 1.5
    for side, place in enumerate(laid):
        parts = [
            found.geometry.to_world(np.argwhere(found.labels == label))
            for label in (1 + 2 * side, 2 + 2 * side)
        ]
        both = np.concatenate(parts)
        assert np.linalg.norm(both.mean(axis=0) - place) < 4
        assert 1500 < len(both) * found.geometry.voxel_volume < 6000
        assert parts[0].mean(axis=0)[1] < parts[1].mean(axis=0)[1] - 8  # LPS: the front is -y


def test_surfaces_are_closed_and_clean_up_holds_for_both_sides(found):
    from tomosurf.surface.measure import measure

    made = surfaces_of(found, PROTOCOL)
    assert len(made.scene.meshes) == 4
    for mesh in made.scene.meshes:
        measured = measure(mesh)
        assert measured.closed
        assert measured.components == 1
        voxels = int((made.segmentation.labels == mesh.segment.label).sum()) * found.geometry.voxel_volume
        assert measured.volume_mm3 == pytest.approx(voxels, rel=0.05)


def test_margins_and_doubt_lie_on_one_lattice(found):
    grids = [margin.geometry for margin in found.margins.values()] + [found.doubt.geometry]
    for grid in grids:
        index = grids[0].to_index([grid.origin])[0]
        assert np.abs(index - np.rint(index)).max() < 1e-3
        assert np.allclose(grid.affine[:3, :3], grids[0].affine[:3, :3])
    centres = [margin.geometry.to_world(np.argwhere(margin.values > 0)) for margin in found.margins.values()]
    sides = np.array([[p[:, 0].min(), p[:, 0].max()] for p in centres])
    assert sides[:2, 0].min() > sides[2:, 1].max()  # left lies at larger x than right, wholly


def test_however_it_is_stored_registration_sees_the_same_bytes():
    rng = np.random.default_rng(5)
    affine = pose((7.0, 3.0, -11.0), (3.3, -71.9, 1203.4), 1.0) @ np.diag([1.1, 0.9, 2.5, 1.0])
    volume = Volume(
        Geometry((40, 50, 21), affine), rng.normal(100, 20, (40, 50, 21)).astype(np.float32), "MR"
    )
    first = head_of(canonical(volume))
    for stored in stored_otherwise(volume):
        turned = canonical(stored)
        assert np.array_equal(turned.array, canonical(volume).array)
        other = head_of(turned)
        assert np.array_equal(other.values, first.values)
        assert np.allclose(other.centre, first.centre, atol=1e-9)
        assert all(np.array_equal(a, b) for a, b in zip(other.guesses, first.guesses, strict=True))


def test_a_descent_gives_the_same_bytes_twice(head):
    atlas, seen = mni152.load(), head_of(canonical(head))
    pair = _Pair(atlas, seen, 2 * FINE_MM)
    start = _upright(seen.guesses[0] - atlas.centre, 0.0, atlas.centre)
    first, second = pair.rigid(start), pair.rigid(start)
    assert np.array_equal(first.matrix, second.matrix)
    assert np.array_equal(first.offset, second.offset)


def test_other_contrasts_and_far_placements_fail_by_name(head):
    atlas, seen = mni152.load(), head_of(canonical(head))
    placement = register(atlas, seen)
    gates, boxes = Gates(), {"left": 1.0, "right": 1.0}
    assert placement_failures(quality_of(atlas, seen, placement), boxes, gates) == ()

    like_t2 = replace(seen, values=np.where(seen.values > 0.08, 1.08 - seen.values, seen.values))
    failed = {f.gate for f in placement_failures(quality_of(atlas, like_t2, placement), boxes, gates)}
    assert {"least_white_over_grey", "least_grey_over_fluid"} <= failed

    aside = replace(placement, offset=placement.offset + np.array([0, 0, 25.0]))
    failed = {f.gate for f in placement_failures(quality_of(atlas, seen, aside), boxes, gates)}
    assert "least_overlap" in failed or "least_white_over_grey" in failed

    grown = replace(placement, matrix=placement.matrix * 1.7)
    leaning = replace(placement, matrix=placement.matrix @ np.array([[1, 0.4, 0], [0, 1, 0], [0, 0, 1]]))
    upside_down = replace(placement, matrix=np.diag([1.0, -1.0, -1.0]))
    for wrong, gate in ((grown, "scale"), (leaning, "most_shear"), (upside_down, "most_tilt_degrees")):
        failures = placement_failures(quality_of(atlas, seen, wrong), boxes, gates)
        assert gate in {failure.gate for failure in failures}
    failures = placement_failures(quality_of(atlas, seen, placement), {"left": 0.9, "right": 1.0}, gates)
    assert [(f.gate, f.value) for f in failures] == [("least_box_coverage", 0.9)]


def test_a_ball_is_no_head():
    grid = Geometry((80, 80, 80), np.diag([2.5, 2.5, 2.5, 1.0]))
    distance = np.linalg.norm(np.stack(np.indices(grid.shape)) - 39.5, axis=0) * 2.5
    noise = np.random.default_rng(2).normal(0, 2, grid.shape)
    ball = Volume(grid, (np.where(distance < 75, 100.0, 5.0) + noise).astype(np.float32), "MR", series="abc")
    with pytest.raises(InputRefused, match=r"no structure was looked for: .*\(least_") as caught:
        segment_volume(ball, PROTOCOL, RunOptions("cpu"))
    assert (caught.value.code, caught.value.series) == ("not_localised", "abc")


def test_thick_slices_are_refused_before_anything_is_looked_for():
    grid = Geometry((64, 64, 20), np.diag([3.0, 3.0, 6.5, 1.0]))
    with pytest.raises(InputRefused, match=r"\(largest_voxel_mm: 6.5 mm, bound 3\)") as caught:
        segment_volume(Volume(grid, np.ones(grid.shape, np.float32), "MR"), PROTOCOL, RunOptions("cpu"))
    assert caught.value.code == "not_localised"

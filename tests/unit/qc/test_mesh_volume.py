from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cases import ball_case, case_of, grid, remeshed, segmentation
from tomosurf.data.mesh import Scene
from tomosurf.qc.mesh_volume import check
from tomosurf.qc.voxels import Bracket, brackets, voxel_counts
from tomosurf.testing.phantoms import Ball, Capsule


def test_a_box_of_voxels_has_the_bracket_that_one_can_count() -> None:
    part = segmentation({"ball": Ball((0.0, 0.0, 0.0), 1.0)}, grid((8, 8, 8)))
    labels = np.zeros((8, 8, 8), np.uint8, order="F")
    labels[2:6, 2:5, 0:3] = 1  # 4 x 3 x 3 voxels, at the end of the stack
    part = type(part)(part.geometry, labels, part.segments)
    assert brackets(part) == {1: Bracket(inner=3 * 2 * 2, voxels=36, outer=5 * 4 * 4)}
    assert voxel_counts(part) == {1: 36}


def test_an_extracted_surface_passes() -> None:
    assert check(ball_case()) == []


@pytest.mark.parametrize("factor", [0.85, 1.15])
def test_a_surface_that_drifted_is_an_error(factor: float) -> None:
    case = ball_case(10.0)
    (finding,) = check(remeshed(case, vertices=case.scene.meshes[0].vertices * factor))
    assert (finding.check, finding.severity, finding.segment) == ("mesh_volume", "error", "bright")


def test_a_structure_thin_for_its_grid_is_a_warning() -> None:
    tube = Capsule((-10.0, 0.3, 0.2), (10.0, 0.1, -0.2), 0.8)
    (finding,) = check(case_of(segmentation({"tube": tube}, grid())))
    assert finding.severity == "warning"


def test_a_structure_without_surface_is_left_to_another_check() -> None:
    part = segmentation({"ball": Ball((0.0, 0.0, 0.0), 6.0)}, grid())
    assert check(case_of(part, scene=Scene(()))) == []


@settings(max_examples=30, deadline=None)
@given(
    radius=st.floats(0.6, 7.0),
    shift=st.tuples(*[st.floats(-0.5, 0.5)] * 3),
    step=st.floats(0.4, 5.0),
)
def test_no_surface_of_a_ball_contradicts_its_voxels(
    radius: float, shift: tuple[float, float, float], step: float
) -> None:
    part = segmentation({"ball": Ball(shift, radius)}, grid((20, 20, 20), (1.0, 1.0, step)))
    assert not [f for f in check(case_of(part)) if f.severity == "error"]

from __future__ import annotations

from dataclasses import replace

from tests.cases import ball_case, case_of, grid, segmentation
from tomosurf.data.mesh import Scene
from tomosurf.qc.structure_present import check
from tomosurf.testing.phantoms import Ball


def test_a_structure_that_is_there_passes() -> None:
    assert check(ball_case()) == []


def test_a_structure_without_a_voxel_is_an_error() -> None:
    found = segmentation({"here": Ball((0.0, 0.0, 0.0), 6.0), "gone": Ball((500.0, 0.0, 0.0), 6.0)}, grid())
    (finding,) = check(case_of(found))
    assert (finding.segment, finding.severity, finding.data["voxels"]) == ("gone", "error", 0)


def test_voxels_without_a_surface_are_an_error() -> None:
    (finding,) = check(replace(ball_case(3.0), scene=Scene(())))
    assert finding.severity == "error"
    assert finding.data["voxels"] == 8 * 17  # points (a, b, c) of odd halves with a2 + b2 + c2 < 9

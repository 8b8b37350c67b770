from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.cases import ball_case, case_of, grid, segmentation
from tomosurf.data.geometry import Geometry
from tomosurf.qc.field_of_view import check, side_name
from tomosurf.testing.phantoms import Ball

SIDES = {
    "left": (16.0, 0.0, 0.0),
    "right": (-16.0, 0.0, 0.0),
    "posterior": (0.0, 16.0, 0.0),
    "anterior": (0.0, -16.0, 0.0),
    "superior": (0.0, 0.0, 16.0),
    "inferior": (0.0, 0.0, -16.0),
}


def test_a_structure_inside_passes() -> None:
    assert check(ball_case()) == []


@pytest.mark.parametrize("side", SIDES)
def test_a_cut_structure_warns_and_names_the_side(side: str) -> None:
    (finding,) = check(case_of(segmentation({"ball": Ball(SIDES[side], 6.0)}, grid())))
    assert finding.severity == "warning"
    assert finding.data["sides"] == [side]


def test_sides_are_the_patients_whatever_the_axes() -> None:
    affine = np.array([[0, 0, -2.0, 0], [-1.0, 0, 0, 0], [0, 1.0, 0, 0], [0, 0, 0, 1]])
    geometry = Geometry((4, 4, 4), affine)
    assert side_name(geometry, 0, -1) == "anterior"
    assert side_name(geometry, 1, -1) == "superior"
    assert side_name(geometry, 2, -1) == "right"
    assert side_name(geometry, 2, 0) == "left"


def test_what_may_be_cut_gives_an_information() -> None:
    case = case_of(segmentation({"ball": Ball(SIDES["superior"], 6.0)}, grid()))
    (finding,) = check(replace(case, may_be_cut=frozenset({"ball"})))
    assert finding.severity == "info"


def test_touching_padding_counts_as_the_edge() -> None:
    case = ball_case(6.0)
    padding = np.zeros(case.volumes[0].array.shape, bool, order="F")
    padding[22:] = True  # the ball ends at voxel 21
    padded = replace(case, volumes=(replace(case.volumes[0], padding=padding),))
    (finding,) = check(padded)
    assert finding.data["sides"] == ["padding"]
    padding = padding.copy()
    padding[22] = False
    assert check(replace(case, volumes=(replace(case.volumes[0], padding=padding),))) == []


def test_a_surface_marked_as_cut_is_enough() -> None:
    case = case_of(segmentation({"ball": Ball(SIDES["left"], 6.0)}, grid()))
    unmarked = replace(case.segmentations[0], labels=np.zeros((32, 32, 32), np.uint8))
    (finding,) = check(replace(case, segmentations=(unmarked,)))
    assert finding.segment == "ball"

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.cases import ball_case, remeshed
from tomosurf.qc.closed_surface import check


def test_an_extracted_surface_passes() -> None:
    assert check(ball_case()) == []


def test_a_missing_triangle_is_an_error() -> None:
    case = ball_case(4.0)
    (finding,) = check(remeshed(case, faces=case.scene.meshes[0].faces[1:].copy()))
    assert (finding.segment, finding.severity) == ("bright", "error")
    assert "holes" in finding.message


def test_a_surface_turned_inside_out_is_an_error() -> None:
    case = ball_case(4.0)
    (finding,) = check(remeshed(case, faces=case.scene.meshes[0].faces[:, ::-1].copy()))
    assert "inside out" in finding.message


def test_two_bodies_that_share_a_vertex_are_an_error() -> None:
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float64)
    faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.int32)
    vertices = np.vstack([corners, -corners[1:]])
    mirrored = np.array([0, 4, 5, 6], np.int32)[faces][:, ::-1]
    both = np.vstack([faces, mirrored]).astype(np.int32)
    (finding,) = check(remeshed(ball_case(4.0), vertices=vertices, faces=both))
    assert "touches itself" in finding.message


def test_an_unmeasured_surface_is_an_error() -> None:
    (finding,) = check(replace(ball_case(4.0), measurements={}))
    assert "wasn't measured" in finding.message

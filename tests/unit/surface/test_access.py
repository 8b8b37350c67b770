"""Balls in a ball: depths and clearances are known in closed form at every vertex."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray

from tomosurf.data.geometry import Geometry
from tomosurf.data.mesh import SurfaceMesh
from tomosurf.errors import DataError, ExportError
from tomosurf.export import depth_png
from tomosurf.surface.access import TOLERANCE_MM, access_map
from tomosurf.surface.extract import extract
from tomosurf.surface.projection import project
from tomosurf.testing.segmentations import segmentation_of
from tomosurf.testing.solids import Ball

SKIN, TARGET = Ball((4.0, -6.0, 30.0), 40.0), Ball((10.0, -2.0, 36.0), 7.0)
AVOID = (Ball((25.0, -2.0, 36.0), 4.0), Ball((4.0, -24.0, 30.0), 5.0))


def surface(ball: Ball, spacing: float) -> SurfaceMesh:
    count = int(2 * ball.radius / spacing) + 6
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = np.array(ball.centre) - spacing * count / 2 + 0.123
    return extract(segmentation_of([ball], Geometry((count, count, count), affine))).meshes[0]


@pytest.fixture(scope="module")
def meshes() -> tuple[SurfaceMesh, SurfaceMesh, list[SurfaceMesh]]:
    return surface(SKIN, 2.0), surface(TARGET, 0.5), [surface(ball, 0.5) for ball in AVOID]


def line_distance(points: NDArray[np.float64], end: NDArray[np.float64], ball: Ball) -> NDArray[np.float64]:
    """From a ball's surface to each line from a point to ``end``; below 0 inside."""
    way = end - points
    part = np.clip(((ball.centre - points) * way).sum(1) / (way * way).sum(1), 0, 1)
    return np.linalg.norm(points + part[:, None] * way - ball.centre, axis=1) - ball.radius


def test_depth_and_clearance_are_those_of_the_balls(meshes) -> None:
    skin, target, avoid = meshes
    found = access_map(skin, target, avoid)
    to_centre = np.linalg.norm(skin.vertices - TARGET.centre, axis=1)
    assert np.abs(found["access_depth"] - (to_centre - TARGET.radius)).max() < 0.03
    ends = np.array(TARGET.centre) + (skin.vertices - TARGET.centre) * (TARGET.radius / to_centre)[:, None]
    true = np.minimum.reduce([line_distance(skin.vertices, ends, ball) for ball in AVOID])
    told = found["access_clearance"]
    # the way ends on a facet of the target: beside the ball's own place by up to a facet's size over its radius
    assert (told - np.maximum(true, 0)).max() < 0.3
    assert (np.maximum(true, 0) - told).max() < 0.3 + TOLERANCE_MM
    assert np.abs(told - np.maximum(true, 0)).mean() < 0.1
    assert (told[true < -0.3] == 0).all() and (true < -0.3).sum() > 50


def test_no_clearance_is_told_larger_than_it_is(meshes) -> None:
    skin, _, _ = meshes
    corners = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]) * 0.01
    for k in range(12):
        dot = np.array(TARGET.centre) + np.array([9.0 + k, 3.0, -2.0])
        speck = SurfaceMesh(corners + dot, np.array([[0, 1, 2]], np.int32), skin.segment)
        point = SurfaceMesh(corners + np.array(TARGET.centre), np.array([[0, 1, 2]], np.int32), skin.segment)
        told = access_map(skin, point, [speck])["access_clearance"]
        true = line_distance(skin.vertices, np.array(TARGET.centre), Ball(tuple(dot.tolist()), 1e-9))
        assert (told <= true + 0.02).all()
        assert (told >= true - TOLERANCE_MM - 0.02).all()


def test_nothing_to_avoid_no_clearance_and_no_way_through_the_images_end(meshes) -> None:
    skin, target, _ = meshes
    cut = (skin.vertices[:, 2] > 60).astype(np.uint8)
    found = access_map(replace(skin, vertex_data={"fov_cut": cut}), target)
    assert set(found) == {"access_depth"}
    assert np.array_equal(np.isnan(found["access_depth"]), cut == 1)
    with pytest.raises(DataError):
        access_map(skin, replace(target, faces=np.empty((0, 3), np.int32)))


VIEWS = {
    "anterior": ((0, -1, 0), (1, 0, 0)),
    "posterior": ((0, 1, 0), (-1, 0, 0)),
    "left": ((1, 0, 0), (0, 1, 0)),
    "right": ((-1, 0, 0), (0, -1, 0)),
    "superior": ((0, 0, 1), (-1, 0, 0)),
    "inferior": ((0, 0, -1), (1, 0, 0)),
}
"""From the body to the eye, and what lies to the right of the picture."""


@pytest.mark.parametrize("view", VIEWS)
def test_a_pixel_shows_the_nearest_surface_where_its_frame_says(view: str, meshes) -> None:
    skin, target, _ = meshes
    mapped = replace(skin, vertex_data=access_map(skin, target))
    seen = project(mapped, "access_depth", view, 1.5)
    eye, right = (np.array(vector, float) for vector in VIEWS[view])
    assert seen.right == pytest.approx(right) and seen.sight == pytest.approx(-eye)
    rows, columns = np.nonzero(np.isfinite(seen.values))
    assert len(rows) == pytest.approx(np.pi * SKIN.radius**2 / 1.5**2, rel=0.03)
    frame = seen.frame()
    flat = (
        np.array(frame["origin_lps_mm"])
        + columns[:, None] * 1.5 * np.array(frame["right_lps"])
        + rows[:, None] * 1.5 * np.array(frame["down_lps"])
    )
    aside = flat - SKIN.centre
    aside -= (aside @ eye)[:, None] * eye
    off = np.linalg.norm(aside, axis=1)
    inner = off < SKIN.radius - 3
    entry = np.array(SKIN.centre) + aside + np.sqrt(np.maximum(SKIN.radius**2 - off**2, 0))[:, None] * eye
    true = np.linalg.norm(entry - TARGET.centre, axis=1) - TARGET.radius
    assert np.abs(seen.values[rows, columns] - true)[inner].max() < 0.25


def test_the_file_holds_millimetres_in_sixteen_bits(tmp_path: Path) -> None:
    values = np.array([[np.nan, 0.0, 0.02], [1.0, 123.456, 1310.0]], np.float32)
    depth_png.write(values, {"view": "anterior"}, tmp_path / "map.png")
    read = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(tmp_path / "map.png")))
    assert read.dtype == np.uint16
    assert read.tolist() == [[0, 1, 1], [50, 6173, 65500]]
    about = json.loads((tmp_path / "map.json").read_text())
    assert about["view"] == "anterior" and about["mm_per_grey_step"] == 0.02 and about["nothing"] == 0
    with pytest.raises(ExportError):
        depth_png.write(np.array([[1400.0]], np.float32), {}, tmp_path / "deep.png")
    assert not (tmp_path / "deep.png").exists()

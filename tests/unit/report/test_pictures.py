from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.cases import case_of, grid, segmentation
from tomosurf.data.mesh import Scene
from tomosurf.errors import RenderingUnavailable
from tomosurf.report import pictures
from tomosurf.report.overlay import bar_length
from tomosurf.report.pictures import VIEWS, Picture, probe, render
from tomosurf.report.stage import FRAME
from tomosurf.testing.phantoms import Ball, Ellipsoid

SIZE = 300
RED, BLUE, GREEN = 0, 2, 1
BALLS = {
    "bright": Ball((10.0, 0.0, 0.0), 5.0),  # red, to the patient's left
    "head": Ball((-8.0, -8.0, 8.0), 4.0),  # blue: right, front, head
}


def _pixels(picture: Picture, folder: Path) -> NDArray[np.int64]:
    """(height, width, 3), first row on top."""
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkIOImage import vtkPNGReader

    path = folder / "picture.png"
    path.write_bytes(picture.png)
    reader = vtkPNGReader()
    reader.SetFileName(str(path))
    reader.Update()
    image = reader.GetOutput()
    width, height, _ = image.GetDimensions()
    values = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, -1)
    return values[::-1].astype(np.int64)


def _where(pixels: NDArray[np.int64], channel: int) -> NDArray[np.int64]:
    """(n, 2) rows and columns where a channel stands out."""
    others = np.delete(pixels, channel, axis=2).max(axis=2)
    return np.argwhere(pixels[:, :, channel] - others > 50)


@pytest.fixture(scope="module")
def scene() -> Scene:
    return case_of(segmentation(BALLS, grid())).scene


@pytest.fixture(scope="module")
def drawn(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> dict[str, NDArray[np.int64]]:
    folder = tmp_path_factory.mktemp("pictures")
    return {picture.view: _pixels(picture, folder) for picture in render(scene, SIZE)}


def test_there_are_six_views_of_the_size_asked_for(drawn: dict[str, NDArray[np.int64]]) -> None:
    assert tuple(drawn) == tuple(VIEWS)
    assert all(pixels.shape == (SIZE, SIZE, 3) for pixels in drawn.values())


@pytest.mark.parametrize(
    ("view", "red_is_right_of_blue", "red_is_above_blue"),
    [
        ("anterior", True, False),
        ("posterior", False, False),
        ("left", True, False),  # red lies further back, which is to the right
        ("right", False, False),
        ("superior", False, False),  # the patient's left is on the picture's left, the front on top
        ("inferior", True, False),
    ],
)
def test_each_view_looks_from_where_it_says(
    drawn: dict[str, NDArray[np.int64]], view: str, red_is_right_of_blue: bool, red_is_above_blue: bool
) -> None:
    red = _where(drawn[view], RED).mean(axis=0)
    blue = _where(drawn[view], BLUE).mean(axis=0)
    assert (red[1] > blue[1]) == red_is_right_of_blue
    assert (red[0] < blue[0]) == red_is_above_blue


def test_the_scale_bar_measures_the_ball(drawn: dict[str, NDArray[np.int64]]) -> None:
    pixels = drawn["anterior"]
    ball = np.ptp(_where(pixels, RED)[:, 1]) + 1
    corner = (pixels[int(SIZE * 0.96) :, : SIZE // 3] < 90).all(axis=2)
    bar = max(int(row.sum()) for row in corner)
    mm_per_pixel = FRAME * 27 / SIZE  # the scene reaches from -12 to 15 mm across
    assert bar_length(mm_per_pixel, SIZE) == 10
    assert bar == pytest.approx(ball, rel=0.03)  # both are 10 mm
    assert bar == pytest.approx(10 / mm_per_pixel, rel=0.03)


def test_a_structure_inside_another_shows_through(tmp_path: Path) -> None:
    shapes = {"bright": Ellipsoid((0.0, 0.0, 0.0), (14.0, 12.0, 13.0))}
    inner = {"inner": Ball((0.0, 0.0, 0.0), 5.0)}
    outer_part = segmentation(shapes, grid())
    inner_part = segmentation(inner, grid(), first_label=2)
    scene = case_of(outer_part, inner_part).scene
    green = replace(scene.meshes[1], segment=replace(scene.meshes[1].segment, colour=(20, 200, 20)))
    picture = render(Scene((scene.meshes[0], green)), SIZE)[0]
    pixels = _pixels(picture, tmp_path)
    red, green_, _ = pixels[SIZE // 2, SIZE // 2]
    assert green_ > red
    assert len(_where(pixels, GREEN)) > 500


def test_a_large_mesh_is_drawn_the_same_when_coarsened(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from tomosurf.report import render as child
    from tomosurf.report import stage

    probe()  # drawing happens in this process below: be sure that it can
    child.draw(scene, tmp_path, SIZE)
    fine = _pixels(Picture("anterior", (tmp_path / "anterior.png").read_bytes()), tmp_path)
    monkeypatch.setattr(stage, "MOST_TRIANGLES", 100)
    child.draw(scene, tmp_path, SIZE)
    coarse = _pixels(Picture("anterior", (tmp_path / "anterior.png").read_bytes()), tmp_path)
    assert abs(len(_where(fine, RED)) - len(_where(coarse, RED))) < 0.05 * len(_where(fine, RED))


def test_no_meshes_give_no_pictures() -> None:
    assert render(Scene(())) == ()


def test_pictures_are_the_same_twice(scene: Scene) -> None:
    first, second = render(scene, 120), render(scene, 120)
    assert first == second
    assert struct.unpack(">II", first[0].png[16:24]) == (120, 120)


def test_the_probe_names_what_draws() -> None:
    found = probe()
    assert found.window.startswith("vtk")
    assert found.version[0].isdigit()


def test_without_opengl_the_message_says_what_to_install(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VTK_DEFAULT_OPENGL_WINDOW", "none")
    for call in (probe, lambda: render(scene, SIZE)):
        with pytest.raises(RenderingUnavailable, match="apt-get install libegl1"):
            call()


def test_a_fault_in_drawing_isnt_mistaken_for_a_missing_library(tmp_path: Path) -> None:
    with pytest.raises(RenderingUnavailable, match="report this as a bug"):
        pictures._child(["draw", str(tmp_path / "no-such-scene.npz"), str(tmp_path), "100"], 60.0)


def test_a_drawing_that_takes_too_long_is_given_up(scene: Scene) -> None:
    with pytest.raises(RenderingUnavailable, match=r"longer than 0\.001 s"):
        render(scene, SIZE, timeout_s=0.001)

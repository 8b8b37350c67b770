"""What every exporter must do, whoever wrote it: a suite to inherit, for pytest.

A newcomer's exporter is tested unasked once it is registered; outside this repository::

    class TestMine(ExporterSuite):
        @pytest.fixture
        def exporter(self):
            return my_module.EXPORTER
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from tomosurf.data.geometry import Geometry
from tomosurf.data.mesh import Scene, SurfaceMesh
from tomosurf.data.volume import Volume
from tomosurf.errors import ExportError
from tomosurf.export.exporter import Content, Exporter
from tomosurf.testing.segmentations import segmentation_of
from tomosurf.testing.solids import Ball

GEOMETRY = Geometry(
    (14, 12, 10),
    np.array(
        [[-0.6, 0.5, 0.0, 120.0], [0.8, 0.4, 0.3, -250.0], [0.0, 0.0, 1.5, 800.0], [0.0, 0.0, 0.0, 1.0]]
    ),
    "2.25.3",
)
"""Oblique, left-handed, sheared, far from the origin: what the contents below lie on."""


def example(content: Content) -> Any:
    """Something to export: a ball's mesh, two balls' scene, a ramp as CT volume, two balls' label map."""
    if content == "volume":
        ramp = np.arange(np.prod(GEOMETRY.shape)).reshape(GEOMETRY.shape, order="F") - 1024
        return Volume(GEOMETRY, ramp.astype(np.int16), "CT", "HU")
    centres = GEOMETRY.to_world([[4.2, 4.1, 4.0], [9.4, 7.0, 5.3]])
    balls = [Ball((x, y, z), 1.9) for x, y, z in centres.tolist()]
    segmentation = segmentation_of(balls, GEOMETRY)
    if content == "labels":
        return segmentation
    scene = Scene(
        tuple(_octahedron(ball, s) for ball, s in zip(balls, segmentation.segments, strict=True)), GEOMETRY
    )
    return scene if content == "scene" else scene.meshes[0]


def _octahedron(ball: Ball, segment: Any) -> SurfaceMesh:
    """The octahedron inscribed in a ball: six corners on its axes, eight faces wound outwards."""
    ends = np.concatenate([np.eye(3), -np.eye(3)])
    faces = [(0, 1, 2), (1, 3, 2), (3, 4, 2), (4, 0, 2), (1, 0, 5), (3, 1, 5), (4, 3, 5), (0, 4, 5)]
    vertices = np.array(ball.centre) + ball.radius * ends
    fov_cut = np.array([0, 0, 0, 0, 1, 1], np.uint8)
    return SurfaceMesh(vertices, np.array(faces, np.int32), segment, {"fov_cut": fov_cut})


def empty(content: Content) -> tuple[Any, ...]:
    """Contents without a triangle, which no exporter may turn into a file."""
    if content not in {"mesh", "scene"}:
        return ()
    scene = example("scene")
    bare = replace(scene.meshes[0], faces=np.empty((0, 3), np.int32))
    if content == "mesh":
        return (bare,)
    return (Scene((), GEOMETRY), Scene((scene.meshes[1], bare), GEOMETRY))


class ExporterSuite:
    """Inherit, and give the fixture ``exporter``."""

    def test_it_says_what_it_is(self, exporter: Exporter) -> None:
        """A suffix with its dot, in lower case, and a content that stages produce."""
        assert isinstance(exporter, Exporter)
        assert exporter.suffix.startswith(".") and exporter.suffix == exporter.suffix.lower()
        assert exporter.content in get_args(Content)

    def test_it_writes_the_one_file_it_is_given(self, exporter: Exporter, tmp_path: Path) -> None:
        """Not empty, and nothing beside it."""
        path = tmp_path / f"some{exporter.suffix}"
        exporter.write(example(exporter.content), path)
        assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
        assert path.stat().st_size > 0

    def test_the_same_content_gives_the_same_bytes(self, exporter: Exporter, tmp_path: Path) -> None:
        """Whatever the file is called and whenever it is written."""
        written = []
        for name in ("first", "second"):
            path = tmp_path / name
            exporter.write(example(exporter.content), path)
            written.append(path.read_bytes())
        assert written[0] == written[1]

    def test_other_content_gives_other_bytes(self, exporter: Exporter, tmp_path: Path) -> None:
        """A content moved by 10 mm is another content: positions are written."""
        here, there = tmp_path / "here", tmp_path / "there"
        content = example(exporter.content)
        exporter.write(content, here)
        exporter.write(_moved(content), there)
        assert here.read_bytes() != there.read_bytes()

    def test_it_replaces_what_was_there(self, exporter: Exporter, tmp_path: Path) -> None:
        """A longer file of that name leaves no tail."""
        path, fresh = tmp_path / "old", tmp_path / "fresh"
        path.write_bytes(b"\xff" * 5_000_000)
        for target in (path, fresh):
            exporter.write(example(exporter.content), target)
        assert path.read_bytes() == fresh.read_bytes()

    def test_it_leaves_its_content_alone(self, exporter: Exporter, tmp_path: Path) -> None:
        """Writing twice from one object gives one file: nothing was changed on the way."""
        content = example(exporter.content)
        for name in ("first", "second"):
            exporter.write(content, tmp_path / name)
        assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()

    def test_it_refuses_what_is_empty(self, exporter: Exporter, tmp_path: Path) -> None:
        """ExportError, and no file."""
        for number, content in enumerate(empty(exporter.content)):
            path = tmp_path / f"{number}{exporter.suffix}"
            with pytest.raises(ExportError):
                exporter.write(content, path)
            assert not path.exists()


def _moved(content: Any) -> Any:
    """The same 10 mm further to the left."""
    step = np.array([10.0, 0.0, 0.0])
    if isinstance(content, SurfaceMesh):
        return replace(content, vertices=content.vertices + step)
    if isinstance(content, Scene):
        return replace(content, meshes=tuple(_moved(mesh) for mesh in content.meshes))
    affine = content.geometry.affine.copy()
    affine[:3, 3] += step
    geometry = replace(content.geometry, affine=affine)
    if isinstance(content, Volume):
        return replace(content, geometry=geometry)
    return replace(content, geometry=geometry, margins={})

"""A ball's mesh is the ball, wherever and however its grid lies: in memory and in every mesh file."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.mesh_readers import READERS, SUFFIXES, read_back
from tomosurf.data.geometry import Geometry
from tomosurf.data.mesh import Scene, SurfaceMesh
from tomosurf.registry import EXPORTERS
from tomosurf.surface.between_slices import NONE, thick_axis
from tomosurf.surface.extract import extract
from tomosurf.surface.measure import measure
from tomosurf.testing.phantoms import Ball
from tomosurf.testing.segmentations import segmentation_of
from tomosurf.testing.strategies import affines


@st.composite
def balls_on_grids(draw: st.DrawFn) -> tuple[Geometry, Ball]:
    """Any affine, a ball with a radius of 5 to 7 of the longest steps, and a grid that just holds it."""
    affine = draw(affines(spacing=(0.4, 2.4)))
    radius = np.linalg.norm(affine[:3, :3], axis=0).max() * draw(st.floats(5.0, 7.0))
    reach = radius * np.linalg.norm(np.linalg.inv(affine[:3, :3]), axis=1)
    half = np.ceil(reach).astype(int) + 2
    geometry = Geometry(tuple((2 * half + 1).tolist()), affine)
    shift = [draw(st.floats(-0.5, 0.5)) for _ in range(3)]
    centre = geometry.to_world([half + shift])[0]
    return geometry, Ball(tuple(centre.tolist()), float(radius))


def centroid(mesh: SurfaceMesh) -> NDArray[np.float64]:
    """Of the enclosed solid: tetrahedra from the middle, by their signed volumes."""
    middle = mesh.vertices.mean(axis=0)
    a, b, c = (mesh.vertices[corner] - middle for corner in mesh.faces.T)
    volumes = np.einsum("ij,ij->i", a, np.cross(b, c))
    return middle + ((a + b + c) * volumes[:, None]).sum(axis=0) / 4 / volumes.sum()


def check(mesh: SurfaceMesh, geometry: Geometry, ball: Ball) -> None:
    """The laws. A polyhedron with its corners on a sphere lacks volume of the order of (step / radius)^2."""
    measured = measure(mesh)
    assert measured.closed and measured.manifold and measured.components == 1
    coarseness = (max(geometry.spacing) / ball.radius) ** 2
    assert (1 - 0.75 * coarseness) * ball.volume < measured.volume_mm3 < ball.volume
    off = geometry.to_index([centroid(mesh)]) - geometry.to_index([ball.centroid])
    assert np.abs(off).max() < 0.05


@settings(max_examples=60, deadline=None)
@given(balls_on_grids())
def test_a_balls_mesh_is_the_ball(case: tuple[Geometry, Ball]) -> None:
    geometry, ball = case
    mesh = extract(segmentation_of([ball], geometry)).meshes[0]
    check(mesh, geometry, ball)
    assert not mesh.vertex_data["fov_cut"].any()
    # Where a convex field is interpolated linearly along an edge, the crossing is off by at most the edge's
    # length squared over eight radii of curvature, and always inwards; a cubic between thick slices may err as far
    # outwards too, but no farther.
    step = max(geometry.spacing)
    distance = ball.signed_distance(mesh.vertices)
    chord = step**2 / (8 * (ball.radius - step))
    assert distance.max() < (chord if thick_axis(geometry) != NONE else 0.0) + 2e-3 * step
    assert distance.min() > -chord - 2e-3 * step


@settings(max_examples=25, deadline=None)
@given(balls_on_grids())
def test_a_masks_mesh_is_the_ball_too(case: tuple[Geometry, Ball]) -> None:
    geometry, ball = case
    segmentation = segmentation_of([ball], geometry, with_margins=False)
    mesh = extract(segmentation).meshes[0]
    measured = measure(mesh)
    assert measured.closed and measured.manifold and measured.components == 1
    voxels = int(segmentation.labels.sum()) * geometry.voxel_volume
    assert measured.volume_mm3 == pytest.approx(voxels, rel=0.02)
    off = geometry.to_index([centroid(mesh)]) - geometry.to_index([ball.centroid])
    assert np.abs(off).max() < 0.2


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=8, deadline=None)
@given(balls_on_grids())
def test_files_hold_the_ball_where_it_is(suffix: str, reader: str, case: tuple[Geometry, Ball]) -> None:
    geometry, ball = case
    mesh = extract(segmentation_of([ball], geometry)).meshes[0]
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"ball{suffix}"
        exporter = next(e for e in map(EXPORTERS.load, EXPORTERS) if e.suffix == suffix)
        exporter.write(mesh if exporter.content == "mesh" else Scene((mesh,), geometry), path)
        back = read_back(path, reader)
    assert back.faces.shape == mesh.faces.shape
    check(back, geometry, ball)

from pathlib import Path

import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkIOXML import vtkXMLPolyDataReader

from tests.complexes import ball, three_parts, walls_of
from tomosurf.data.mesh import SurfaceMesh
from tomosurf.errors import ConfigError
from tomosurf.export import ply, vtp
from tomosurf.surface.printable import apart, print_check, with_thickness
from tomosurf.surface.thickness import wall_thickness
from tomosurf.testing.segmentations import segment


def shell(outer: float, inner: float) -> SurfaceMesh:
    outside, inside = ball(outer), ball(inner)
    faces = np.concatenate([outside.faces, inside.faces[:, ::-1] + len(outside.vertices)])
    return SurfaceMesh(
        np.concatenate([outside.vertices, inside.vertices]), faces.astype(np.int32), segment(1)
    )


def box(size: float, steps: int) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """A cube about the origin, each side a grid of ``steps`` squares; sides don't share vertices."""
    marks = np.linspace(-size / 2, size / 2, steps + 1)
    u, v = (axis.reshape(-1) for axis in np.meshgrid(marks, marks, indexing="ij"))
    number = np.arange(len(u)).reshape(steps + 1, -1)
    here, right = number[:-1, :-1].reshape(-1), number[1:, :-1].reshape(-1)
    up, across = number[:-1, 1:].reshape(-1), number[1:, 1:].reshape(-1)
    grid = np.concatenate([np.stack([here, right, across], 1), np.stack([here, across, up], 1)])
    vertices, faces = [], []
    for axis in range(3):
        for side in (-1, 1):
            at = np.full(len(u), side * size / 2)
            places = np.empty((len(u), 3))
            places[:, axis], places[:, (axis + 1) % 3], places[:, (axis + 2) % 3] = at, u, v
            faces.append((grid if side > 0 else grid[:, ::-1]) + len(u) * len(vertices))
            vertices.append(places)
    return np.concatenate(vertices), np.concatenate(faces).astype(np.int32)


def hollow_box(outer: float, inner: float) -> SurfaceMesh:
    """A cube with a cube of air in its middle."""
    outside, faces = box(outer, 12)
    inside, inner_faces = box(inner, 8)
    return SurfaceMesh(
        np.concatenate([outside, inside]),
        np.concatenate([faces, inner_faces[:, ::-1] + len(outside)]).astype(np.int32),
        segment(1),
    )


def test_a_shell_is_as_thick_as_its_radii_differ() -> None:
    thickness = wall_thickness(shell(20.0, 17.0))
    assert thickness == pytest.approx(np.full(len(thickness), 3.0), abs=0.06)  # facets bulge by 0.03 mm


def test_a_slab_is_as_thick_as_it_is_whatever_its_triangles() -> None:
    steps = np.linspace(0, 30, 7)
    x, y = (axis.reshape(-1) for axis in np.meshgrid(steps, steps, indexing="ij"))
    number = np.arange(49).reshape(7, 7)
    here, right, up, across = (
        a.reshape(-1) for a in (number[:-1, :-1], number[1:, :-1], number[:-1, 1:], number[1:, 1:])
    )
    top = np.concatenate([np.stack([here, right, across], 1), np.stack([here, across, up], 1)])
    vertices = np.concatenate([np.stack([x, y, np.full(49, z)], 1) for z in (0.0, 2.5)])
    faces = np.concatenate([top[:, ::-1], top + 49]).astype(np.int32)
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    turn *= np.linalg.det(turn)
    thickness = wall_thickness(SurfaceMesh(vertices @ turn.T, faces, segment(1)))
    np.testing.assert_allclose(thickness, 2.5, rtol=1e-6)


def test_files_of_printable_parts_hold_the_walls_thickness(tmp_path: Path) -> None:
    (part,) = with_thickness([hollow_box(30.0, 25.0)])
    over_the_hollow = (np.abs(part.vertices) < 12.4).sum(
        axis=1
    ) == 2  # elsewhere a ray runs along a side wall
    ply.write(part, tmp_path / "part.ply")
    vtp.write(part, tmp_path / "part.vtp")
    stored = trimesh.load(tmp_path / "part.ply", process=False).metadata["_ply_raw"]["vertex"]["data"]
    reader = vtkXMLPolyDataReader()
    reader.SetFileName(str(tmp_path / "part.vtp"))
    reader.Update()
    array = vtk_to_numpy(reader.GetOutput().GetPointData().GetArray("thickness"))
    for values in (stored["thickness"], array):
        assert values.dtype == np.float32
        np.testing.assert_allclose(values[over_the_hollow], 2.5, rtol=1e-6)
        np.testing.assert_array_equal(values, part.vertex_data["thickness"])
    (check,) = print_check([part])
    assert check.thinnest_mm == pytest.approx(2.5)


def test_where_no_other_side_lies_behind_nothing_is_said() -> None:
    vertices = np.array([[0.0, 0.0, 0.0], [10.0, 0.0, 0.0], [0.0, 10.0, 0.0]])
    (sheet,) = with_thickness([SurfaceMesh(vertices, np.array([[0, 1, 2]], np.int32), segment(1))])
    assert np.isnan(sheet.vertex_data["thickness"]).all()
    assert print_check([sheet])[0].thinnest_mm == np.inf


@pytest.mark.parametrize("clearance", [0.025, 0.1])
def test_parts_that_touched_are_apart_by_the_clearance(clearance: float) -> None:
    walls = walls_of(three_parts())
    parts = [walls.mesh(segment(label)) for label in walls.labels]
    assert all(check.gap_mm == 0 for check in print_check(with_thickness(parts)))
    checks = print_check(with_thickness(apart(parts, clearance)))
    assert clearance <= min(check.gap_mm for check in checks) <= 1.05 * clearance
    for before, check in zip(parts, checks, strict=True):
        assert check.closed
        assert check.manifold
        assert check.crossings == 0
        assert check.gap_mm <= 1.2 * clearance  # each part's own narrowest, beside the narrowest of all
        assert 0 < check.thinnest_mm <= float(wall_thickness(before).min()) + 1e-9


def test_walls_sink_by_half_the_clearance_and_free_surfaces_stay() -> None:
    walls = walls_of(three_parts())
    parts = [walls.mesh(segment(label)) for label in walls.labels]
    shared = walls.sides[:, 1] > 0
    on_wall = np.zeros(len(walls.vertices), bool)
    on_wall[walls.faces[shared]] = True
    free = {tuple(vertex) for vertex in walls.vertices[~on_wall].tolist()}
    for before, after in zip(parts, apart(parts, 0.02), strict=True):
        moved = np.linalg.norm(after.vertices - before.vertices, axis=1)
        stays = np.array([tuple(vertex) in free for vertex in before.vertices.tolist()])
        assert (moved[stays] == 0).all()
        assert (
            0.01 <= np.median(moved[~stays]) <= 0.02
        )  # half the clearance each where walls are flat, more at edges


def test_a_clearance_below_zero_is_refused() -> None:
    with pytest.raises(ConfigError, match="clearance"):
        apart([shell(3.0, 2.0)], -0.1)

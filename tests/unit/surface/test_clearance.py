from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.mesh_readers import READERS, read_back
from tomosurf.data.geometry import Geometry
from tomosurf.data.mesh import SurfaceMesh
from tomosurf.data.segmentation import Margin, Segmentation
from tomosurf.export import stl
from tomosurf.surface.border import close, padded
from tomosurf.surface.clearance import LATTICE_CLEARANCE, keep_clear_of_lattice
from tomosurf.surface.contour import contour
from tomosurf.surface.extract import extract
from tomosurf.surface.measure import measure
from tomosurf.testing.segmentations import segment

SHAPE = (17, 18, 19)
Field = NDArray[np.float32]


def waves() -> NDArray[np.float64]:
    i, j, k = np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij")
    return np.round(3 * np.sin(i / 3) + 2 * np.cos(j / 4) * np.sin(k / 5))


def noise(kind: str) -> NDArray[np.float64]:
    random = np.random.default_rng(7)
    if kind == "normal":
        return random.normal(size=SHAPE)
    if kind == "small integers":
        return random.integers(-3, 4, SHAPE).astype(float)
    if kind == "barely inside or far below":
        return np.where(random.integers(0, 2, SHAPE) > 0, 1e-30, -3000.0)
    return random.choice([-1, 0, 1], SHAPE) * 10.0 ** random.uniform(-12, 4, SHAPE)


FIELDS: dict[str, Callable[[], NDArray[np.float64]]] = {
    "smooth integers": waves,
    **{
        kind: lambda kind=kind: noise(kind)  # type: ignore[misc]
        for kind in ("normal", "small integers", "barely inside or far below", "sixteen decades")
    },
}


def closed_field(values: NDArray[np.float64]) -> Field:
    field = padded(values.astype(np.float32))
    close(field)
    return field


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize(("spacing", "origin"), [(1.0, 0.0), (0.3, 900.0), (0.15, -1400.0)])
def test_stl_stays_closed_when_readers_merge_corners(
    name: str, spacing: float, origin: float, tmp_path: Path
) -> None:
    lean = np.array([[0.8, -0.6, 0.3], [0.6, 0.8, 0.0], [0.0, 0.0, 2.0]])
    affine = np.eye(4)
    affine[:3, :3] = spacing * lean
    affine[:3, 3] = origin
    values = np.asfortranarray(FIELDS[name](), np.float32)
    geometry = Geometry(values.shape, affine)
    labels = (values > 0).astype(np.uint8)
    segmentation = Segmentation(geometry, labels, (segment(),), {1: Margin(geometry, values)})
    mesh = extract(segmentation).meshes[0]
    stl.write(mesh, tmp_path / "mesh.stl")
    for reader in READERS:
        back = read_back(tmp_path / "mesh.stl", reader)
        measured = measure(back)
        assert measured.closed and measured.manifold
        assert len(back.vertices) == len(mesh.vertices) and len(back.faces) == len(mesh.faces)


def test_without_clearance_corners_fall_together() -> None:
    field = closed_field(noise("small integers"))
    points, _ = contour(field, 0.0)
    assert len(np.unique(points, axis=0)) < len(points)
    keep_clear_of_lattice(field)
    close(field)
    points, _ = contour(field, 0.0)
    assert len(np.unique(points, axis=0)) == len(points)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.sampled_from([0.0, -0.0, 1e-9, -1e-9, 2.0, -2.0, 3e4, -3e4, 1e-3, -5e-4]), min_size=64, max_size=64
    )
)
def test_no_vertex_comes_nearer_than_the_clearance_and_no_voxel_changes_sides(values: list[float]) -> None:
    field = closed_field(np.array(values).reshape(4, 4, 4))
    before = field.copy()
    keep_clear_of_lattice(field)
    inner = (slice(1, -1),) * 3
    assert ((field >= 0) == (before >= 0))[inner].all()
    assert (np.abs(field) >= np.abs(before))[inner].all()
    close(field)
    points, _ = contour(field, 0.0)
    along = np.abs(points - np.round(points)).max(axis=1, initial=0)
    assert (along > 0.99 * LATTICE_CLEARANCE).all()


def test_a_field_that_is_clear_is_left_alone() -> None:
    field = closed_field(np.random.default_rng(0).choice([-2.0, 1.0, 3.0], SHAPE))
    before = field.copy()
    keep_clear_of_lattice(field)
    assert np.array_equal(field, before)


def test_a_vertex_is_moved_by_the_clearance_at_most() -> None:
    values = np.full((3, 1, 1), -1.0)
    values[0] = 1e-20
    field = closed_field(values)
    keep_clear_of_lattice(field, 0.01)
    assert field[1, 1, 1] / (field[1, 1, 1] - field[2, 1, 1]) == pytest.approx(0.01)


def surface_from(field: Field) -> SurfaceMesh:
    points, faces = contour(field, 0.0)
    return SurfaceMesh(points.astype(np.float64), faces, segment())


def test_a_field_that_is_barely_inside_everywhere_gives_a_box() -> None:
    field = closed_field(np.full((3, 4, 5), 1e-30))
    keep_clear_of_lattice(field)
    close(field)
    measured = measure(surface_from(field))
    assert measured.closed and measured.manifold and measured.components == 1


def test_zeros_are_outside_and_give_no_specks() -> None:
    field = closed_field(np.array([-1.0, 0.0, -1.0, 0.0]).reshape(4, 1, 1))
    keep_clear_of_lattice(field)
    close(field)
    assert not len(surface_from(field).faces)

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.mesh_readers import READERS, read_back
from tomosurf.data.geometry import Geometry
from tomosurf.data.segmentation import Margin, Segmentation
from tomosurf.export import stl
from tomosurf.surface.crossings import Crossings, find_crossings
from tomosurf.surface.extract import extract, extract_complexes
from tomosurf.surface.fractions import CLEARANCE, pulls_of
from tomosurf.surface.lattice import lattices_of
from tomosurf.surface.measure import measure
from tomosurf.testing.phantoms import Ball
from tomosurf.testing.segmentations import segment, segmentation_of

SHAPE = (17, 18, 19)


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


def segmentation_from(values: Any, affine: NDArray[np.float64] | None = None) -> Segmentation:
    """One segment whose margin fills the image."""
    values = np.asfortranarray(values, np.float32)
    geometry = Geometry(values.shape, np.eye(4) if affine is None else affine)
    labels = (values > 0).astype(np.uint8)
    return Segmentation(geometry, labels, (segment(),), {1: Margin(geometry, values)})


def crossings_from(values: Any) -> tuple[Crossings, NDArray[np.float32]]:
    (lattice,) = lattices_of(segmentation_from(values))
    crossings = find_crossings(lattice.labels)
    return crossings, pulls_of(lattice, crossings).fractions()


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize(("spacing", "origin"), [(1.0, 0.0), (0.3, 900.0), (0.15, -1400.0)])
def test_stl_stays_closed_when_readers_merge_corners(
    name: str, spacing: float, origin: float, tmp_path: Path
) -> None:
    lean = np.array([[0.8, -0.6, 0.3], [0.6, 0.8, 0.0], [0.0, 0.0, 2.0]])
    affine = np.eye(4)
    affine[:3, :3] = spacing * lean
    affine[:3, 3] = origin
    mesh = extract(segmentation_from(FIELDS[name](), affine)).meshes[0]
    stl.write(mesh, tmp_path / "mesh.stl")
    for reader in READERS:
        back = read_back(tmp_path / "mesh.stl", reader)
        measured = measure(back)
        assert measured.closed and measured.manifold
        assert len(back.vertices) == len(mesh.vertices) and len(back.faces) == len(mesh.faces)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.sampled_from([0.0, -0.0, 1e-9, -1e-9, 2.0, -2.0, 3e4, -3e4, 1e-3, -5e-4]), min_size=64, max_size=64
    ).filter(lambda values: max(values) > 0)
)
def test_no_crossing_comes_nearer_than_the_clearance_and_no_voxel_changes_sides(values: list[float]) -> None:
    field = np.array(values).reshape(4, 4, 4)
    crossings, fractions = crossings_from(field)
    assert fractions.min() >= np.float32(CLEARANCE) and fractions.max() <= np.float32(1 - CLEARANCE)
    padded = np.pad(field > 0, 1)
    changes = [np.diff(padded, axis=axis).sum() for axis in range(3)]
    assert [len(starts) for starts in crossings.starts] == changes


def test_a_crossing_lies_where_the_line_between_two_values_is_zero() -> None:
    _, fractions = crossings_from(np.array([1.0, -3.0, 2.0, -2.0]).reshape(4, 1, 1))
    assert fractions[:4].tolist() == [0.5, 0.25, np.float32(0.6), 0.5]


def test_a_field_that_is_barely_inside_everywhere_gives_a_box() -> None:
    measured = measure(extract(segmentation_from(np.full((3, 4, 5), 1e-30))).meshes[0])
    assert measured.closed and measured.manifold and measured.components == 1


def test_zeros_are_outside_and_give_no_specks() -> None:
    field = np.array([-1.0, 0.0, -1.0, 1.0, -1.0]).reshape(5, 1, 1)
    assert measure(extract(segmentation_from(field)).meshes[0]).components == 1


def two_scores(shift: float) -> tuple[Segmentation, NDArray[np.float64]]:
    """Three classes whose scores are planes: background loses nowhere to the right of neither; known walls."""
    geometry = Geometry((12, 10, 8), np.diag([1.0, 1.0, 1.0, 1.0]))
    index = np.stack(np.meshgrid(*map(np.arange, geometry.shape), indexing="ij"), axis=-1)
    scores = np.stack([0.3 * (index[..., 1] - 4.2), 0.8 * (index[..., 0] - shift), np.zeros(geometry.shape)])
    order = np.sort(scores, axis=0)
    margins = {}
    for label, own in ((1, 1), (2, 2)):
        values = np.where(scores[own] == order[-1], scores[own] - order[-2], scores[own] - order[-1])
        margins[label] = Margin(geometry, np.asfortranarray(values, np.float32))
    labels = np.argmax(scores, axis=0).astype(np.uint8)
    return Segmentation(geometry, labels, (segment(1), segment(2)), margins), scores


@pytest.mark.parametrize("shift", [5.3, 5.77])
def test_walls_between_scores_lie_where_two_scores_are_equal(shift: float) -> None:
    found, _ = two_scores(shift)
    (walls,) = extract_complexes(found)
    between = (walls.sides == (2, 1)).all(axis=1)
    crossing = walls.vertices[np.unique(walls.faces[between])]
    inner = (np.abs(crossing - [shift, 0, 0])[:, 0] < 1e-5) | (crossing.min(axis=1) < 0)
    others = np.unique(walls.faces[~between])
    shared = np.isin(np.unique(walls.faces[between]), others)
    assert between.any() and inner[~shared].all()


def test_the_slope_is_the_margins_change_per_mm() -> None:
    geometry = Geometry(
        (30, 28, 26), np.array([[0.5, 0.1, 0, 3], [0, 0.7, 0, 4], [0, 0, 1.1, 5], [0, 0, 0, 1]])
    )
    ball = Ball(tuple(geometry.to_world([[15, 14, 13]])[0].tolist()), 6.0)
    found = segmentation_of([ball], geometry)
    steep = Margin(geometry, np.float32(3) * found.margins[1].values)
    (walls,) = extract_complexes(replace(found, margins={1: steep}))
    assert walls.vertex_data["slope"] == pytest.approx(3.0, rel=0.05)
    (mask,) = extract_complexes(found.without_margins())
    assert np.isnan(mask.vertex_data["slope"]).all()

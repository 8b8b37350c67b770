from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.unit.surface.test_straighten import half_way, points_of
from tomosurf.data.geometry import Geometry
from tomosurf.data.segmentation import Segmentation
from tomosurf.surface.columns import Grid
from tomosurf.surface.contours import contours_of
from tomosurf.surface.crossings import Crossings, find_crossings
from tomosurf.surface.extract import extract
from tomosurf.surface.measure import measure
from tomosurf.surface.triangulate import triangulate
from tomosurf.surface.volumes import FARTHEST, hold_volumes
from tomosurf.testing.grids import centred
from tomosurf.testing.phantoms import Ball, Box, Capsule, Placed, Shape, Torus, rotation_about
from tomosurf.testing.segmentations import segment

SPACING = (0.8, 0.9, 1.3)
SHAPES: dict[str, Shape] = {
    "ball": Ball((0.3, 0.2, 0.1), 9.0),
    "torus": Placed(
        Torus((0.0, 0.0, 0.0), 11.0, 4.0), rotation_about((1.0, 0.4, 0.2), 30.0), (0.2, 0.1, 0.4)
    ),
    "capsule": Capsule((-9.0, -4.0, -6.0), (8.0, 5.0, 7.0), 3.0),
    "box": Placed(
        Box((0.0, 0.0, 0.0), (18.0, 15.0, 12.0)), rotation_about((0.2, 0.4, 1.0), 25.0), (0.1, 0.3, 0.2)
    ),
}


def lattice(spacing: tuple[float, float, float] = SPACING) -> Geometry:
    i, j, k = (2 * int(18 / s) for s in spacing)
    return centred((i, j, k), np.diag(spacing))


def inside(shape: Shape, geometry: Geometry) -> NDArray[np.bool_]:
    centres = geometry.to_world(np.indices(geometry.shape).reshape(3, -1).T)
    return shape.contains(centres).reshape(geometry.shape)


def volumes(
    labels: NDArray[np.integer], crossings: Crossings, fractions: NDArray[np.float32]
) -> NDArray[np.float64]:
    """What each label's surface encloses, in voxels."""
    found = triangulate(labels, crossings, crossings.by_axis(fractions), fractions)
    a, b, c = (found.points[corner] for corner in found.faces.T)
    parts = np.einsum("ij,ij->i", a, np.cross(b, c)) / 6
    return np.bincount(found.sides[:, 0], parts) - np.bincount(
        found.sides[:, 1], parts, found.sides[:, 0].max() + 1
    )


def held_volumes(
    labels: NDArray[np.integer],
    fractions: NDArray[np.float32] | None = None,
    spacing: tuple[float, float, float] = SPACING,
) -> tuple[Grid, Crossings, NDArray[np.float32]]:
    crossings = find_crossings(labels)
    flat = labels.reshape(-1, order="F")
    grid = Grid(flat, np.array(crossings.shape), crossings.places, crossings.rows)
    none = np.zeros(len(crossings), np.bool_)
    start = half_way(grid) if fractions is None else fractions
    links = contours_of(grid, none)
    walls = triangulate(labels, crossings, crossings.by_axis(start), start)
    return grid, crossings, hold_volumes(grid, links, np.diag([*spacing, 1.0]), walls, start, none)


@pytest.mark.parametrize("start", [0.15, 0.5, 0.85])
@pytest.mark.parametrize("name", SHAPES)
def test_a_structure_gets_the_volume_of_its_voxels(name: str, start: float) -> None:
    """From a surface that is a third of a voxel too small or too large."""
    labels = np.asfortranarray(inside(SHAPES[name], lattice()).astype(np.uint8))
    crossings = find_crossings(labels)
    flat = labels.reshape(-1, order="F")
    lower = flat[crossings.places] > 0
    fractions = np.where(lower, start, 1 - start).astype(np.float32)
    _, _, moved = held_volumes(labels, fractions)
    assert volumes(labels, crossings, moved)[1] == pytest.approx(labels.sum(), rel=2e-4)
    assert (moved >= np.float32(0.001)).all() and (moved <= np.float32(0.999)).all()


@pytest.mark.parametrize("name", SHAPES)
def test_one_step_makes_up_for_nearly_all(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The true surface, a tenth of a mm too far inside: what crossings sweep adds up to its whole area."""
    geometry, shape = lattice(), SHAPES[name]
    labels = np.asfortranarray(inside(shape, geometry).astype(np.uint8))
    centres = geometry.to_world(np.indices(geometry.shape).reshape(3, -1, order="F").T)
    depth = -shape.signed_distance(centres)
    crossings = find_crossings(labels)
    ends = np.repeat(
        (1, labels.shape[0], labels.shape[0] * labels.shape[1]), [len(s) for s in crossings.starts]
    )
    here, there = depth[crossings.places], depth[crossings.places + ends]
    fractions = np.clip((here - 0.1) / (here - there), 0.001, 0.999).astype(np.float32)
    wanted = labels.sum()
    lacking = wanted - volumes(labels, crossings, fractions)[1]
    monkeypatch.setattr("tomosurf.surface.volumes.ROUNDS", 1)
    left = wanted - volumes(labels, crossings, held_volumes(labels, fractions)[2])[1]
    assert lacking > 0.02 * wanted
    assert abs(left) < 0.03 * lacking


def test_neighbours_both_get_theirs() -> None:
    geometry = lattice()
    labels = inside(SHAPES["ball"], geometry).astype(np.uint8)
    labels[24:] *= 2
    labels = np.asfortranarray(labels)
    flat, starts = labels.reshape(-1, order="F"), find_crossings(labels).places
    fractions = np.where(flat[starts] > 0, 0.4, 0.6).astype(np.float32)  # the wall towards 1
    _, crossings, moved = held_volumes(labels, fractions)
    counts = np.bincount(labels.reshape(-1))[1:]
    before, after = (np.abs(volumes(labels, crossings, f)[1:] / counts - 1).max() for f in (fractions, moved))
    assert before > 0.02 and after < 1.1e-4


def test_all_of_many_cells_get_theirs() -> None:
    """Each wall's move is one's gain and another's loss: going by one at a time would take many steps."""
    random = np.random.default_rng(3)
    geometry = lattice((0.9, 0.9, 0.9))
    centres = np.indices(geometry.shape).reshape(3, -1).T
    seeds = random.uniform(6, 34, (14, 3))
    nearest = ((centres[:, None] - seeds) ** 2).sum(axis=2).argmin(axis=1).reshape(geometry.shape)
    labels = np.where(inside(Ball((0.0, 0.0, 0.0), 15.0), geometry), nearest + 1, 0)
    labels = np.asfortranarray(labels.astype(np.uint8))
    start = random.uniform(0.3, 0.7, len(find_crossings(labels))).astype(np.float32)
    _, crossings, moved = held_volumes(labels, start, (0.9, 0.9, 0.9))
    counts = np.bincount(labels.reshape(-1))
    there = counts[1:] > 200
    assert there.sum() >= 10
    before, after = (np.abs(volumes(labels, crossings, f) / counts - 1)[1:][there] for f in (start, moved))
    assert before.max() > 2e-3 and after.max() < 1.1e-4


def test_no_surface_moves_farther_than_half_a_voxel() -> None:
    """A thin slanted rod in thick slices, whose surface lies almost on its voxels' centres."""
    spacing = (0.8, 0.8, 5.0)
    labels = np.asfortranarray(
        inside(Capsule((-12.0, -2.0, -10.0), (12.0, 4.0, 10.0), 1.2), lattice(spacing)).astype(np.uint8)
    )
    crossings = find_crossings(labels)
    lower = labels.reshape(-1, order="F")[crossings.places] > 0
    fractions = np.where(lower, 0.002, 0.998).astype(np.float32)
    grid, _, moved = held_volumes(labels, fractions, spacing)
    gained = np.where(lower, moved - fractions, fractions - moved)
    assert (gained >= 0).all() and (gained > 0).any()
    away = np.linalg.norm((points_of(grid, moved) - points_of(grid, fractions)) * spacing, axis=1)
    assert away.max() <= FARTHEST * 0.8 / 0.2 + 1e-6  # along an edge, five times as far at the steepest
    before, after = (volumes(labels, crossings, f)[1] for f in (fractions, moved))
    assert before < after <= labels.sum()


def test_where_the_image_ends_nothing_is_made_up_for_the_rim() -> None:
    """What fills one half of a slab of three slices, up to three sides: its face stays half way between voxels."""
    labels = np.zeros((14, 14, 3), np.uint8)
    labels[:7] = 1
    geometry = Geometry(labels.shape, np.diag([0.8, 0.8, 1.0, 1.0]))
    (mesh,) = extract(Segmentation(geometry, labels, (segment(1),))).meshes
    index = geometry.to_index(mesh.vertices)
    face = mesh.vertex_data["fov_cut"] == 0
    assert face.any()
    assert np.abs(index[face, 0] - 6.5).max() < 0.03  # 0.1 if the rim counted as lost
    assert measure(mesh).closed


def test_the_same_bytes_every_time() -> None:
    labels = np.asfortranarray(inside(SHAPES["torus"], lattice()).astype(np.uint8))
    one, two = (held_volumes(labels)[2].tobytes() for _ in range(2))
    assert one == two

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tomosurf.data.geometry import Geometry
from tomosurf.surface.crossings import Crossings, find_crossings
from tomosurf.surface.mask_field import mask_walls
from tomosurf.surface.triangulate import triangulate
from tomosurf.testing.phantoms import Ball, Capsule, Ellipsoid, Placed, Shape, Torus, rotation_about

Fractions = tuple[NDArray[np.float32], ...]


def grid(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> Geometry:
    """Centred on the origin."""
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -affine[:3, :3] @ (np.array(shape) - 1) / 2
    return Geometry(shape, affine)


def digitised(shape: Shape, geometry: Geometry) -> NDArray[np.uint8]:
    centres = geometry.to_world(np.indices(geometry.shape).reshape(3, -1).T)
    return np.asfortranarray(shape.contains(centres).reshape(geometry.shape).astype(np.uint8))


def places(crossings: Crossings, fractions: Fractions) -> NDArray[np.float64]:
    """(n, 3) index points of all crossings."""
    found = []
    for axis in range(3):
        index = np.stack(np.unravel_index(crossings.starts[axis], crossings.shape, order="F"), axis=1)
        points = index.astype(np.float64)
        points[:, axis] += fractions[axis]
        found.append(points)
    return np.concatenate(found)


def found(labels: NDArray[np.integer], affine: NDArray[np.float64]) -> tuple[Crossings, Fractions]:
    """Of labels that may reach the lattice's end, where surfaces close half way to a layer of background."""
    around = np.asfortranarray(np.pad(labels, 1))
    wider = find_crossings(around)
    closing = []
    for axis, starts in enumerate(wider.starts):
        place = np.unravel_index(starts, around.shape, order="F")[axis]
        closing.append((place == 0) | (place == labels.shape[axis]))
    points = mask_walls(around, affine, wider, np.concatenate(closing)).points
    lower_ends = tuple(np.zeros(len(starts), np.float32) for starts in wider.starts)
    along = (points[: len(wider)] - places(wider, lower_ends)).sum(axis=1).astype(np.float32)
    fractions = wider.by_axis(along)
    for along, held in zip(fractions, closing, strict=True):
        assert (along[held] == 0.5).all()
    return find_crossings(labels), tuple(along[~held] for along, held in zip(fractions, closing, strict=True))


def as_field(labels: NDArray[np.integer], affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3, ni, nj, nk): the place of each crossing from its lower end; NaN where there is none."""
    crossings, fractions = found(labels, affine)
    field = np.full((3, *labels.shape), np.nan)
    for axis in range(3):
        field[axis][np.unravel_index(crossings.starts[axis], labels.shape, order="F")] = fractions[axis]
    return field


def volume(labels: NDArray[np.integer], fractions: Fractions | None = None) -> float:
    """Volume in voxels that the surface of label 1 encloses; half way between voxels by default."""
    crossings = find_crossings(labels)
    if fractions is None:
        fractions = tuple(np.full(len(starts), 0.5, np.float32) for starts in crossings.starts)
    surface = triangulate(labels, crossings, fractions, np.zeros(len(crossings), np.float32))
    a, b, c = (surface.points[corner] for corner in surface.faces.T)
    return float(abs(np.einsum("ij,ij->", a, np.cross(b, c)))) / 6


@pytest.mark.parametrize(
    ("normal", "most"),
    [
        ((1.0, 0.3, 0.2), 0.03),
        ((0.9, 0.5, 0.1), 0.03),
        ((0.15, 1.0, 0.6), 0.03),
        ((0.2, 0.3, 1.0), 0.03),
        ((0.7, 0.7, 0.1), 0.03),
        ((0.05, 1.0, 0.3), 0.03),
        ((0.03, 0.02, 1.0), 0.06),  # steps of its stairs lie farther apart than heights are averaged
    ],
)
def test_a_digitised_plane_is_found_again(normal: tuple[float, float, float], most: float) -> None:
    geometry = grid((40, 40, 40), (0.8, 0.8, 1.0))
    direction = np.array(normal) / np.linalg.norm(normal)
    centres = geometry.to_world(np.indices(geometry.shape).reshape(3, -1).T)
    labels = np.asfortranarray((centres @ direction < 0.1).reshape(geometry.shape).astype(np.uint8))
    points = places(*found(labels, geometry.affine))
    inner = ((points > 8) & (points < 31)).all(axis=1)
    error = np.abs(geometry.to_world(points[inner]) @ direction - 0.1) / 0.8
    assert inner.any() and error.mean() <= most


def test_nothing_has_no_surface() -> None:
    fractions = found(np.zeros((6, 5, 4), np.uint8), np.eye(4))[1]
    assert [len(along) for along in fractions] == [0, 0, 0]


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("seed", range(2))
def test_every_crossing_stays_between_its_voxels(kind: type[np.integer], seed: int) -> None:
    labels = np.asfortranarray(np.random.default_rng(seed).integers(0, 4, (14, 13, 12)).astype(kind))
    crossings, fractions = found(labels, np.diag([0.7, 0.9, 5.0, 1.0]))
    for starts, along in zip(crossings.starts, fractions, strict=True):
        assert along.dtype == np.float32 and along.shape == starts.shape
        assert (along >= 0.001).all() and (along <= 0.999).all()


def test_turning_the_lattice_turns_the_surface() -> None:
    """A smooth pair of shapes and noise around them, under every fifth of the 48 turns and mirrorings."""
    random = np.random.default_rng(0)
    geometry = grid((24, 22, 20), (1.0, 1.0, 1.0))
    labels = digitised(Ellipsoid((1.0, 0.3, -0.2), (9.0, 7.0, 6.0)), geometry)
    labels[:12][labels[:12] == 1] = 2
    labels[random.random(labels.shape) < 0.02] = 3
    affine = np.diag([0.8, 1.1, 2.3, 1.0])
    field = as_field(labels, affine)
    for order, flips in list(product(permutations(range(3)), product((1, -1), repeat=3)))[::5]:
        turned = np.asfortranarray(labels.transpose(order)[tuple(slice(None, None, f) for f in flips)])
        linear = affine[:3, :3][:, order] * np.array(flips)
        moved = np.eye(4)
        moved[:3, :3] = linear
        again = as_field(turned, moved)
        for axis in range(3):
            expected = field[order[axis]].transpose(order)[tuple(slice(None, None, f) for f in flips)]
            if flips[axis] < 0:  # an edge now starts at its other end
                expected = np.concatenate(
                    [
                        1 - np.take(expected, range(1, expected.shape[axis]), axis),
                        np.full_like(np.take(expected, [0], axis), np.nan),
                    ],
                    axis,
                )
            # triangles' diagonals don't turn, nor do the volumes that are held by them, to the last digit
            assert np.allclose(again[axis], expected, atol=4e-3, equal_nan=True)
            assert np.nanmean(np.abs(again[axis] - expected)) < 5e-4


@settings(max_examples=4, deadline=None)
@given(
    st.tuples(*[st.floats(8.0, 14.0)] * 3),
    st.tuples(*[st.floats(-0.5, 0.5)] * 3),
    st.floats(0, 180),
)
def test_ellipsoids_keep_their_volume_and_lie_near_the_truth(
    axes: tuple[float, float, float], centre: tuple[float, float, float], degrees: float
) -> None:
    shape = Placed(Ellipsoid((0.0, 0.0, 0.0), axes), rotation_about((0.3, 1.0, 0.5), degrees), centre)
    geometry = grid((34, 34, 34), (1.0, 1.0, 1.0))
    labels = digitised(shape, geometry)
    crossings, fractions = found(labels, geometry.affine)
    distance = np.abs(shape.signed_distance(geometry.to_world(places(crossings, fractions))))
    assert distance.mean() <= 0.12  # worst where its symmetry is the lattice's
    assert volume(labels, fractions) == pytest.approx(labels.sum(), rel=5e-4)


SHAPES = {
    "ball": Ball((0.3, 0.2, 0.7), 20.0),
    "torus": Placed(
        Torus((0.0, 0.0, 0.0), 18.0, 6.0), rotation_about((1.0, 0.4, 0.2), 30.0), (0.2, 0.1, 0.4)
    ),
    "capsule": Capsule((-12.0, -9.0, -14.0), (11.0, 8.0, 15.0), 5.0),
}


@pytest.mark.parametrize("name", SHAPES)
def test_thick_slices_lose_their_terraces(name: str) -> None:
    shape, geometry = SHAPES[name], grid((64, 64, 14), (0.8, 0.8, 5.0))
    labels = digitised(shape, geometry)
    crossings, fractions = found(labels, geometry.affine)
    half = tuple(np.full(len(starts), 0.5, np.float32) for starts in crossings.starts)
    smooth, terraced = (
        np.abs(shape.signed_distance(geometry.to_world(places(crossings, f)))).mean()
        for f in (fractions, half)
    )
    assert smooth < 0.6 * terraced


def test_a_sheared_lattice_is_measured_in_mm() -> None:
    geometry = grid((64, 74, 28), (0.8, 0.8, 2.0))
    affine = geometry.affine.copy()
    affine[1, 2] = 0.7
    affine[:3, 3] = -affine[:3, :3] @ (np.array(geometry.shape) - 1) / 2
    sheared, ball = Geometry(geometry.shape, affine), SHAPES["ball"]
    crossings, fractions = found(digitised(ball, sheared), affine)
    assert np.abs(ball.signed_distance(sheared.to_world(places(crossings, fractions)))).mean() <= 0.12


@pytest.mark.parametrize(("size", "lost"), [((1, 1, 1), 1e-3), ((1, 1, 20), 0.04), ((1, 20, 20), 0.06)])
def test_what_is_one_voxel_thin_keeps_its_volume(size: tuple[int, int, int], lost: float) -> None:
    labels = np.zeros((24, 24, 24), np.uint8, order="F")
    labels[2 : 2 + size[0], 2 : 2 + size[1], 2 : 2 + size[2]] = 1
    _, fractions = found(labels, np.eye(4))
    assert volume(labels, fractions) == pytest.approx(labels.sum(), rel=lost)
    assert volume(labels, fractions) > volume(labels) - 1e-3  # float32


def test_a_wall_between_organs_is_as_smooth_as_any() -> None:
    """Two labels share a tilted plane within a ball; their wall is found as well as if it stood alone."""
    geometry = grid((48, 48, 48), (1.0, 1.0, 1.0))
    centres = geometry.to_world(np.indices(geometry.shape).reshape(3, -1).T)
    normal = np.array([0.9, 0.3, 0.31]) / np.linalg.norm([0.9, 0.3, 0.31])
    labels = digitised(Ball((0.0, 0.0, 0.0), 19.0), geometry)
    labels[(centres @ normal > 0.2).reshape(geometry.shape) & (labels == 1)] = 2
    crossings, fractions = found(labels, geometry.affine)
    flat = labels.reshape(-1, order="F")
    strides = (1, 48, 48 * 48)
    wall = np.concatenate(
        [(flat[s] > 0) & (flat[s + up] > 0) for s, up in zip(crossings.starts, strides, strict=True)]
    )
    points = geometry.to_world(places(crossings, fractions)[wall])
    distance = np.abs(points @ normal - 0.2)
    assert distance.mean() <= 0.08
    assert distance.max() <= 0.5

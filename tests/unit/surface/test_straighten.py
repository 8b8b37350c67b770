from __future__ import annotations

from itertools import permutations, product

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.unit.surface.test_contours import grid_of, nothing_held
from tomosurf.data.geometry import Geometry
from tomosurf.surface.columns import Grid
from tomosurf.surface.contours import contours_of
from tomosurf.surface.straighten import straighten
from tomosurf.testing.grids import centred
from tomosurf.testing.phantoms import Ball, Box, Placed, Shape, Torus, rotation_about

Spacing = tuple[float, float, float]


def axes_of(grid: Grid) -> NDArray[np.int64]:
    number = np.arange(len(grid.starts))
    return (number >= grid.rows[1, 0]).astype(int) + (number >= grid.rows[2, 0])


def points_of(grid: Grid, fractions: NDArray[np.float32]) -> NDArray[np.float64]:
    """Index coordinates of all crossings."""
    shape = tuple(grid.shape.tolist())
    points = np.stack(np.unravel_index(grid.starts, shape, order="F"), axis=1).astype(np.float64)
    points[np.arange(len(points)), axes_of(grid)] += fractions
    return points


def half_way(grid: Grid) -> NDArray[np.float32]:
    return np.full(len(grid.starts), 0.5, np.float32)


def straightened(labels: NDArray[np.integer], spacing: Spacing) -> tuple[Grid, NDArray[np.float32]]:
    """From half way between the voxels."""
    grid = grid_of(labels)
    return grid, straighten(grid, contours_of(grid, nothing_held(grid)), half_way(grid), spacing)


@pytest.mark.parametrize("normal", [(1.0, 0.3, 0.2), (0.1, 0.05, 1.0), (0.4, -0.8, 0.6)])
def test_what_is_straight_stays(normal: tuple[float, float, float]) -> None:
    spacing = np.array([0.8, 1.1, 2.0])
    direction = np.array(normal)
    value = np.moveaxis(np.indices((18, 17, 16)), 0, -1) * spacing @ direction
    value -= np.median(value) + 0.013
    grid = grid_of(np.asfortranarray((value < 0).astype(np.uint8)))
    strides = np.array([1, 18, 18 * 17])[axes_of(grid)]
    flat = value.reshape(-1, order="F")
    lower, upper = flat[grid.starts], flat[grid.starts + strides]
    exact = np.clip(lower / (lower - upper), 0.001, 0.999).astype(np.float32)
    sizes: Spacing = (0.8, 1.1, 2.0)
    again = straighten(grid, contours_of(grid, nothing_held(grid)), exact, sizes)
    assert np.abs(again - exact).max() < 2e-3  # the clearance bends it by as much


SHAPES: dict[str, Shape] = {
    "ball": Ball((0.3, 0.2, 0.1), 12.0),
    "torus": Placed(
        Torus((0.0, 0.0, 0.0), 12.0, 4.5), rotation_about((1.0, 0.4, 0.2), 30.0), (0.2, 0.1, 0.4)
    ),
    "box": Placed(
        Box((0.0, 0.0, 0.0), (18.0, 15.0, 12.0)), rotation_about((0.2, 0.4, 1.0), 25.0), (0.1, 0.3, 0.2)
    ),
}


def on_lattice(shape: Shape, spacing: Spacing) -> tuple[Geometry, NDArray[np.uint8]]:
    i, j, k = (2 * int(20 / s) for s in spacing)
    geometry = centred((i, j, k), np.diag(spacing))
    centres = geometry.to_world(np.indices(geometry.shape).reshape(3, -1).T)
    return geometry, np.asfortranarray(shape.contains(centres).reshape(geometry.shape).astype(np.uint8))


@pytest.mark.parametrize(
    ("spacing", "most"), [((0.8, 0.8, 0.8), 0.7), ((0.7, 0.7, 1.0), 0.7), ((0.8, 0.8, 3.0), 0.95)]
)
@pytest.mark.parametrize("name", SHAPES)
def test_stairs_come_nearer_to_the_truth(name: str, spacing: Spacing, most: float) -> None:
    geometry, labels = on_lattice(SHAPES[name], spacing)
    grid, fractions = straightened(labels, spacing)
    before, after = (
        np.abs(SHAPES[name].signed_distance(geometry.to_world(points_of(grid, f)))).mean()
        for f in (half_way(grid), fractions)
    )
    assert after < most * before


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 4), st.floats(0.1, 0.9), st.sampled_from([0.3, 1.0, 6.0]))
def test_no_crossing_leaves_its_edge(seed: int, labels: int, share: float, thick: float) -> None:
    random = np.random.default_rng(seed)
    inner = random.integers(1, labels, (9, 8, 7)) * (random.random((9, 8, 7)) < share)
    grid = grid_of(np.asfortranarray(np.pad(inner.astype(np.uint8), 1)))
    start = random.uniform(0.001, 0.999, len(grid.starts)).astype(np.float32)
    fractions = straighten(grid, contours_of(grid, nothing_held(grid)), start, (0.8, 0.9, thick))
    assert fractions.dtype == np.float32
    assert (fractions >= np.float32(0.001)).all() and (fractions <= np.float32(0.999)).all()


def test_crossings_on_no_contour_stay() -> None:
    grid = grid_of(on_lattice(SHAPES["ball"], (0.8, 0.8, 0.8))[1])
    links = contours_of(grid, np.ones(len(grid.starts), np.bool_))
    start = np.random.default_rng(0).uniform(0.1, 0.9, len(links)).astype(np.float32)
    assert straighten(grid, links, start, (0.8, 0.8, 0.8)).tobytes() == start.tobytes()


def test_the_bytes_do_not_depend_on_the_number_of_threads() -> None:
    labels = on_lattice(SHAPES["torus"], (0.7, 0.7, 1.0))[1]
    threads = numba.get_num_threads()
    found = []
    try:
        for count in (1, threads):
            numba.set_num_threads(count)
            found.append(straightened(labels, (0.7, 0.7, 1.0))[1].tobytes())
    finally:
        numba.set_num_threads(threads)
    assert found[0] == found[1]


def test_turning_the_lattice_turns_the_surface() -> None:
    random = np.random.default_rng(0)
    geometry = Geometry((24, 22, 20), np.diag([1.0, 1.0, 1.0, 1.0]))
    centres = geometry.to_world(np.indices(geometry.shape).reshape(3, -1).T)
    labels = Ball((12.2, 10.7, 9.1), 7.3).contains(centres).reshape(geometry.shape).astype(np.uint8)
    labels[:12][labels[:12] == 1] = 2
    labels[1:-1, 1:-1, 1:-1][random.random((22, 20, 18)) < 0.02] = 3
    spacing = (0.8, 1.1, 2.3)
    expected = by_edge(*straightened(np.asfortranarray(labels), spacing))
    for order, flips in list(product(permutations(range(3)), product((1, -1), repeat=3)))[::5]:
        turned = np.asfortranarray(labels.transpose(order)[tuple(slice(None, None, f) for f in flips)])
        found = straightened(turned, tuple(spacing[a] for a in order))
        assert np.allclose(by_edge(*found, order, flips), expected, atol=2e-4)


def by_edge(
    grid: Grid,
    fractions: NDArray[np.float32],
    order: tuple[int, ...] = (0, 1, 2),
    flips: tuple[int, ...] = (1, 1, 1),
) -> NDArray[np.float64]:
    """All crossings' points on the lattice before it was turned, sorted by the middles of their edges."""
    both = np.stack([points_of(grid, half_way(grid)), points_of(grid, fractions)])
    back = np.empty_like(both)
    for axis, flip in enumerate(flips):
        back[..., order[axis]] = both[..., axis] if flip > 0 else grid.shape[axis] - 1 - both[..., axis]
    return back[1][np.lexsort(back[0].T)]

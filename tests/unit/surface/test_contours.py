from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tomosurf.surface.columns import Grid
from tomosurf.surface.contours import contours_of
from tomosurf.surface.crossings import find_crossings


def grid_of(labels: NDArray[np.integer]) -> Grid:
    crossings = find_crossings(labels)
    flat = labels.reshape(-1, order="F")
    return Grid(flat, np.array(crossings.shape), crossings.places, crossings.rows)


def noise(seed: int, count: int) -> NDArray[np.uint8]:
    """As many labels, background among them, and background around."""
    inner = np.random.default_rng(seed).integers(0, count, (11, 10, 9)).astype(np.uint8)
    return np.asfortranarray(np.pad(inner, 1))


def nothing_held(grid: Grid) -> NDArray[np.bool_]:
    return np.zeros(len(grid.starts), np.bool_)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_who_is_ones_next_has_one_before_it(count: int) -> None:
    grid = grid_of(noise(0, count))
    links = contours_of(grid, nothing_held(grid))
    for c, way in np.argwhere(links >= 0):
        onward = links[c, way]
        assert links[onward // 4, onward % 4 ^ 1] == 4 * c + (way ^ 1)


def test_two_labels_have_no_end() -> None:
    grid = grid_of(noise(1, 2))
    assert (contours_of(grid, nothing_held(grid)) >= 0).all()


def test_background_goes_straight_on_over_two_structures() -> None:
    labels = np.zeros((6, 4, 3), np.uint8, order="F")
    labels[:3, :2], labels[3:, :2] = 1, 2
    grid = grid_of(labels)
    links = contours_of(grid, nothing_held(grid))
    second, third = grid.rows[1, 0], grid.rows[2, 0]
    over = np.arange(second, third)  # along j, above both
    inner = grid.starts[over] % 6 == 2
    assert (links[over[inner], 1] == 4 * (over[inner] + 1) + 1).all()
    between = np.arange(second)  # along i, parting 1 from 2: on the row that meets background above, it ends
    assert (links[between[grid.starts[between] // 6 % 4 == 1], 1] == -1).all()
    assert (links[between[grid.starts[between] // 6 % 4 == 0], 1] >= 0).all()


def test_held_crossings_end_contours() -> None:
    grid = grid_of(noise(2, 2))
    held = np.random.default_rng(0).random(len(grid.starts)) < 0.2
    links = contours_of(grid, held)
    assert (links[held] == -1).all()
    assert not held[links[links >= 0] // 4].any()
    free = contours_of(grid, nothing_held(grid))
    assert ((links == free) | held[free // 4] | held[:, None]).all()

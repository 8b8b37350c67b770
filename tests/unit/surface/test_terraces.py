from __future__ import annotations

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tomosurf.surface.columns import Columns, columns_of
from tomosurf.surface.crossings import find_crossings
from tomosurf.surface.terraces import span_terraces

SPACING = (0.8, 0.8, 1.0)
SHAPE = (60, 56, 30)
Values = NDArray[np.float32]


def wall(heights: NDArray[np.float64]) -> tuple[Columns, Values, Values]:
    """Columns along k below ``heights`` ((60, 56), indices), middles of their crossings, and the heights there."""
    labels = np.asfortranarray((np.arange(SHAPE[2]) < heights[..., None]).astype(np.uint8))
    columns = columns_of(labels, find_crossings(labels), 2, SPACING)
    i, j, k = np.unravel_index(columns.starts, SHAPE, order="F")
    return columns, (k + 0.5).astype(np.float32), heights[i, j].astype(np.float32)


def plane(slope: tuple[float, float], at: float = 14.2) -> NDArray[np.float64]:
    i, j = np.indices(SHAPE[:2])
    return at + slope[0] * (i - 29.5) + slope[1] * (j - 27.5)


@pytest.mark.parametrize("slope", [(0.0, 0.0), (0.03, 0.02), (0.05, -0.01), (0.1, 0.08)])
def test_a_plane_stays(slope: tuple[float, float]) -> None:
    columns, middles, heights = wall(plane(slope))
    assert (
        np.abs(span_terraces(columns, middles, heights, SPACING) - heights).max() < 4e-3
    )  # the clearance bends it


@pytest.mark.parametrize("slope", [(0.05, 0.0), (0.06, 0.03), (0.04, -0.05)])
def test_terraces_become_the_plane_through_their_steps(slope: tuple[float, float]) -> None:
    columns, middles, heights = wall(plane(slope))
    before, after = (
        np.abs(found - heights) for found in (middles, span_terraces(columns, middles, middles, SPACING))
    )
    assert before.mean() == pytest.approx(0.25, abs=0.02)
    assert after.mean() < 0.4 * before.mean()


def test_a_steep_wall_has_no_terraces() -> None:
    columns, middles, _ = wall(plane((0.3, 0.28)))
    assert span_terraces(columns, middles, middles, SPACING).tobytes() == middles.tobytes()


def test_a_sphere_s_top_stays_round() -> None:
    """Of 60 voxels' radius: nearly flat, but not quite."""
    i, j = np.indices(SHAPE[:2])
    square = (i - 29.5) ** 2 + (j - 27.5) ** 2
    columns, middles, heights = wall(14.2 - 60 + np.sqrt(60.0**2 - square))
    inner = (square < 15**2)[tuple(np.unravel_index(columns.starts, SHAPE, order="F"))[:2]]
    moved = np.abs(span_terraces(columns, middles, heights, SPACING) - heights)[inner]
    assert moved.mean() < 0.1 and moved.max() < 0.3


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.0, 1.5))
def test_no_height_that_moves_leaves_its_half_voxel(seed: int, rough: float) -> None:
    random = np.random.default_rng(seed)
    columns, middles, _ = wall(plane((0.03, 0.02)) + random.normal(0, rough, SHAPE[:2]))
    start = (middles + random.uniform(-0.499, 0.499, len(middles))).astype(np.float32)
    spanned = span_terraces(columns, middles, start, SPACING)
    assert spanned.dtype == np.float32
    assert np.abs(spanned - middles).max() <= 0.4995


def test_the_bytes_do_not_depend_on_the_number_of_threads() -> None:
    columns, middles, _ = wall(plane((0.06, 0.03)))
    threads = numba.get_num_threads()
    found = []
    try:
        for count in (1, threads):
            numba.set_num_threads(count)
            found.append(span_terraces(columns, middles, middles, SPACING).tobytes())
    finally:
        numba.set_num_threads(threads)
    assert found[0] == found[1]

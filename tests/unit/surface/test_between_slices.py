"""Margins between thick slices: monotone cubics."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from tomosurf.data.geometry import Geometry
from tomosurf.surface.between_slices import NONE, sampled, slice_order, thick_axis

PARTS = np.linspace(0.0, 1.0, 9)
FIELDS = arrays(
    np.float32,
    st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 9)),
    elements=st.floats(-3e4, 3e4, width=32) | st.sampled_from([0.0, 1e-30, -1e-30, 1e30, -1e30]),
)


def along(values: NDArray[np.float32], i: int, j: int) -> NDArray[np.float64]:
    """The values in one column, eighths of a step apart."""
    heights = np.arange(8 * (values.shape[2] - 1) + 1) / 8
    points = np.stack([np.full_like(heights, i), np.full_like(heights, j), heights], axis=1)
    return sampled(values, 2, points)[:, 0]


@given(FIELDS)
@settings(max_examples=200, deadline=None)
def test_slices_keep_their_values_and_nothing_between_them_goes_beyond_either(
    values: NDArray[np.float32],
) -> None:
    found = along(values, 0, 0)
    assert (found[::8] == values[0, 0].astype(np.float64)).all()
    whole = np.diff(values[0, 0].astype(np.float64))
    steps = np.diff(found).reshape(-1, 8)
    assert (steps * np.sign(whole)[:, None] >= -1e-9 * np.abs(whole)[:, None]).all()


@given(FIELDS)
@settings(max_examples=200, deadline=None)
def test_what_is_between_negatives_is_the_negative_to_the_bit(values: NDArray[np.float32]) -> None:
    ends = np.array(values.shape) - 1
    points = np.random.default_rng(5).random((20, 3)) * ends
    assert (sampled(-values, 2, points) == -sampled(values, 2, points)).all()


def test_axes_are_alike_and_a_slices_own_plane_is_bilinear() -> None:
    random = np.random.default_rng(3)
    values = random.normal(size=(7, 6, 5)).astype(np.float32)
    points = random.random((50, 3)) * [6, 5, 4]
    for axis in range(3):
        order = slice_order(axis)
        turned = sampled(values.transpose(order), 0, points[:, order])
        assert (turned[:, 0] == sampled(values, axis, points)[:, 0]).all()
        assert (turned[:, 1:] == sampled(values, axis, points)[:, 1:][:, order]).all()
    found = sampled(values, 2, np.array([[2.25, 3.5, 4.0]]))[0, 0]
    near = values[2:4, 3:5, 4].astype(np.float64)
    assert found == pytest.approx([0.75, 0.25] @ near @ [0.5, 0.5])


def test_a_cubic_that_rises_is_met_exactly_with_its_slope() -> None:
    z = np.arange(12.0)
    values = np.broadcast_to((0.02 * (z - 5.3) ** 3 + z - 5.3).astype(np.float32), (2, 2, 12))
    heights = np.linspace(2.0, 9.0, 57)
    points = np.stack([np.full_like(heights, 0.3), np.full_like(heights, 0.6), heights], axis=1)
    found = sampled(values, 2, points)
    assert np.abs(found[:, 0] - (0.02 * (heights - 5.3) ** 3 + heights - 5.3)).max() < 3e-6
    assert np.abs(found[:, 3] - (0.06 * (heights - 5.3) ** 2 + 1)).max() < 2e-5
    assert np.abs(found[:, 1:3]).max() < 1e-6


def test_changes_are_the_derivatives() -> None:
    random = np.random.default_rng(8)
    values = random.normal(size=(5, 6, 8)).astype(np.float32)
    points = np.floor(random.random((40, 3)) * [3, 4, 6]) + random.uniform(0.1, 0.9, (40, 3))
    found = sampled(values, 2, points)
    for axis in range(3):
        step = np.zeros(3)
        step[axis] = 1e-6
        differ = sampled(values, 2, points + step)[:, 0] - sampled(values, 2, points - step)[:, 0]
        assert found[:, 1 + axis] == pytest.approx(differ / 2e-6, abs=1e-6)


def test_nothing_is_known_beyond_the_outermost_voxels() -> None:
    values = np.zeros((3, 3, 3), np.float32)
    beyond = np.array([[-0.01, 1, 1], [1, 2.01, 1], [1, 1, -0.01], [np.nan, 1, 1]])
    assert np.isnan(sampled(values, 2, beyond)).all()
    assert (sampled(values, 2, np.array([[0.0, 0, 0], [2, 2, 2]])) == 0).all()


def test_an_axis_is_thick_when_both_others_are_finer_by_half() -> None:
    assert thick_axis(Geometry((3, 3, 3), np.diag([1.0, 1.0, 1.5, 1.0]))) == 2
    assert thick_axis(Geometry((3, 3, 3), np.diag([4.0, 1.0, 1.5, 1.0]))) == 0
    assert thick_axis(Geometry((3, 3, 3), np.diag([1.0, 1.0, 1.4, 1.0]))) == NONE
    assert thick_axis(Geometry((3, 3, 3), np.diag([0.5, 2.0, 2.0, 1.0]))) == NONE

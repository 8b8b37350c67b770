"""Interpolated slices against closed forms, and against SciPy's own monotone cubic."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.interpolate import PchipInterpolator

from tomosurf.volume.repair import resample

PLACES = np.array([0, 1, 2.25, 3, 5, 6, 7.5, 9])
MADE = [2, 4, 7, 8]
Y, X = np.mgrid[0:5, 0:6]


def stack(function, places=PLACES, dtype=np.float32):
    """(n, 5, 6) values of ``function(k, y, x)`` at ``places``."""
    return np.stack([function(k, Y, X) for k in places]).astype(dtype)


def test_ramps_are_exact_and_acquired_slices_are_copied():
    def ramp(k, y, x):
        return 3.0 * k - 2.0 * y + 0.5 * x + k * x

    values, mask = resample(stack(ramp), None, PLACES)
    assert mask is None
    assert values.dtype == np.float32
    assert np.allclose(values, stack(ramp, np.arange(10)), rtol=1e-6, atol=1e-5)
    noise = np.random.default_rng(5).normal(size=(8, 5, 6)).astype(np.float32)
    values, _ = resample(noise, None, PLACES)
    for n, k in ((0, 0), (1, 1), (3, 3), (4, 5), (5, 6), (7, 9)):
        assert values[k].tobytes() == noise[n].tobytes()


def test_a_ramp_of_whole_numbers_stays_whole_and_exact():
    places = np.array([0, 1, 2, 4, 5, 8, 9, 10])
    acquired = stack(lambda k, y, x: 4 * k * (1 + x) - 1000 + y, places, np.int16)
    values, _ = resample(acquired, None, places)
    assert values.dtype == np.int16
    assert np.array_equal(values, stack(lambda k, y, x: 4 * k * (1 + x) - 1000 + y, range(11), np.int16))


def test_halves_are_rounded():
    acquired = np.array([0, 2, 5, 8], np.int16)[:, None, None]
    values, _ = resample(acquired, None, np.array([0, 2, 3, 4]))
    assert values[1, 0, 0] == np.rint(PchipInterpolator([0, 2, 3, 4], [0, 2, 5, 8])(1)) == 1


def test_a_smooth_function_within_its_error():
    places = np.array([0, 1, 2, 3, 5, 6, 7, 8])
    values, _ = resample(stack(lambda k, y, x: np.sin(0.2 * k + 0.1 * x), places), None, places)
    truth = stack(lambda k, y, x: np.sin(0.2 * k + 0.1 * x), range(9))
    linear = (truth[3] + truth[5]) / 2
    assert np.abs(values[4] - truth[4]).max() < 2e-3
    assert np.abs(values[4] - truth[4]).max() < 0.1 * np.abs(linear - truth[4]).max()


def test_away_from_the_ends_it_is_the_monotone_cubic():
    rng = np.random.default_rng(8)
    acquired = rng.normal(size=(8, 4, 4))
    values, _ = resample(acquired, None, PLACES)
    reference = PchipInterpolator(PLACES, acquired)(np.arange(10))
    assert np.allclose(values[[2, 4]], reference[[2, 4]], atol=1e-12)


values_of_a_column = hnp.arrays(np.float64, 8, elements=st.floats(-3000, 3000, width=32))


@given(values_of_a_column)
def test_nothing_leaves_the_range_of_its_two_neighbours(column):
    values, _ = resample(column[:, None, None], None, PLACES)
    for k in MADE:
        n = int(np.searchsorted(PLACES, k)) - 1
        assert min(column[n : n + 2]) <= values[k, 0, 0] <= max(column[n : n + 2])


@given(values_of_a_column, st.booleans())
def test_what_rises_keeps_rising(column, falling):
    column = np.sort(column)[:: -1 if falling else 1]
    places = np.array([0, 1, 2.25, 6, 7, 8, 12, 13])
    steps = np.diff(resample(column[:, None, None], None, places)[0][:, 0, 0])
    assert ((steps <= 1e-9) if falling else (steps >= -1e-9)).all()


@given(values_of_a_column)
def test_the_stack_upside_down_gives_the_same_upside_down(column):
    values, _ = resample(column[:, None, None], None, PLACES)
    turned, _ = resample(column[::-1, None, None], None, 9 - PLACES[::-1])
    assert np.allclose(values[::-1], turned, rtol=1e-12, atol=1e-9)


def test_padding_on_either_side_is_padding_between_and_spoils_nothing_farther_off():
    places = np.array([0, 1, 2, 4, 5, 6])
    acquired = stack(lambda k, y, x: 10 * k + x, places, np.int16)
    padding = np.zeros(acquired.shape, bool)
    padding[2, 0, 0] = padding[3, 1, 1] = padding[4, 2, 2] = padding[1, 3, 3] = True
    acquired[padding] = -2000
    values, mask = resample(acquired, padding, places)
    assert mask is not None
    assert np.argwhere(mask[3]).tolist() == [[0, 0], [1, 1]]
    assert (values[3][mask[3]] == -2000).all()
    assert np.array_equal(values[3][~mask[3]], (30 + X)[~mask[3]])
    assert np.array_equal(mask[[0, 1, 2, 4, 5, 6]], padding)


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_extremes_of_the_type_do_not_wrap(dtype):
    places = np.array([0, 1, 3, 4])
    ends = np.array([-32768, -32768, 32767, 32767], dtype)[:, None, None]
    values, _ = resample(ends, None, places)
    assert values[:, 0, 0].tolist()[:2] == [-32768, -32768]
    assert abs(float(values[2, 0, 0])) <= 1

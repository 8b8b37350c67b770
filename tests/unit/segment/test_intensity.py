"""Normalisation by numbers that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tests.two_balls import grid, image
from tomosurf.data.geometry import Geometry
from tomosurf.data.volume import Volume
from tomosurf.errors import DataError
from tomosurf.segment.intensity import normalised
from tomosurf.segment.model_grid import model_grid
from tomosurf.segment.network import prepare
from tomosurf.segment.spec import FixedRange, InputSpec, PercentileRange, ZScore

RAMP = np.arange(101, dtype=np.int16).reshape(101, 1, 1)


def test_zscore() -> None:
    values = normalised(RAMP, ZScore(kind="zscore"))
    assert values.dtype == np.float32
    deviation = np.sqrt((101**2 - 1) / 12)
    np.testing.assert_allclose(values[:, 0, 0], (np.arange(101) - 50) / deviation, rtol=1e-6)


def test_zscore_of_what_is_not_zero_and_of_clipped_values() -> None:
    values = normalised(np.array([0, 0, 0, 2, 4, 6.0]), ZScore(kind="zscore", over="nonzero"))
    np.testing.assert_allclose(values, (np.array([0, 0, 0, 2, 4, 6]) - 4) / np.sqrt(8 / 3), rtol=1e-6)
    spike = np.append(np.arange(101.0), 1e6)
    clipped = normalised(spike, ZScore(kind="zscore", clip_percentiles=(0, 99)))
    assert clipped.max() < 2


def test_percentiles_and_ranges() -> None:
    values = normalised(RAMP, PercentileRange(kind="percentiles", lower=10, upper=90))[:, 0, 0]
    assert (values[10], values[50], values[90], values[0], values[100]) == (0, 0.5, 1, 0, 1)
    loose = normalised(RAMP, PercentileRange(kind="percentiles", lower=10, upper=90, clip=False))
    assert float(loose[100, 0, 0]) == pytest.approx(1.125)
    fixed = normalised(RAMP, FixedRange(kind="range", lower=-100, upper=100))[:, 0, 0]
    assert (fixed[0], fixed[100]) == (0.5, 1)


def test_what_was_not_measured_counts_for_nothing() -> None:
    measured = np.ones(RAMP.shape, bool)
    measured[60:] = False
    values = normalised(np.where(measured, RAMP, 30000), ZScore(kind="zscore"), measured)
    np.testing.assert_allclose(values[:60], normalised(RAMP[:60], ZScore(kind="zscore")), rtol=1e-6)
    assert not values[60:].any()


@pytest.mark.parametrize(
    "intensity",
    [
        ZScore(kind="zscore"),
        ZScore(kind="zscore", over="nonzero"),
        PercentileRange(kind="percentiles", lower=1, upper=99),
    ],
)
def test_an_image_without_contrast_is_refused(intensity: ZScore | PercentileRange) -> None:
    with pytest.raises(DataError, match="no contrast"):
        normalised(np.zeros((4, 4, 4)), intensity)
    with pytest.raises(DataError, match="can't be normalised"):
        normalised(np.zeros((4, 4, 4)), intensity, np.zeros((4, 4, 4), bool))


def test_the_network_sees_zero_beyond_a_leaning_stack() -> None:
    """The grid that covers a sheared stack has corners outside it; nothing is invented there."""
    affine = grid().affine.copy()
    affine[1, 2] = 1.2
    volume = image(Geometry((28, 26, 24), affine))
    volume = Volume(volume.geometry, volume.array + 500, "MR")
    wanted = InputSpec(
        orientation="RAS",
        spacing_mm=(1.5, 1.75, 2.0),
        intensity=FixedRange(kind="range", lower=0, upper=1000),
    )
    seen, inside = prepare(volume, wanted, model_grid(volume.geometry, wanted))
    assert inside is not None
    assert 0.2 < (~inside).mean() < 0.8
    assert not seen[~inside].any()
    assert seen[inside].min() > 0.3
    assert inside.sum() * 1.5 * 1.75 * 2.0 == pytest.approx(np.prod(volume.geometry.extent), rel=0.15)

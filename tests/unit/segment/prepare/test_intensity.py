"""Normalisation by numbers that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tests.two_balls import grid, image
from tomosurf.data.geometry import Geometry
from tomosurf.data.volume import Volume
from tomosurf.errors import DataError
from tomosurf.segment.model.spec import InputSpec
from tomosurf.segment.model.steps import (
    FixedRange,
    Intensity,
    Orient,
    PercentileRange,
    Resample,
    Standardise,
    ZScore,
)
from tomosurf.segment.prepare.intensity import normalise
from tomosurf.segment.prepare.prepare import prepare

RAMP = np.arange(101, dtype=np.int16).reshape(101, 1, 1)


def normalised(array: np.ndarray, step: Intensity, measured: np.ndarray | None = None) -> np.ndarray:
    values = array.astype(np.float32)
    normalise(values, step, measured)
    return values


def test_zscore() -> None:
    values = normalised(RAMP, ZScore())
    assert values.dtype == np.float32
    deviation = np.sqrt((101**2 - 1) / 12)
    np.testing.assert_allclose(values[:, 0, 0], (np.arange(101) - 50) / deviation, rtol=1e-6)


def test_zscore_of_what_is_not_zero_and_of_clipped_values() -> None:
    values = normalised(np.array([0, 0, 0, 2, 4, 6.0]), ZScore(over="nonzero"))
    np.testing.assert_allclose(values, np.array([0, 0, 0, -2, 0, 2]) / np.sqrt(8 / 3), rtol=1e-6)
    spike = np.append(np.arange(101.0), 1e6)
    clipped = normalised(spike, ZScore(clip_percentiles=(0, 99)))
    assert clipped.max() < 2


def test_percentiles_and_ranges() -> None:
    values = normalised(RAMP, PercentileRange(lower=10, upper=90))[:, 0, 0]
    assert (values[10], values[50], values[90], values[0], values[100]) == (0, 0.5, 1, 0, 1)
    loose = normalised(RAMP, PercentileRange(lower=10, upper=90, clip=False))
    assert float(loose[100, 0, 0]) == pytest.approx(1.125)
    fixed = normalised(RAMP, FixedRange(lower=-100, upper=100))[:, 0, 0]
    assert (fixed[0], fixed[100]) == (0.5, 1)
    spread = normalised(RAMP, FixedRange(lower=0, upper=50, to=(-1, 1), clip=False))[:, 0, 0]
    assert (spread[0], spread[25], spread[100]) == (-1, 0, 3)


def test_fixed_numbers() -> None:
    values = normalised(RAMP, Standardise(mean=40, deviation=20, lower=20, upper=80))[:, 0, 0]
    assert (values[0], values[40], values[100]) == (-1, 0, 2)


def test_what_was_not_measured_counts_for_nothing() -> None:
    measured = np.ones(RAMP.shape, bool)
    measured[60:] = False
    values = normalised(np.where(measured, RAMP, 30000), ZScore(), measured)
    np.testing.assert_allclose(values[:60], normalised(RAMP[:60], ZScore()), rtol=1e-6)
    assert not values[60:].any()


@pytest.mark.parametrize(
    "intensity",
    [
        ZScore(),
        ZScore(over="nonzero"),
        PercentileRange(lower=1, upper=99),
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
        steps=(FixedRange(lower=0, upper=1000), Orient(axes="RAS"), Resample(spacing_mm=(1.5, 1.75, 2.0)))
    )
    shown = prepare((volume,), wanted)
    seen, inside = shown.image[0], shown.measured
    assert inside is not None
    assert 0.2 < (~inside).mean() < 0.8
    assert not seen[~inside].any()
    assert seen[inside].min() > 0.3
    assert inside.sum() * 1.5 * 1.75 * 2.0 == pytest.approx(np.prod(volume.geometry.extent), rel=0.15)

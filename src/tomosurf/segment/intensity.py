"""Intensities as a network expects them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomosurf.errors import DataError
from tomosurf.segment.spec import FixedRange, PercentileRange, ZScore


def normalised(
    array: NDArray[Any],
    intensity: ZScore | PercentileRange | FixedRange,
    measured: NDArray[np.bool_] | None = None,
) -> NDArray[np.float32]:
    """``array`` as float32 in the network's unit; where nothing was ``measured`` it is 0.

    Statistics are those of the measured voxels of this one image. Memory: twice the float32 image.

    Raises:
        DataError: a voxel isn't finite, or the image has no contrast.
    """
    values = array.astype(np.float32)
    sample = values.ravel(order="K") if measured is None else values[measured]
    if not np.isfinite(sample).all():
        raise DataError("the image holds voxels that aren't finite numbers; it can't be normalised")
    match intensity:
        case ZScore():
            _zscore(values, sample, intensity)
        case PercentileRange(lower=lower, upper=upper, clip=clip):
            low, high = _percentiles(sample, lower, upper)
            _scale(values, low, high, clip)
        case FixedRange(lower=lower, upper=upper):
            _scale(values, lower, upper, clip=True)
    if measured is not None:
        values[~measured] = 0
    return values


def _zscore(values: NDArray[np.float32], sample: NDArray[np.float32], intensity: ZScore) -> None:
    if intensity.over == "nonzero":
        sample = sample[sample != 0]
    if intensity.clip_percentiles:
        low, high = _percentiles(sample, *intensity.clip_percentiles)
        np.clip(values, low, high, out=values)
        sample = np.clip(sample, low, high)
    deviation = float(sample.std(dtype=np.float64)) if sample.size else 0.0
    if deviation <= 0:
        raise DataError("the image has no contrast; it can't be normalised")
    values -= np.float32(sample.mean(dtype=np.float64))
    values /= np.float32(deviation)


def _percentiles(sample: NDArray[np.float32], lower: float, upper: float) -> tuple[float, float]:
    if not sample.size:
        raise DataError("the image has no measured voxel; it can't be normalised")
    low, high = np.percentile(sample, [lower, upper])
    if not low < high:
        raise DataError("the image has no contrast; it can't be normalised")
    return float(low), float(high)


def _scale(values: NDArray[np.float32], low: float, high: float, clip: bool) -> None:
    values -= np.float32(low)
    values /= np.float32(high - low)
    if clip:
        np.clip(values, 0, 1, out=values)

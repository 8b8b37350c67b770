"""Intensities as a network expects them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomosurf.errors import DataError
from tomosurf.segment.model.steps import FixedRange, Intensity, PercentileRange, Standardise, ZScore


def normalise(
    values: NDArray[np.float32], step: Intensity, measured: NDArray[np.bool_] | None = None
) -> None:
    """Change one channel of an image, float32 in place, by one step; where nothing was ``measured`` it is 0.

    Statistics are those of the measured voxels of this one image. Memory: the image once more at most.

    Raises:
        DataError: a voxel isn't finite, or the image has no contrast.
    """
    sample: NDArray[Any] = values.ravel(order="K") if measured is None else values[measured]
    if not np.isfinite(sample).all():
        raise DataError("the image holds voxels that aren't finite numbers; it can't be normalised")
    match step:
        case ZScore():
            _zscore(values, sample, step)
        case Standardise():
            if step.lower is not None or step.upper is not None:
                np.clip(values, step.lower, step.upper, out=values)
            values -= np.float32(step.mean)
            values /= np.float32(step.deviation)
        case PercentileRange():
            low, high = _percentiles(sample, step.lower, step.upper)
            _scale(values, (low, high), step.to, step.clip)
        case FixedRange():
            _scale(values, (step.lower, step.upper), step.to, step.clip)
    if measured is not None:
        values[~measured] = 0


def _zscore(values: NDArray[np.float32], sample: NDArray[np.float32], step: ZScore) -> None:
    chosen = None
    if step.over == "nonzero":
        chosen = values != 0
        sample = sample[sample != 0]
    if step.clip_percentiles:
        low, high = _percentiles(sample, *step.clip_percentiles)
        np.clip(values, low, high, out=values)
        sample = np.clip(sample, low, high)
    deviation = float(sample.std(dtype=np.float64)) if sample.size else 0.0
    if deviation <= 0:
        raise DataError("the image has no contrast; it can't be normalised")
    values -= np.float32(sample.mean(dtype=np.float64))
    values /= np.float32(deviation)
    if chosen is not None:
        values[~chosen] = 0


def _percentiles(sample: NDArray[np.float32], lower: float, upper: float) -> tuple[float, float]:
    if not sample.size:
        raise DataError("the image has no measured voxel; it can't be normalised")
    low, high = np.percentile(sample, [lower, upper])
    if not low < high:
        raise DataError("the image has no contrast; it can't be normalised")
    return float(low), float(high)


def _scale(
    values: NDArray[np.float32], given: tuple[float, float], to: tuple[float, float], clip: bool
) -> None:
    values -= np.float32(given[0])
    values /= np.float32(given[1] - given[0])
    if to != (0.0, 1.0):
        values *= np.float32(to[1] - to[0])
        values += np.float32(to[0])
    if clip:
        np.clip(values, min(to), max(to), out=values)

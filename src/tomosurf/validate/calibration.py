"""Whether a model is wrong as often as it says: its doubt held against the reference, voxel by voxel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomosurf.components import bounding_box
from tomosurf.data.geometry import Geometry
from tomosurf.data.segmentation import Doubt

BINS = 256
"""Of equal width over probabilities from 0 to 1: what is kept of a case."""

POINTS = 15
"""Of the curve: bins put together to about equally many voxels each."""

SURE_BELOW = 0.1
"""Doubt below which the model counts as sure."""

BAND_MM = 2.0
"""Voxels whose centre lies this close to that of a voxel with another reference label count."""

Bins = list[list[float]]
"""For each bin: voxels, the sum of their doubt, how many of them are wrong."""


def calibration_bins(
    predicted: NDArray[Any], reference: NDArray[Any], geometry: Geometry, doubt: Doubt
) -> Bins:
    """The voxels of the band, counted by their doubt.

    The band is that of :mod:`tomosurf.segment.outputs.calibrate`: voxels within ``BAND_MM`` of one with another
    label in the reference; far from there every model is right. A voxel's doubt is that of the node nearest to it,
    and 0 outside the doubt's box.

    Args:
        predicted: labels, (ni, nj, nk), as the model gave them.
        reference: labels with the same numbers.
        geometry: the grid of both.
        doubt: of the prediction.
    """
    box = bounding_box(reference > 0, int(BAND_MM / min(geometry.spacing)) + 2)
    predicted, reference = predicted[box], reference[box]
    if not predicted.size:
        return [[0.0, 0.0, 0.0] for _ in range(BINS)]
    start = np.array([part.start for part in box])
    index = np.argwhere(_band(reference, geometry.spacing))
    chance = _at(doubt, geometry.to_world(index + start))
    wrong = (predicted != reference)[tuple(index.T)]
    place = np.minimum((chance * BINS).astype(np.intp), BINS - 1)
    columns = [np.bincount(place, weights, BINS) for weights in (None, chance, wrong.astype(np.float64))]
    bins: Bins = np.column_stack(columns).tolist()
    return bins


def add_up(parts: Iterable[Bins | None]) -> Bins | None:
    """Bins of several cases together; None when no case has any."""
    known = [np.array(part) for part in parts if part is not None]
    return np.sum(known, axis=0).tolist() if known else None


def curve(bins: Bins) -> dict[str, Any]:
    """Points (said, observed, voxels), and the expected calibration error over them.

    Reference: C. Guo et al., On calibration of modern neural networks, ICML 2017, arXiv:1706.04599.
    """
    points = [(said / n, wrong / n, int(n)) for n, said, wrong in _grouped(bins)]
    voxels = sum(n for _, _, n in points)
    error = sum(abs(said - wrong) * n for said, wrong, n in points) / voxels if voxels else 0.0
    return {
        "band_mm": BAND_MM,
        "voxels": voxels,
        "expected_calibration_error": round(error, 5),
        "points": [[round(said, 5), round(wrong, 5), n] for said, wrong, n in points],
    }


def _grouped(bins: Bins) -> list[NDArray[np.float64]]:
    """Neighbouring bins together, a group ending wherever another ``1 / POINTS`` of all voxels is passed."""
    counted = np.array(bins)
    share = counted[:, 0].sum() / POINTS
    if not share:
        return []
    group = np.ceil(np.cumsum(counted[:, 0]) / share - 1e-9)
    parts = [counted[group == number].sum(axis=0) for number in np.unique(group)]
    return [part for part in parts if part[0]]


def sure_share(bins: Bins) -> float:
    """Share of the wrong voxels of which the model was sure; 0 when none is wrong."""
    wrong = [entry[2] for entry in bins]
    return sum(wrong[: int(SURE_BELOW * BINS)]) / sum(wrong) if sum(wrong) else 0.0


def _band(reference: NDArray[Any], spacing: Sequence[float]) -> NDArray[np.bool_]:
    from scipy.ndimage import distance_transform_edt

    band = np.zeros(reference.shape, bool)
    values = np.unique(reference)
    for value in values if len(values) > 1 else ():
        own = reference == value
        band |= own & (distance_transform_edt(own, sampling=spacing) <= BAND_MM)
    return band


def _at(doubt: Doubt, points: NDArray[np.float64]) -> NDArray[np.float64]:
    nearest = np.rint(doubt.geometry.to_index(points)).astype(np.intp)
    there = ((nearest >= 0) & (nearest < doubt.values.shape)).all(axis=1)
    chance = np.zeros(len(points))
    chance[there] = doubt.values[tuple(nearest[there].T)]
    return chance

"""How far a network's probabilities can be trusted: its temperature and its calibration error, from cases.

Only voxels near a boundary of the reference count: everywhere else a network is right without effort, and
would look calibrated.

Reference: C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, On Calibration of Modern Neural Networks, ICML 2017,
arXiv:1706.04599 (temperature scaling, expected calibration error).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tomosurf.errors import DataError
from tomosurf.segment.model.spec import Calibration
from tomosurf.segment.outputs.decision import Decision, leaders_of
from tomosurf.segment.outputs.doubt import probability_wrong

BAND_MM = 2.0
"""Voxels whose centre lies this close to that of a voxel with another reference label count."""

BINS = 15
"""Of confidence, with equally many voxels in each."""

LOWEST, HIGHEST = 0.05, 20.0
"""Temperatures looked at."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Voxels of one case: outputs (channels, n) float32 and the reference's labels (n,) int32."""

    values: torch.Tensor
    labels: torch.Tensor


def sample_near_boundary(
    values: torch.Tensor,
    labels: NDArray[Any],
    spacing: tuple[float, float, float],
    measured: NDArray[np.bool_] | None = None,
) -> Sample:
    """The voxels of a case within ``BAND_MM`` of a boundary of its reference.

    Args:
        values: outputs (channels, x, y, z).
        labels: the reference on the same grid.
        spacing: its voxels' edges in mm; axes at right angles.
        measured: voxels that count, of the same shape; None: all.

    Raises:
        DataError: outputs and reference don't have the same shape.
    """
    if values.shape[1:] != labels.shape:
        raise DataError(f"outputs {tuple(values.shape[1:])} and reference {labels.shape} differ in shape")
    band = _band(labels, spacing)
    if measured is not None:
        band &= measured
    near = torch.from_numpy(np.flatnonzero(band))
    own = torch.from_numpy(labels.astype(np.int32).ravel())[near]
    return Sample(values.cpu().reshape(len(values), -1)[:, near].float(), own)


def fit_temperature(samples: Sequence[Sample], decision: Decision) -> float:
    """The temperature that makes the reference most probable: least mean negative log likelihood.

    Raises:
        DataError: there are no voxels to fit it to.
    """
    from scipy.optimize import minimize_scalar

    if not sum(len(sample.labels) for sample in samples):
        raise DataError("no voxel lies near a boundary of a reference: there is nothing to calibrate with")
    found = minimize_scalar(
        lambda log: _surprise(samples, decision, float(np.exp(log))),
        bounds=(np.log(LOWEST), np.log(HIGHEST)),
        method="bounded",
        options={"xatol": 1e-4},
    )
    return float(np.exp(found.x))


def calibration_error(samples: Sequence[Sample], decision: Decision, temperature: float) -> float:
    """Expected calibration error of "the label is right", 0 to 1, in ``BINS`` bins of equally many voxels.

    The mean over bins of the distance between how often labels are right and how probable they were held.
    """
    confidence, right = _events(samples, decision, temperature)
    order = np.argsort(confidence, kind="stable")
    bins = [part for part in np.array_split(order, BINS) if len(part)]
    gaps = [len(part) * abs(float(right[part].mean() - confidence[part].mean())) for part in bins]
    return float(np.sum(gaps)) / max(len(order), 1)


def calibrate(samples: Sequence[Sample], decision: Decision) -> Calibration:
    """Temperature from all cases; the error from either half of them, with the other half's temperature.

    Raises:
        DataError: fewer than two cases, or nothing near a boundary in a half of them.
    """
    if len(samples) < 2:
        raise DataError("calibration needs two cases at least: one half is held against the other")
    halves = samples[::2], samples[1::2]
    errors = [
        calibration_error(other, decision, fit_temperature(own, decision))
        for own, other in (halves, halves[::-1])
    ]
    temperature = fit_temperature(samples, decision)
    return Calibration(
        temperature=round(temperature, 4), error=round(float(np.mean(errors)), 4), cases=len(samples)
    )


def _surprise(samples: Iterable[Sample], decision: Decision, temperature: float) -> float:
    """Mean negative logarithm of the probability of the reference's label."""
    total, count = 0.0, 0
    names = torch.tensor(decision.labels, dtype=torch.int32)
    for sample in samples:
        logs = decision.log_probabilities(sample.values / temperature)
        other = names[:, None] != _known(sample.labels, decision)[None]
        own = logs.masked_fill_(other, -torch.inf).logsumexp(dim=0)
        total -= float(own.double().sum())
        count += len(sample.labels)
    return total / count


def _events(
    samples: Iterable[Sample], decision: Decision, temperature: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For every voxel: how probable its label was held, and 1 where it is right."""
    names = torch.tensor(decision.labels, dtype=torch.int32)
    confidence, right = [], []
    for sample in samples:
        winner = leaders_of(sample.values[..., None, None], decision).winner.flatten()
        wrong = probability_wrong(sample.values, winner, decision, torch.tensor(temperature))
        confidence.append(1 - wrong.double().numpy())
        right.append((names[winner.int()] == _known(sample.labels, decision)).double().numpy())
    return np.concatenate(confidence), np.concatenate(right)


def _known(labels: torch.Tensor, decision: Decision) -> torch.Tensor:
    """Reference labels that the model doesn't know are background to it."""
    known = torch.isin(labels, torch.tensor(decision.labels, dtype=torch.int32))
    return torch.where(known, labels, 0)


def _band(labels: NDArray[Any], spacing: tuple[float, float, float]) -> NDArray[np.bool_]:
    """Voxels with one of another label within ``BAND_MM`` of their own centre."""
    from scipy.ndimage import distance_transform_edt

    near = np.zeros(labels.shape, bool)
    for label in np.unique(labels):
        own = labels == label
        if not own.all():
            near |= own & (distance_transform_edt(own, sampling=spacing) <= BAND_MM)
    return near

"""Many cases in few figures: mean, spread, median, worst, and how sure the mean is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomosurf.validate.metrics import METRICS, Metric
from tomosurf.validate.record import Record

RESAMPLES = 2000
SEED = 20261124
"""Of the bootstrap: the same figures give the same interval."""


def summarise(records: Sequence[Record], structures: Sequence[str]) -> dict[str, Any]:
    """For each structure: how often it was found, missed, invented and absent, and its figures summed up."""
    return {structure: _structure(records, structure) for structure in structures}


def figures_of(
    records: Sequence[Record], structure: str, metric: str
) -> tuple[list[str], NDArray[np.float64]]:
    """Names of the cases that have the figure, and the figures, in the order of the cases."""
    found = [
        (record.case, row.figures[metric])
        for record in records
        for row in record.rows
        if row.structure == structure and metric in row.figures
    ]
    return [case for case, _ in found], np.array([value for _, value in found], np.float64)


def spread(cases: Sequence[str], values: NDArray[np.float64], metric: Metric) -> dict[str, Any]:
    """n, mean, sd (of a sample), median, worst with its case, 95 % interval of the mean; n alone without values."""
    if not len(values):
        return {"n": 0}
    worst = int(metric.cost(values).argmax())
    low, high = interval(values)
    return {
        "n": len(values),
        "mean": _short(values.mean()),
        "sd": _short(values.std(ddof=1)) if len(values) > 1 else 0.0,
        "median": _short(np.median(values)),
        "worst": _short(values[worst]),
        "worst_case": cases[worst],
        "ci95": [_short(low), _short(high)],
    }


def interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """95 % interval of the mean by the percentile bootstrap over cases, seeded.

    Reference: B. Efron and R. J. Tibshirani, An introduction to the bootstrap, 1993, chapter 13.
    """
    random = np.random.default_rng(SEED)
    means = values[random.integers(0, len(values), (RESAMPLES, len(values)))].mean(axis=1)
    low, high = np.percentile(means, (2.5, 97.5)).tolist()
    return low, high


def _structure(records: Sequence[Record], structure: str) -> dict[str, Any]:
    outcomes = [row.outcome for record in records for row in record.rows if row.structure == structure]
    told: dict[str, Any] = {name: outcomes.count(name) for name in ("found", "missed", "invented", "absent")}
    for count in ("missed_components", "false_components"):
        told[count] = int(figures_of(records, structure, count)[1].sum())
    told["metrics"] = {
        name: spread(*figures_of(records, structure, name), metric) for name, metric in METRICS.items()
    }
    return told


def _short(value: Any) -> float:
    return round(float(value), 5)

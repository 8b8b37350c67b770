"""A run against an earlier one on the same cases: paired differences, each with its interval."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tomosurf.errors import ConfigError
from tomosurf.validate.metrics import METRICS
from tomosurf.validate.record import Record
from tomosurf.validate.summary import interval
from tomosurf.validate.table import FILE, read_table

SUMMARY = "metrics.json"


def compare(records: Sequence[Record], structures: Sequence[str], earlier: Path) -> dict[str, Any]:
    """This run minus the earlier one, for every structure and figure, over the cases that both have.

    A difference counts as clear when the 95 % bootstrap interval of its mean leaves out 0. Volume errors are
    compared by their size. Cases that only one run has, and cases whose reference has changed since, are named
    and left out.

    Raises:
        ConfigError: ``earlier`` is no folder of a finished validation.
    """
    model, references = open_earlier(earlier)
    before = read_table(earlier / FILE)
    now = {record.case: record for record in records}
    changed = sorted(
        name for name in now if references.get(name, now[name].reference_sha256) != now[name].reference_sha256
    )
    kept = [record for record in records if record.case not in changed]
    return {
        "earlier_model": model,
        "only_now": sorted(set(now) - set(references)),
        "only_earlier": sorted(set(references) - set(now)),
        "reference_changed": changed,
        "structures": {
            structure: {name: _paired(kept, before, structure, name) for name in METRICS}
            for structure in structures
        },
    }


def open_earlier(earlier: Path) -> tuple[str, dict[str, str]]:
    """The title of the earlier run's model, and its cases with the digests of their references.

    Raises:
        ConfigError: ``earlier`` is no folder of a finished validation.
    """
    try:
        told = json.loads((earlier / SUMMARY).read_text(encoding="utf-8"))
        return str(told["model"]["title"]), {case["case"]: case["reference_sha256"] for case in told["cases"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{earlier} is no finished validation: {SUMMARY} is missing or damaged") from error


def _paired(
    records: Sequence[Record], before: dict[tuple[str, str], dict[str, float]], structure: str, name: str
) -> dict[str, Any]:
    metric = METRICS[name]
    pairs = [
        (row.figures[name], before[record.case, structure][name])
        for record in records
        for row in record.rows
        if row.structure == structure
        and name in row.figures
        and name in before.get((record.case, structure), {})
    ]
    if not pairs:
        return {"n": 0}
    now, then = np.array(pairs, np.float64).T
    if metric.better == "zero":
        now, then = np.abs(now), np.abs(then)
    difference = now - then
    low, high = interval(difference)
    worse = metric.cost(now) - metric.cost(then)
    clear = low > 0 or high < 0
    return {
        "n": len(difference),
        "mean": round(float(difference.mean()), 5),
        "ci95": [round(low, 5), round(high, 5)],
        "better": int((worse < 0).sum()),
        "worse": int((worse > 0).sum()),
        "verdict": ("worse" if worse.mean() > 0 else "better") if clear else "no clear difference",
    }

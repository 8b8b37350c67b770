"""What came of one case, kept in a file of its own: the unit of resuming."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tomosurf.frozen import Frozen
from tomosurf.validate.metrics import Outcome
from tomosurf.whole_file import whole_file

FOLDER = "cases"
DECIMALS = 5
"""Figures are kept to this many decimals: beyond them threads and libraries may differ."""


class Row(Frozen):
    """One structure of one case; a figure that doesn't exist isn't there."""

    structure: str
    outcome: Outcome
    figures: dict[str, float]


class Picture(Frozen):
    """The worst slice of the case's worst structure."""

    structure: str
    svg: str


class Record(Frozen):
    """Rows in the order of the structures, findings, and what the report needs of one case.

    ``key`` is :meth:`tomosurf.validate.plan.Plan.key`; a case that couldn't be scored has no rows, and a finding
    that says why. ``bins`` are :data:`tomosurf.validate.calibration.Bins`.
    """

    case: str
    key: str
    reference_sha256: str
    rows: tuple[Row, ...] = ()
    findings: tuple[dict[str, Any], ...] = ()
    bins: list[list[float]] | None = None
    picture: Picture | None = None


def record_path(output: Path, key: str) -> Path:
    """Where the record of that key lies."""
    return output / FOLDER / f"{key[:32]}.json"


def save_record(record: Record, output: Path) -> Path:
    """Write it, whole or not at all."""
    path = record_path(output, record.key)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as partial:
        partial.write_text(record.model_dump_json(), encoding="utf-8")
    return path


def load_record(output: Path, key: str) -> Record | None:
    """The record of that key; None when there is none, or it isn't whole."""
    try:
        record = Record.model_validate(json.loads(record_path(output, key).read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError):
        return None
    return record if record.key == key else None

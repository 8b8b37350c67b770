"""metrics.csv: one row a case and structure, written as cases are finished, always in the same order."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from tomosurf.errors import ConfigError
from tomosurf.validate.metrics import COUNTS, METRICS, nsd_name
from tomosurf.validate.options import ValidateOptions
from tomosurf.validate.record import Record
from tomosurf.whole_file import whole_file

FILE = "metrics.csv"


def columns(options: ValidateOptions) -> tuple[str, ...]:
    """The table's columns."""
    more = [nsd_name(number, t) for number, t in enumerate(options.tolerances_mm) if number]
    return ("case", "structure", *METRICS, "outcome", "reference_mm3", "predicted_mm3", *COUNTS, *more)


class Table:
    """The table in the making: rows appear in the order of the cases, each as soon as all before it are there.

    Use it as a context manager. What is on disk is at every moment the beginning of the finished table.
    """

    def __init__(self, path: Path, options: ValidateOptions) -> None:
        self._columns = columns(options)
        self._file: TextIO = path.open("w", encoding="utf-8", newline="")
        self._writer = csv.DictWriter(self._file, self._columns, restval="", lineterminator="\n")
        self._writer.writeheader()
        self._file.flush()
        self._waiting: dict[int, Record] = {}
        self._next = 0

    def __enter__(self) -> Table:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, number: int, record: Record) -> None:
        """Case ``number``, from 0; in any order, each once."""
        self._waiting[number] = record
        while self._next in self._waiting:
            self._write(self._waiting.pop(self._next))
            self._next += 1
        self._file.flush()

    def _write(self, record: Record) -> None:
        for row in record.rows:
            about: dict[str, Any] = {"case": record.case, "structure": row.structure, "outcome": row.outcome}
            self._writer.writerow(about | {name: _told(name, value) for name, value in row.figures.items()})


def _told(name: str, value: float) -> str:
    return str(int(value)) if name in COUNTS else repr(value)


def write_table(path: Path, options: ValidateOptions, records: Iterable[Record]) -> None:
    """The whole table at once, whole or not at all."""
    with whole_file(path) as partial, Table(partial, options) as table:
        for number, record in enumerate(records):
            table.add(number, record)


def read_table(path: Path) -> dict[tuple[str, str], dict[str, float]]:
    """Case and structure to figures, from a table written earlier.

    Raises:
        ConfigError: it is no such table.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        return {(row["case"], row["structure"]): _figures(row, tuple(METRICS)) for row in rows}
    except (OSError, KeyError, ValueError, TypeError, csv.Error) as error:
        raise ConfigError(f"{path} is no table of an earlier validation") from error


def _figures(row: dict[str, str], names: Sequence[str]) -> dict[str, float]:
    return {name: float(row[name]) for name in names if row.get(name)}

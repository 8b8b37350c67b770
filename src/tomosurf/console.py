"""What the command line shows: tables and bars for people on a terminal, JSON for scripts.

Results go to standard output; everything else goes to standard error.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tomosurf.progress import Progress, silent


class Console:
    """Output of one command; with ``as_json`` only the one JSON document reaches standard output."""

    def __init__(self, as_json: bool = False) -> None:
        self.as_json = as_json

    def emit(self, document: Any) -> None:
        """The result for scripts; nothing when a person is reading."""
        if self.as_json:
            print(json.dumps(document, indent=2, allow_nan=False))

    def say(self, text: str = "") -> None:
        """A line for people."""
        if not self.as_json:
            print(text)

    def warn(self, text: str) -> None:
        """A line on standard error, for people and scripts alike."""
        print(text, file=sys.stderr)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A table for people. Cells are plain text; numbers are right-aligned by their look."""
        if self.as_json:
            return
        from rich import box
        from rich.console import Console as Rich
        from rich.markup import escape
        from rich.table import Table

        table = Table(title=escape(title), box=box.SIMPLE_HEAD, title_justify="left")
        for number, column in enumerate(columns):
            numeric = bool(rows) and all(_looks_numeric(row[number]) for row in rows)
            table.add_column(column, justify="right" if numeric else "left")
        for row in rows:
            table.add_row(*(escape(cell) for cell in row))
        Rich(width=None if sys.stdout.isatty() else 120).print(table)

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        """A callback that draws one bar a stage with an estimate of what is left; silent off a terminal."""
        if self.as_json or not sys.stderr.isatty():
            yield silent
            return
        from rich.console import Console as Rich
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        columns = (
            TextColumn("{task.description:<10}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeRemainingColumn(),
            TimeElapsedColumn(),
        )
        with Bars(*columns, console=Rich(stderr=True), transient=True) as bars:
            current: list[Any] = ["", None]

            def update(stage: str, fraction: float) -> None:
                if current[0] != stage:
                    if current[1] is not None:
                        bars.remove_task(current[1])
                    current[:] = [stage, bars.add_task(stage, total=1.0)]
                bars.update(current[1], completed=fraction)

            yield update


def _looks_numeric(cell: str) -> bool:
    return bool(cell) and not cell.strip("0123456789.,- ")

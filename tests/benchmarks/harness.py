"""The form of every benchmark: figures of ours against a named peer, measured in the same run.

``python -m tests.benchmarks.NAME [--json]`` prints one module's figures; ``make bench`` runs them all
(``python -m tests.benchmarks``). Benchmarks print; tests never assert a time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing measured. ``goal`` bounds ours / peer when there is a peer, else ours; None is no goal."""

    what: str
    ours: float
    peer: float | None = None
    peer_name: str = ""
    unit: str = "s"
    goal: float | None = None
    lower_is_better: bool = True

    @property
    def ratio(self) -> float | None:
        return None if not self.peer else self.ours / self.peer

    @property
    def holds(self) -> bool | None:
        value = self.ours if self.ratio is None else self.ratio
        if self.goal is None:
            return None
        return value <= self.goal if self.lower_is_better else value >= self.goal

    def as_dict(self) -> dict[str, Any]:
        return {
            "what": self.what,
            "ours": self.ours,
            "peer": self.peer,
            "peer_name": self.peer_name,
            "unit": self.unit,
            "ratio": self.ratio,
            "goal": self.goal,
            "holds": self.holds,
        }


def measure(function: Callable[[], object], repeats: int = 3, warmup: int = 1) -> float:
    """Median wall-clock seconds of ``function`` after ``warmup`` calls that don't count."""
    for _ in range(warmup):
        function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def peak_memory_mb() -> float:
    """Largest resident size of this process so far, in MB (10^6 bytes).

    As the kernel tells it of the process's own memory: ``getrusage`` starts from what its parent had.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6


def machine() -> str:
    """Processor, cores and system, in words."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = names[0].split(":", 1)[1].strip() if names else model
    return f"{model}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"


def report(name: str, figures: Sequence[Figure]) -> dict[str, Any]:
    """What ``--json`` prints."""
    return {"name": name, "machine": machine(), "figures": [figure.as_dict() for figure in figures]}


def table(name: str, figures: Sequence[Figure]) -> str:
    """The figures as a Markdown table, as docs/reference/benchmarks.md keeps them."""
    rows = [
        f"### {name}",
        "",
        "| what | ours | peer | ratio | goal | holds |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for f in figures:
        peer = "" if f.peer is None else f"{f.peer:.4g} {f.unit} ({f.peer_name})"
        ratio = "" if f.ratio is None else f"{f.ratio:.3f}"
        goal = "" if f.goal is None else f"{'<=' if f.lower_is_better else '>='} {f.goal:g}"
        holds = {True: "yes", False: "**no**", None: ""}[f.holds]
        rows.append(f"| {f.what} | {f.ours:.4g} {f.unit} | {peer} | {ratio} | {goal} | {holds} |")
    return "\n".join(rows)


def main(name: str, figures: Callable[[], Sequence[Figure]]) -> int:
    """Run one module from the command line."""
    parser = argparse.ArgumentParser(prog=f"python -m tests.benchmarks.{name}")
    parser.add_argument("--json", action="store_true", help="machine-readable output")
    arguments = parser.parse_args()
    measured = figures()
    print(json.dumps(report(name, measured)) if arguments.json else table(name, measured))
    return 0

"""Several processes that score cases, each with the model loaded once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import IO, cast

from tomosurf.errors import ModelError
from tomosurf.validate.plan import Plan
from tomosurf.validate.record import Record, load_record

THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
    "NUMBA_NUM_THREADS",
)
"""What libraries of ours take their number of threads from."""


def score_in_workers(plan: Plan, output: Path, plan_file: Path) -> Iterator[tuple[int, Record, bool]]:
    """Number, record and whether it was finished before, of every case, in the order in which they get done.

    A worker takes the next case when it is done with one. With CUDA, workers are dealt out over the devices; on
    the CPU each gets its share of the cores.

    Raises:
        ModelError: a worker ended before its time; what is finished stays finished.
    """
    waiting: SimpleQueue[int] = SimpleQueue()
    done: SimpleQueue[tuple[int, str]] = SimpleQueue()
    for number in range(len(plan.cases)):
        waiting.put(number)
    with ExitStack() as stack:
        for place in range(min(plan.options.workers, len(plan.cases))):
            child = _start(plan, output, plan_file, place)
            stack.callback(_end, child)
            Thread(target=_feed, args=(child, waiting, done), daemon=True).start()
        for _ in plan.cases:
            number, said = done.get()
            record = load_record(output, said.removeprefix("reused ")) if said else None
            if record is None:
                raise ModelError(
                    f"the process that scored {plan.cases[number].name} ended before its time (out of memory?); "
                    "run again, with fewer --workers: finished cases are kept"
                )
            yield number, record, said.startswith("reused ")


def _start(plan: Plan, output: Path, plan_file: Path, place: int) -> subprocess.Popen[str]:
    share = str(max(1, (os.cpu_count() or 1) // plan.options.workers))
    environment = {"OMP_WAIT_POLICY": "passive", **os.environ, **dict.fromkeys(THREADS, share)}
    if plan.model_sha256 and plan.options.device != "cpu":
        devices = _devices()
        if devices:
            environment["CUDA_VISIBLE_DEVICES"] = devices[place % len(devices)]
    return subprocess.Popen(
        [sys.executable, "-m", "tomosurf.validate.worker", str(plan_file), str(output)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )


def _devices() -> list[str]:
    """Names of the CUDA devices that this process may use."""
    from tomosurf.segment.device import device_count

    named = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    count = device_count()
    return named[:count] if named else [str(number) for number in range(count)]


def _feed(
    child: subprocess.Popen[str], waiting: SimpleQueue[int], done: SimpleQueue[tuple[int, str]]
) -> None:
    """Hand cases to one child as long as there are any; one that ended is told by an empty word."""
    into, out = cast("IO[str]", child.stdin), cast("IO[str]", child.stdout)
    while True:
        try:
            number = waiting.get_nowait()
        except Empty:
            return
        try:
            into.write(f"{number}\n")
            into.flush()
            said = out.readline().strip()
        except (OSError, ValueError):
            said = ""
        done.put((number, said))
        if not said:
            return


def _end(child: subprocess.Popen[str]) -> None:
    child.kill()
    child.wait()
    for stream in (child.stdin, child.stdout):
        if stream is not None:
            stream.close()

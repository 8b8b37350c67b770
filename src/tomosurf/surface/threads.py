"""As many threads as the work is worth: a wall takes hundreds of short rounds, and threads wait after each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numba

EACH = 50_000
"""Crossings that are worth a thread of their own (measured: docs/reference/benchmarks.md)."""


@contextmanager
def threads_for(crossings: int) -> Iterator[None]:
    """Let loops run on a thread for every ``EACH`` crossings meanwhile, on one at least, on no more than before."""
    before = numba.get_num_threads()
    numba.set_num_threads(max(1, min(before, crossings // EACH)))
    try:
        yield
    finally:
        numba.set_num_threads(before)

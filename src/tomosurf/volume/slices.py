"""The slices of a series in order: uncompressed ones read in place, compressed ones ahead in parallel."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from numpy.typing import NDArray

from tomosurf.data import transfer_syntax as ts
from tomosurf.data.series import Instance
from tomosurf.volume.decode import raw_values
from tomosurf.volume.inflate import Inflated
from tomosurf.volume.workers import Decoders, Limits

PIXELS_A_CHILD = 1 << 20
"""Compressed pixels below which another child process costs more than it brings."""

Target = Callable[[int], "NDArray[Any] | None"]


def cells_of(instances: Sequence[Instance], target: Target) -> Generator[NDArray[Any], None, None]:
    """The cells of each slice as :func:`tomosurf.volume.decode.raw_values` gives them, in order.

    A generator: close it when leaving early (``contextlib.closing``), so that child processes end at once.

    Args:
        instances: the slices.
        target: where the cells of slice k may be read straight into, or None; asked when k's turn comes.

    Raises:
        InputRefused: that of the first slice that can't be read, in order.
    """
    compressed = [i for i in instances if i.pixels.transfer_syntax in ts.IN_CHILDREN]
    inflated = Inflated()
    if not compressed:
        for k, instance in enumerate(instances):
            yield raw_values(instance, target(k), inflated=inflated)
        return
    pixels = sum(i.pixels.rows * i.pixels.columns for i in compressed)
    children = max(1, min(_cores(), pixels // PIXELS_A_CHILD))
    limits = Limits.of(i.pixels for i in compressed)
    with ThreadPoolExecutor(children) as threads, Decoders(limits) as decoders:
        ahead: deque[Future[NDArray[Any]]] = deque()
        coming = iter(compressed)
        try:
            for k, instance in enumerate(instances):
                if instance.pixels.transfer_syntax not in ts.IN_CHILDREN:
                    yield raw_values(instance, target(k), inflated=inflated)
                    continue
                while len(ahead) <= 2 * children and (following := next(coming, None)) is not None:
                    ahead.append(threads.submit(raw_values, following, None, decoders))
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()


def _cores() -> int:
    """Processor cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS or Windows
        return os.cpu_count() or 1

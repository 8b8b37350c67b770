"""A queue of edges by cost, in buckets less than one percent wide: cheap to fill, the same order every time."""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

BUCKETS = 1 << 15
"""One for each value of a float32's sign, exponent and first seven bits of its fraction."""


class Buckets(NamedTuple):
    """``heads`` (buckets,) and ``entries`` (n, 4) int32: both ends, the sum of their stamps, the entry below.

    ``state`` int64: the first bucket that may hold something, the first free entry, the first one never used.
    """

    heads: NDArray[np.int32]
    entries: NDArray[np.int32]
    state: NDArray[np.int64]
    bits: NDArray[np.float32]


@numba.njit(cache=True)
def buckets_for(entries: int) -> Buckets:
    """An empty queue with room for so many entries."""
    return Buckets(
        np.full(BUCKETS, -1, np.int32),
        np.empty((entries, 4), np.int32),
        np.array([BUCKETS, -1, 0], np.int64),
        np.zeros(1, np.float32),
    )


@numba.njit(cache=True)
def push(queue: Buckets, cost: float, u: int, v: int, stamp: int) -> bool:
    """Add an edge; False when there is no room."""
    place = queue.state[1]
    if place >= 0:
        queue.state[1] = queue.entries[place, 3]
    else:
        place = queue.state[2]
        if place == len(queue.entries):
            return False
        queue.state[2] = place + 1
    queue.bits[0] = cost
    bucket = queue.bits.view(np.int32)[0] >> 16
    entry = queue.entries[place]
    entry[0], entry[1], entry[2], entry[3] = u, v, stamp, queue.heads[bucket]
    queue.heads[bucket] = place
    queue.state[0] = min(queue.state[0], bucket)
    return True


@numba.njit(cache=True)
def pop(queue: Buckets) -> tuple[int, int, int]:
    """An edge of the cheapest bucket, last in first out: both ends and the sum of stamps; -1 when empty."""
    bucket = queue.state[0]
    while bucket < BUCKETS and queue.heads[bucket] < 0:
        bucket += 1
    queue.state[0] = bucket
    if bucket == BUCKETS:
        return -1, -1, 0
    place = queue.heads[bucket]
    entry = queue.entries[place]
    queue.heads[bucket] = entry[3]
    entry[3], queue.state[1] = queue.state[1], place
    return entry[0], entry[1], entry[2]

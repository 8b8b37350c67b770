"""What becomes of memory that a step frees and the next one takes."""

from __future__ import annotations

import numpy as np

LARGEST = (32 << 20) - (64 << 10)
"""A block that glibc still counts: its limit is 32 MB, of which the block's own head takes a little."""


def keep_freed_memory() -> None:
    """Let the C library keep up to 64 MB of what is freed, so that the system need not hand it out again.

    Until it has seen a larger one freed, glibc maps every block of more than 128 kB anew and gives it back at once;
    after that such blocks stay in its heap, which it trims at twice their size (mallopt(3), M_MMAP_THRESHOLD). One
    is taken and freed here, and never touched: that costs nothing. Other C libraries do as they did before.
    """
    np.empty(LARGEST, np.uint8)

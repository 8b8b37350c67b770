"""The RLE transfer syntax: one run-length coded segment for each byte of a cell (PS3.5 Annex G).

Written here because length is the only check that RLE offers, and decoders at hand don't make it.
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

HEADER = struct.Struct("<16L")
PADDING = b"\0\x80"
"""What may follow the last run: a zero that makes the segment even, or runs that say nothing."""


def decoded_cells(stream: bytes, count: int, width: int) -> NDArray[np.uint8]:
    """``count`` cells of ``width`` bytes, (count, width) uint8, little endian.

    Raises:
        ValueError: other than ``width`` segments of ``count`` bytes each.
    """
    if len(stream) < HEADER.size:
        raise ValueError("no RLE header")
    segments, *offsets = HEADER.unpack_from(stream)
    if segments != width:
        raise ValueError(f"{segments} RLE segments for {width} bytes a cell")
    ends = [*offsets[1:width], len(stream)]
    cells = np.empty((count, width), np.uint8)
    for place, (start, end) in enumerate(zip(offsets, ends, strict=False)):
        if not HEADER.size <= start <= end <= len(stream):
            raise ValueError("RLE segments out of order")
        segment = _segment(stream[start:end], count)
        cells[:, width - 1 - place] = np.frombuffer(segment, np.uint8)  # most significant byte first
    return cells


def _segment(coded: bytes, count: int) -> bytearray:
    """``count`` bytes out of one segment."""
    plain = bytearray()
    at = 0
    while len(plain) < count and at < len(coded):
        control = coded[at]
        if control < 128:
            plain += coded[at + 1 : at + 2 + control]
            at += 2 + control
        elif control > 128:
            plain += coded[at + 1 : at + 2] * (257 - control)
            at += 2
        else:
            at += 1
    if len(plain) != count or at > len(coded) or coded[at:].strip(PADDING):
        raise ValueError("an RLE segment of another length than the header says")
    return plain

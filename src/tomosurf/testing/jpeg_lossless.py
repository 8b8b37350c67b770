"""A small JPEG lossless encoder (process 14), since no package in reach has one."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

CATEGORIES = 17
CODE_BITS = 5
"""Each of the 17 difference categories gets a code of 5 bits, its own number: no table is simpler."""


def encode(samples: NDArray[Any], bits: int, selection: int = 1) -> bytes:
    """A (rows, columns) array of unsigned samples as one JPEG lossless code stream.

    ``bits`` is the precision, 2 to 16; samples are below ``2**bits``. ``selection``, 1 to 7, is the predictor; in
    the first column it is the sample above, in the first row the one before. Reference: ITU-T T.81, Annex H.
    """
    rows, columns = samples.shape
    values = samples.astype(np.int64)
    predicted = np.empty_like(values)
    before, above, across = values[1:, :-1], values[:-1, 1:], values[:-1, :-1]
    predicted[1:, 1:] = (
        before,
        above,
        across,
        before + above - across,
        before + ((above - across) >> 1),
        above + ((before - across) >> 1),
        (before + above) >> 1,
    )[selection - 1]
    predicted[0, 1:] = values[0, :-1]
    predicted[1:, 0] = values[:-1, 0]
    predicted[0, 0] = 1 << (bits - 1)
    difference = ((values - predicted + 32768) % 65536 - 32768).ravel()
    difference[difference == -32768] = 32768
    frame = struct.pack(">BHHBBBB", bits, rows, columns, 1, 1, 0x11, 0)
    lengths = bytes(CATEGORIES if length == CODE_BITS else 0 for length in range(1, 17))
    table = b"\x00" + lengths + bytes(range(CATEGORIES))
    scan = bytes([1, 1, 0, selection, 0, 0])
    return b"".join(
        [
            b"\xff\xd8",
            segment(0xC3, frame),
            segment(0xC4, table),
            segment(0xDA, scan),
            _packed(difference).replace(b"\xff", b"\xff\x00"),
            b"\xff\xd9",
        ]
    )


def segment(marker: int, content: bytes) -> bytes:
    """A marker segment of a code stream."""
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def _packed(difference: NDArray[np.int64]) -> bytes:
    """Category codes, each followed by as many bits of the difference (one's complement if negative)."""
    magnitude = np.abs(difference)
    category = np.zeros_like(magnitude)
    for power in range(16):
        category += magnitude >= (1 << power)
    extra = np.where(category == 16, 0, category)
    value = np.where(difference < 0, difference + (1 << category) - 1, difference)
    value &= (1 << extra) - 1
    word = (category << extra) | value
    place = np.arange(CODE_BITS + 15, -1, -1)
    all_bits = ((word[:, None] >> place) & 1).astype(np.uint8)
    used = place < (CODE_BITS + extra)[:, None]
    stream = all_bits[used]
    filler = np.ones(-len(stream) % 8, np.uint8)
    return np.packbits(np.concatenate([stream, filler])).tobytes()

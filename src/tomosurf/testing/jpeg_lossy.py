"""A small lossy JPEG encoder (processes 1, 2 and 4: 8 and 12 bits a sample), since none in reach writes 12 bits."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomosurf.testing.jpeg_lossless import segment

DC_BITS, AC_BITS = 5, 8
"""Every symbol's code has as many bits and is its rank: no tables are simpler."""
DC_SYMBOLS = tuple(range(16))
AC_SYMBOLS = (0x00, 0xF0, *(run << 4 | size for run in range(16) for size in range(1, 15)))
_ROW, _COLUMN = np.mgrid[:8, :8]
COSINES = np.where(_ROW == 0, np.sqrt(1 / 8), 0.5) * np.cos((2 * _COLUMN + 1) * _ROW * np.pi / 16)
ZIGZAG = sorted(
    range(64), key=lambda n: (n // 8 + n % 8, n // 8 if (n // 8 + n % 8) % 2 else n % 8)
)  # odd diagonals run down, even ones up


def encode(samples: NDArray[Any], bits: int, quantum: int = 4) -> bytes:
    """A (rows, columns) array of unsigned samples as one sequential JPEG code stream, baseline where ``bits`` is 8.

    ``bits`` is the precision, 8 or 12; ``quantum``, 1 to 255, what every coefficient is divided by. Rows and
    columns that don't fill a block repeat the last ones. Reference: ITU-T T.81, Annexes A and F.
    """
    rows, columns = samples.shape
    written, previous = [], 0
    for block in _quantised(samples, bits, quantum).reshape(-1, 64):
        coefficients = block[ZIGZAG].tolist()
        written.append(_coded(DC_SYMBOLS, DC_BITS, 0, coefficients[0] - previous))
        written += _alternating(coefficients[1:])
        previous = coefficients[0]
    stream = "".join(written)
    stream += "1" * (-len(stream) % 8)
    data = int(stream, 2).to_bytes(len(stream) // 8, "big").replace(b"\xff", b"\xff\x00")
    frame = struct.pack(">BHHBBBB", bits, rows, columns, 1, 1, 0x11, 0)
    return b"".join(
        [
            b"\xff\xd8",
            segment(0xDB, bytes([0]) + bytes([quantum]) * 64),
            segment(0xC0 if bits == 8 else 0xC1, frame),
            segment(0xC4, _table(0x00, DC_BITS, DC_SYMBOLS)),
            segment(0xC4, _table(0x10, AC_BITS, AC_SYMBOLS)),
            segment(0xDA, bytes([1, 1, 0, 0, 63, 0])),
            data,
            b"\xff\xd9",
        ]
    )


def decoded(samples: NDArray[Any], bits: int, quantum: int = 4) -> NDArray[np.float64]:
    """What :func:`encode` leaves of ``samples``, (rows, columns), before a decoder rounds it."""
    rows, columns = samples.shape
    blocks = COSINES.T @ (_quantised(samples, bits, quantum) * float(quantum)) @ COSINES
    whole = np.swapaxes(blocks, 1, 2).reshape(blocks.shape[0] * 8, -1)[:rows, :columns]
    clipped: NDArray[np.float64] = np.clip(whole + (1 << (bits - 1)), 0, (1 << bits) - 1)
    return clipped


def _quantised(samples: NDArray[Any], bits: int, quantum: int) -> NDArray[np.int64]:
    """The coefficients of every block, (blocks down, blocks across, 8, 8), in multiples of ``quantum``."""
    rows, columns = samples.shape
    whole = np.pad(samples.astype(float), ((0, -rows % 8), (0, -columns % 8)), mode="edge") - (
        1 << (bits - 1)
    )
    blocks = np.swapaxes(whole.reshape(whole.shape[0] // 8, 8, -1, 8), 1, 2)
    multiples: NDArray[np.int64] = np.round(COSINES @ blocks @ COSINES.T / quantum).astype(np.int64)
    return multiples


def _table(which: int, length: int, symbols: tuple[int, ...]) -> bytes:
    """A Huffman table whose codes all have one length."""
    counts = bytes(len(symbols) if n == length else 0 for n in range(1, 17))
    return bytes([which]) + counts + bytes(symbols)


def _alternating(coefficients: list[int]) -> list[str]:
    """The 63 other coefficients: runs of zeros, each followed by a value."""
    coded, run = [], 0
    for value in coefficients:
        if not value:
            run += 1
            continue
        coded += [_code(AC_SYMBOLS, AC_BITS, 0xF0)] * (run // 16)
        coded.append(_coded(AC_SYMBOLS, AC_BITS, run % 16, value))
        run = 0
    return [*coded, _code(AC_SYMBOLS, AC_BITS, 0)] if run else coded


def _coded(symbols: tuple[int, ...], length: int, run: int, value: int) -> str:
    """A symbol and as many bits of the value as it announces (one's complement if negative)."""
    size = abs(value).bit_length()
    extra = value if value >= 0 else value + (1 << size) - 1
    return _code(symbols, length, run << 4 | size) + (f"{extra:0{size}b}" if size else "")


def _code(symbols: tuple[int, ...], length: int, symbol: int) -> str:
    return f"{symbols.index(symbol):0{length}b}"

"""What a compressed image says about itself, read before any decoder is let at it."""

from __future__ import annotations

import struct
from dataclasses import dataclass

START_OF_IMAGE, START_OF_CODESTREAM, SIZE_MARKER = 0xFFD8, 0xFF4F, 0xFF51
END = b"\xff\xd9"
FRAME_MARKERS = frozenset({0xFFF7, *range(0xFFC0, 0xFFD0)} - {0xFFC4, 0xFFC8, 0xFFCC})
"""Start of frame: JPEG's, and JPEG-LS's F7."""
LOSSLESS_FRAMES = frozenset({0xFFC3, 0xFFC7, 0xFFCB, 0xFFCF})
START_OF_SCAN, JPEG_LS_FRAME, CODING_STYLE, START_OF_TILE = 0xFFDA, 0xFFF7, 0xFF52, 0xFF90
NO_LENGTH = frozenset({0xFF01, *range(0xFFD0, 0xFFD8)})


@dataclass(frozen=True, slots=True)
class Codestream:
    """Size, components, bits a sample and signedness, as the compressed image itself declares them.

    ``lossy``: it is of a kind that doesn't give back what went in. JPEG 2000 may leave bits away without saying so.
    """

    rows: int
    columns: int
    components: int
    precision: int
    signed: bool
    lossy: bool = False


def describe(stream: bytes) -> Codestream:
    """Read the header of a JPEG, JPEG-LS or JPEG 2000 codestream.

    Raises:
        ValueError: it has none.

    References: ITU-T T.81 B.2.2 and B.2.3, T.87 C.2.2 and C.2.3, T.800 A.5.1 and A.6.1.
    """
    try:
        (first,) = struct.unpack_from(">H", stream)
        if first == START_OF_CODESTREAM:
            return _jpeg_2000(stream)
        if first == START_OF_IMAGE:
            return _jpeg(stream)
    except struct.error:
        raise ValueError("the compressed image ends inside its header") from None
    raise ValueError("no JPEG, JPEG-LS or JPEG 2000 codestream")


def is_whole(stream: bytes) -> bool:
    """Whether the codestream has its end marker; what follows is padding."""
    return stream.rstrip(b"\0").endswith(END)


def _jpeg(stream: bytes) -> Codestream:
    at = 2
    while True:
        (marker,) = struct.unpack_from(">H", stream, at)
        if marker in FRAME_MARKERS:
            length, precision, rows, columns, components = struct.unpack_from(">HBHHB", stream, at + 2)
            lossy = _jpeg_loses(stream, at + 2 + max(length, 2), marker)
            return Codestream(rows, columns, components, precision, signed=False, lossy=lossy)
        if marker == 0xFFFF:
            at += 1
        elif marker in NO_LENGTH:
            at += 2
        elif marker >> 8 == 0xFF:
            (length,) = struct.unpack_from(">H", stream, at + 2)
            at += 2 + max(length, 2)
        else:
            raise ValueError("a marker is missing in the compressed image")


def _jpeg_loses(stream: bytes, at: int, frame: int) -> bool:
    """Whether a frame is coded by cosines, or its scan, which comes after ``at``, with an error or a shift."""
    if frame != JPEG_LS_FRAME and frame not in LOSSLESS_FRAMES:
        return True
    while at + 4 <= len(stream):
        marker, length = struct.unpack_from(">HH", stream, at)
        if marker == START_OF_SCAN:
            tail = stream[at + 2 + length - 3 : at + 2 + length]
            if len(tail) < 3:
                return False
            near = tail[0] if frame == JPEG_LS_FRAME else 0
            return near > 0 or tail[2] & 0x0F > 0
        at += 2 + max(length, 2)
    return False


def _jpeg_2000(stream: bytes) -> Codestream:
    marker, size, _, right, bottom, left, top = struct.unpack_from(">HHHLLLL", stream, 2)
    if marker != SIZE_MARKER:
        raise ValueError("a codestream without its size")
    components, depth = struct.unpack_from(">HB", stream, 40)
    lossy = _wavelet_loses(stream, 4 + size)
    return Codestream(bottom - top, right - left, components, (depth & 0x7F) + 1, bool(depth & 0x80), lossy)


def _wavelet_loses(stream: bytes, at: int) -> bool:
    """Whether the wavelet of the coding style, which comes after ``at``, is the irreversible one."""
    while at + 14 <= len(stream):
        marker, length = struct.unpack_from(">HH", stream, at)
        if marker == CODING_STYLE:
            return stream[at + 13] == 0
        if marker == START_OF_TILE:
            return False
        at += 2 + max(length, 2)
    return False

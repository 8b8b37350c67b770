"""Deflated data: whole files (PS3.5 A.5), one frame or many, and single frames (PS3.5 A.4.13); always bounded.

A deflated stream has no checksum: that it ends, where the header says that it should, is all that tells damage.
"""

from __future__ import annotations

import zlib
from pathlib import Path

from tomosurf.data.codes import refusal
from tomosurf.data.series import Instance, PixelLayout

ROOM = 1 << 16
"""Bytes that may follow the pixel data of a deflated file."""
CHUNK = 1 << 20
MOST_BYTES = 1 << 32
"""Pixel data that are inflated and held at once: those of one multi-frame object."""
LARGEST_RATIO, RATIO_FROM = 200, 1 << 26
"""What is more than ``RATIO_FROM`` bytes may be this many times larger than what is stored of it: a few bytes
mustn't make us allocate a gigabyte. Large real slices pack by fifty at most."""


class Inflated:
    """The pixel data of one deflated multi-frame object, held as long as its frames are asked for.

    Frames can't be found in a deflated stream without inflating all that comes before them.
    """

    def __init__(self) -> None:
        self._path: Path | None = None
        self._value = bytearray()

    def frame(self, instance: Instance) -> bytes:
        """The bytes of one frame.

        Raises:
            InputRefused: too_large, truncated, unreadable_file.
            OSError: the file can't be read.
        """
        size = instance.pixels.slice_bytes
        if instance.path != self._path:
            self._path, self._value = None, bytearray()  # never two at once
            self._value = _pixels_of_file(instance)
            self._path = instance.path
        return bytes(self._value[instance.frame * size : (instance.frame + 1) * size])


def _pixels_of_file(instance: Instance) -> bytearray:
    """All pixel data of a deflated file, inflated no further than its header allows."""
    layout = instance.pixels
    size = layout.slice_bytes * layout.frames
    start = layout.offset - instance.frame * layout.slice_bytes
    packed = instance.size - (layout.deflated_at or 0)
    check_ratio(start + size, packed)
    if size > MOST_BYTES:
        raise refusal("too_large", f"{size} bytes of deflated pixel data")
    engine, value, skip = zlib.decompressobj(wbits=-zlib.MAX_WBITS), bytearray(), start
    try:
        with instance.path.open("rb", buffering=0) as file:
            file.seek(layout.deflated_at or 0)
            data = file.read(CHUNK)
            while data and not engine.eof and len(value) < size:
                more = engine.decompress(data, min(CHUNK, skip + size - len(value)))
                value += more[skip:]
                skip -= min(skip, len(more))
                data = engine.unconsumed_tail or file.read(CHUNK)
            after = b"" if engine.eof else engine.decompress(data + file.read(ROOM), ROOM)
    except zlib.error:
        raise refusal("unreadable_file", "the deflated stream is damaged") from None
    if len(value) < size or not (engine.eof or len(after) == ROOM):
        raise refusal("truncated", "the deflated stream has no end")
    return value


def pixels_of_slice(data: bytes, layout: PixelLayout) -> bytes:
    """The pixel data of a deflated file of one slice, inflated no further than its header allows.

    Raises:
        InputRefused: truncated, unreadable_file.
    """
    engine = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    try:
        value = engine.decompress(data, layout.offset + layout.slice_bytes)
        after = engine.decompress(engine.unconsumed_tail, ROOM)
    except zlib.error:
        raise refusal("unreadable_file", "the deflated stream is damaged") from None
    if not engine.eof and len(after) < ROOM:
        raise refusal("truncated", "the deflated stream has no end")
    return value[layout.offset :]


def pixels_of_frame(stream: bytes, size: int) -> bytes:
    """One frame that was deflated by itself, of ``size`` bytes.

    Raises:
        InputRefused: unreadable_file, truncated, size_mismatch.
    """
    engine = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    try:
        value = engine.decompress(stream, size + 2)
    except zlib.error:
        raise refusal("unreadable_file", "the deflated frame is damaged") from None
    if len(value) > size + size % 2:
        raise refusal("size_mismatch", f"a deflated frame of more than {size} bytes")
    if not engine.eof:
        raise refusal("truncated", "the deflated frame has no end")
    if len(value) < size:
        raise refusal("size_mismatch", f"a deflated frame of {len(value)} bytes, not {size}")
    return value[:size]


def check_ratio(plain: int, packed: int) -> None:
    """Refuse before decoding what only a bomb would unpack to.

    Raises:
        InputRefused: too_large.
    """
    if plain > RATIO_FROM and plain > LARGEST_RATIO * packed:
        raise refusal("too_large", f"{packed} bytes claim to unpack to {plain}")

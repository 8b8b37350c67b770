"""One slice's stored values out of its file, whatever its transfer syntax.

Every size is compared with the header before a decoder runs. Each transfer syntax has one decoder and no
second try, so that the same file always gives the same values.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomosurf.data import transfer_syntax as ts
from tomosurf.data.codes import refusal
from tomosurf.data.series import Instance, PixelLayout
from tomosurf.errors import InputRefused
from tomosurf.volume.codestream import Codestream, describe, is_whole
from tomosurf.volume.fragments import joined
from tomosurf.volume.run_length import decoded_cells

Decoder = Callable[[bytes], Any]
"""One compressed image to the bytes of its cells, little endian."""
LARGEST_EXPANSION = 4
"""A compressed slice may be this many times larger than the plain one, plus ``ROOM`` bytes."""
ROOM = 1 << 16


def raw_values(instance: Instance, out: NDArray[Any] | None = None) -> NDArray[Any]:
    """The cells of one slice as they were stored, (rows, columns), unsigned, of Bits Allocated.

    Args:
        instance: the slice.
        out: a writable array of that shape and dtype; an uncompressed little-endian slice is read straight
            into it, and it is returned.

    A compressed slice whose samples are signed comes with the sign in the cell's upper bits.

    Raises:
        InputRefused: truncated, size_mismatch, unreadable_file; names the file and the attribute.
    """
    try:
        return _raw_values(instance, out)
    except InputRefused as error:
        error.files, error.attribute = (instance.name,), "PixelData"
        raise
    except OSError as error:
        what = f"the file can't be read ({error.strerror})"
        raise refusal("unreadable_file", what, files=(instance.name,)) from error


def _raw_values(instance: Instance, out: NDArray[Any] | None) -> NDArray[Any]:
    layout = instance.pixels
    with instance.path.open("rb") as file:
        if file.seek(0, 2) != instance.size:
            raise refusal("unreadable_file", "the file changed while it was read")
        if layout.deflated_at is not None:
            file.seek(layout.deflated_at)
            most = LARGEST_EXPANSION * (layout.offset + layout.slice_bytes) + ROOM
            return _cells(_inflated(file.read(most), layout), layout, "<")
        file.seek(layout.offset)
        if layout.transfer_syntax in ts.ENCAPSULATED:
            most = LARGEST_EXPANSION * layout.slice_bytes + ROOM
            return _decoded(file.read(most), layout)
        if layout.transfer_syntax == ts.EXPLICIT_BIG:
            return _cells(file.read(layout.slice_bytes), layout, ">")
        target = np.empty((layout.rows, layout.columns), cell_type(layout)) if out is None else out
        if file.readinto(target.data.cast("B")) != layout.slice_bytes:
            raise refusal("truncated", "the file ends inside its pixel data")
        return target


def cell_type(layout: PixelLayout) -> np.dtype[Any]:
    """The unsigned little-endian dtype of Bits Allocated."""
    return np.dtype(f"<u{layout.bits_allocated // 8}")


def _cells(value: bytes, layout: PixelLayout, order: str) -> NDArray[Any]:
    """Native pixel data as an array, little endian."""
    count = layout.rows * layout.columns
    if len(value) < layout.slice_bytes:
        raise refusal("truncated", "the file ends inside its pixel data")
    cells = np.frombuffer(value, f"{order}u{layout.bits_allocated // 8}", count)
    return cells.reshape(layout.rows, layout.columns).astype(cell_type(layout), copy=False)


def _inflated(data: bytes, layout: PixelLayout) -> bytes:
    """The pixel data of a deflated file, inflated no further than the header allows (PS3.5 A.5)."""
    engine = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    try:
        value = engine.decompress(data, layout.offset + layout.slice_bytes)
    except zlib.error:
        raise refusal("unreadable_file", "the deflated stream is damaged") from None
    return value[layout.offset :]


def _decoded(value: bytes, layout: PixelLayout) -> NDArray[Any]:
    """Encapsulated pixel data, decoded and checked."""
    try:
        stream = joined(value)
    except EOFError:
        raise refusal("truncated", "the compressed pixel data end too early") from None
    except ValueError as error:
        raise refusal("unreadable_file", f"compressed pixel data: {error}") from None
    if layout.transfer_syntax == ts.RLE:
        return _rle(stream, layout)
    try:
        declared = describe(stream)
    except ValueError as error:
        raise refusal("unreadable_file", str(error)) from None
    if (declared.rows, declared.columns, declared.components) != (layout.rows, layout.columns, 1):
        what = f"the compressed image is {declared.rows} x {declared.columns} x {declared.components}"
        raise refusal("size_mismatch", f"{what}, the header says {layout.rows} x {layout.columns} x 1")
    if declared.precision > layout.bits_allocated:
        what = f"{declared.precision} bits a sample in {layout.bits_allocated} bits allocated"
        raise refusal("size_mismatch", what)
    if not is_whole(stream):
        raise refusal("truncated", "the compressed image has no end")
    return _samples(_run(_decoder(layout.transfer_syntax), stream), declared, layout)


def _samples(decoded: bytes, declared: Codestream, layout: PixelLayout) -> NDArray[Any]:
    """A decoder's output, in cells of the codestream's precision, as cells of Bits Allocated."""
    width = 1 if declared.precision <= 8 else 2 if declared.precision <= 16 else 4
    if len(decoded) != layout.rows * layout.columns * width:
        raise refusal("size_mismatch", "the decoder gave another number of bytes than the header says")
    samples = np.frombuffer(decoded, f"<{'i' if declared.signed else 'u'}{width}")
    return samples.reshape(layout.rows, layout.columns).astype(cell_type(layout))


def _decoder(syntax: str) -> Decoder:
    """The one decoder of a transfer syntax, imported now."""
    if syntax in ts.JPEG_LS_FAMILY:
        import jpeg_ls

        return lambda stream: jpeg_ls.decode_pixel_data(stream)[0]
    if syntax in ts.JPEG_2000_FAMILY:
        from openjpeg.utils import decode_pixel_data as openjpeg

        return lambda stream: openjpeg(stream, version=2)
    from libjpeg.utils import decode_pixel_data as libjpeg

    return lambda stream: libjpeg(stream, version=2)


def _rle(stream: bytes, layout: PixelLayout) -> NDArray[Any]:
    """An RLE image as cells."""
    width = layout.bits_allocated // 8
    try:
        cells = decoded_cells(stream, layout.rows * layout.columns, width)
    except ValueError as error:
        raise refusal("size_mismatch", str(error)) from None
    return cells.view(cell_type(layout)).reshape(layout.rows, layout.columns)


def _run(decoder: Decoder, stream: bytes) -> bytes:
    """Run a decoder; what it finds wrong becomes a refusal."""
    try:
        return bytes(decoder(stream))
    except (RuntimeError, ValueError, TypeError, OverflowError, IndexError) as error:
        raise refusal("unreadable_file", "the compressed image can't be decoded") from error

"""One slice's stored values out of its file, whatever its transfer syntax.

Every size is compared with the header before a decoder runs. Each transfer syntax has one decoder and no
second try, so that the same file always gives the same values. Native decoders run in child processes.
"""

from __future__ import annotations

from io import FileIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomosurf.data import transfer_syntax as ts
from tomosurf.data.codes import refusal
from tomosurf.data.series import Instance, PixelLayout
from tomosurf.errors import InputRefused
from tomosurf.volume.codestream import Codestream, describe, is_whole
from tomosurf.volume.fragments import beginning, joined
from tomosurf.volume.inflate import Inflated, check_ratio, pixels_of_frame, pixels_of_slice
from tomosurf.volume.run_length import decoded_cells
from tomosurf.volume.workers import Decoders, Limits, codec_of

LARGEST_EXPANSION = 4
"""A compressed slice may be this many times larger than the plain one, plus ``ROOM`` bytes."""
ROOM = 1 << 16
HEAD = 1 << 16
"""Bytes of a compressed slice in which it says how it was compressed."""


def raw_values(
    instance: Instance,
    out: NDArray[Any] | None = None,
    decoders: Decoders | None = None,
    inflated: Inflated | None = None,
) -> NDArray[Any]:
    """The cells of one slice as they were stored, (rows, columns), unsigned, of Bits Allocated.

    Args:
        instance: the slice.
        out: a writable array of that shape and dtype; an uncompressed little-endian slice is read straight
            into it, and it is returned.
        decoders: child processes for compressed slices; without, one is started for this slice alone.
        inflated: what is held of a deflated multi-frame object from one frame to the next.

    A compressed slice whose samples are signed comes with the sign in the cell's upper bits.

    Raises:
        InputRefused: truncated, size_mismatch, unreadable_file, too_large, decoder_failed; names the file and
            the attribute.
    """
    try:
        if instance.pixels.deflated_at is not None:
            return _cells(_inflated(instance, inflated or Inflated()), instance.pixels, "<")
        return _raw_values(instance, out, decoders)
    except InputRefused as error:
        error.files, error.attribute = (instance.name,), "PixelData"
        raise
    except OSError as error:
        what = f"the file can't be read ({error.strerror})"
        raise refusal("unreadable_file", what, files=(instance.name,)) from error


def _raw_values(instance: Instance, out: NDArray[Any] | None, decoders: Decoders | None) -> NDArray[Any]:
    layout = instance.pixels
    with FileIO(instance.path) as file:
        _check_size(file, instance)
        file.seek(layout.offset)
        if layout.transfer_syntax in ts.ENCAPSULATED:
            most = LARGEST_EXPANSION * layout.slice_bytes + ROOM
            there = layout.span or instance.size - layout.offset
            return _decoded(file.read(min(most, there)), layout, decoders)
        if layout.transfer_syntax == ts.EXPLICIT_BIG:
            return _cells(file.read(layout.slice_bytes), layout, ">")
        target = np.empty((layout.rows, layout.columns), cell_type(layout)) if out is None else out
        if file.readinto(target.data.cast("B")) != layout.slice_bytes:
            raise refusal("truncated", "the file ends inside its pixel data")
        return target


def _check_size(file: FileIO, instance: Instance) -> None:
    if file.seek(0, 2) != instance.size:
        raise refusal("unreadable_file", "the file changed while it was read")


def is_lossy(instance: Instance) -> bool:
    """Whether a slice lost something when it was compressed, by its header or by the compressed image itself.

    Raises:
        InputRefused: unreadable_file.
    """
    layout = instance.pixels
    if instance.lossy or layout.transfer_syntax not in ts.IN_CHILDREN:
        return instance.lossy
    try:
        with FileIO(instance.path) as file:
            file.seek(layout.offset)
            head = file.read(min(HEAD, layout.span or HEAD))
    except OSError as error:
        what = f"the file can't be read ({error.strerror})"
        raise refusal("unreadable_file", what, files=(instance.name,)) from error
    try:
        return describe(beginning(head, one_of_many=layout.span > 0)).lossy
    except ValueError:
        return False  # nothing that could be decoded


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


def _inflated(instance: Instance, inflated: Inflated) -> bytes:
    """The pixel data of one slice of a deflated file."""
    layout = instance.pixels
    with FileIO(instance.path) as file:
        _check_size(file, instance)
        if layout.frames > 1:
            return inflated.frame(instance)
        file.seek(layout.deflated_at or 0)
        packed = file.read(LARGEST_EXPANSION * (layout.offset + layout.slice_bytes) + ROOM)
    check_ratio(layout.offset + layout.slice_bytes, len(packed))
    return pixels_of_slice(packed, layout)


def _decoded(value: bytes, layout: PixelLayout, decoders: Decoders | None) -> NDArray[Any]:
    """Encapsulated pixel data, decoded and checked."""
    try:
        stream = joined(value, one_of_many=layout.span > 0)
    except EOFError:
        raise refusal("truncated", "the compressed pixel data end too early") from None
    except ValueError as error:
        raise refusal("unreadable_file", f"compressed pixel data: {error}") from None
    check_ratio(layout.slice_bytes, len(stream))
    if layout.transfer_syntax not in ts.IN_CHILDREN:
        return _unpacked(stream, layout)
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
    width = 1 if declared.precision <= 8 else 2 if declared.precision <= 16 else 4
    codec, expected = codec_of(layout.transfer_syntax), layout.rows * layout.columns * width
    if decoders is not None:
        return _samples(decoders.decode(codec, stream, expected), declared, layout)
    with Decoders(Limits.of([layout])) as one:
        return _samples(one.decode(codec, stream, expected), declared, layout)


def _samples(decoded: bytearray, declared: Codestream, layout: PixelLayout) -> NDArray[Any]:
    """A decoder's output, in cells of the codestream's precision, as cells of Bits Allocated."""
    width = len(decoded) // (layout.rows * layout.columns)
    samples = np.frombuffer(decoded, f"<{'i' if declared.signed else 'u'}{width}")
    return samples.reshape(layout.rows, layout.columns).astype(cell_type(layout), copy=False)


def _unpacked(stream: bytes, layout: PixelLayout) -> NDArray[Any]:
    """One encapsulated image that is no compressed image by itself."""
    if layout.transfer_syntax == ts.RLE:
        return _rle(stream, layout)
    if layout.transfer_syntax == ts.DEFLATED_FRAMES:
        return _cells(pixels_of_frame(stream, layout.slice_bytes), layout, "<")
    expected = layout.slice_bytes
    if len(stream) not in (expected, expected + expected % 2):
        raise refusal("size_mismatch", f"a frame of {len(stream)} bytes, not {expected}")
    return _cells(stream, layout, "<")


def _rle(stream: bytes, layout: PixelLayout) -> NDArray[Any]:
    """An RLE image as cells."""
    width = layout.bits_allocated // 8
    try:
        cells = decoded_cells(stream, layout.rows * layout.columns, width)
    except ValueError as error:
        raise refusal("size_mismatch", str(error)) from None
    return cells.view(cell_type(layout)).reshape(layout.rows, layout.columns)

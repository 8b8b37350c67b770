"""Which fragments of encapsulated pixel data are which frame's (PS3.5 section A.4)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import BinaryIO

from tomosurf.data.codes import refusal
from tomosurf.ingest.elements import ITEM, SEQUENCE_END

MAX_FRAGMENTS = 1 << 20
"""Fragments that one object may have."""


def spans_of(file: BinaryIO, start: int, count: int, extended: bytes) -> list[tuple[int, int]]:
    """Offset in the file and length in bytes of every frame's fragments, item headers included.

    By the Basic Offset Table; where that is empty by ``extended``, the Extended Offset Table's value; without
    either, one fragment is one frame, if that gives ``count`` frames.

    Raises:
        InputRefused: multi_frame, size_mismatch, truncated, unreadable_file, too_large.
    """
    file.seek(start)
    length = _header(file)
    if length is None:
        raise refusal("unreadable_file", "no offset table before the fragments")
    if length > 4 * count:
        raise refusal("size_mismatch", "the offset table has more entries than there are frames")
    table = file.read(length)
    if len(table) < length:
        raise refusal("truncated", "the file ends inside its offset table")
    first = start + 8 + length
    starts, end = _fragments(file, first)
    if table or extended:
        form = f"<{count}L" if table else f"<{count}Q"
        if struct.calcsize(form) != len(table or extended):
            raise refusal("size_mismatch", "the offset table hasn't one entry a frame")
        return _by_table([first + offset for offset in struct.unpack(form, table or extended)], starts, end)
    if len(starts) != count:
        what = f"{len(starts)} fragments without an offset table can't be told apart as {count} frames"
        raise refusal("multi_frame", what)
    return _by_table(starts, starts, end)


def _by_table(offsets: Sequence[int], starts: Sequence[int], end: int) -> list[tuple[int, int]]:
    """Spans from one offset to the next, if every one is a fragment's and they ascend from the first."""
    ends = (*offsets[1:], end)
    ascending = all(a < b for a, b in zip(offsets, ends, strict=True))
    if not ascending or offsets[0] != starts[0] or not set(offsets) <= set(starts):
        raise refusal("size_mismatch", "the offset table doesn't fit the fragments")
    return [(a, b - a) for a, b in zip(offsets, ends, strict=True)]


def _fragments(file: BinaryIO, at: int) -> tuple[list[int], int]:
    """Where every fragment's item starts, and where the last one ends."""
    size = file.seek(0, 2)
    starts: list[int] = []
    while True:
        file.seek(at)
        length = _header(file)
        if length is None:
            break
        starts.append(at)
        at += 8 + length
        if at > size:
            raise refusal("truncated", "the compressed pixel data end too early")
        if len(starts) > MAX_FRAGMENTS:
            raise refusal("too_large", f"more than {MAX_FRAGMENTS} fragments")
    if not starts:
        raise refusal("unreadable_file", "compressed pixel data: no fragment")
    return starts, at


def _header(file: BinaryIO) -> int | None:
    """The length of the item that starts here; None at the sequence's end."""
    header = file.read(8)
    if len(header) < 8:
        raise refusal("truncated", "the compressed pixel data end too early")
    group, element, length = struct.unpack("<HHL", header)
    tag = group << 16 | element
    if tag == SEQUENCE_END:
        return None
    if tag != ITEM:
        raise refusal("unreadable_file", "compressed pixel data: something else than an item")
    return int(length)

"""Encapsulated pixel data: fragments put together to one compressed image (PS3.5 section A.4)."""

from __future__ import annotations

import struct

ITEM, SEQUENCE_END = 0xFFFEE000, 0xFFFEE0DD


def joined(value: bytes, *, one_of_many: bool = False) -> bytes:
    """The one image in ``value``, which starts with the Basic Offset Table's item.

    Offsets in the table don't matter where a file has one frame: all fragments are its. ``one_of_many`` says
    that ``value`` is the fragments of one frame of several, without the table and the sequence's delimiter.

    Raises:
        EOFError: ``value`` ends before the sequence's delimiter.
        ValueError: something else than items.
    """
    fragments = [b""] if one_of_many else []
    at = 0
    while not (one_of_many and at == len(value)):
        if at + 8 > len(value):
            raise EOFError
        group, element, length = struct.unpack_from("<HHL", value, at)
        tag = group << 16 | element
        at += 8
        if tag == SEQUENCE_END:
            break
        if tag != ITEM:
            raise ValueError("something else than an item among the fragments")
        if at + length > len(value):
            raise EOFError
        fragments.append(value[at : at + length])
        at += length
    if len(fragments) < 2:
        raise ValueError("no fragment")
    return fragments[1] if len(fragments) == 2 else b"".join(fragments[1:])


def beginning(value: bytes, *, one_of_many: bool = False) -> bytes:
    """What the first bytes of encapsulated pixel data hold of their first image; ``one_of_many`` as above."""
    fragments = [b""] if one_of_many else []
    at = 0
    while at + 8 <= len(value):
        group, element, length = struct.unpack_from("<HHL", value, at)
        if group << 16 | element != ITEM:
            break
        at += 8 + length
        fragments.append(value[at - length : at])
    return b"".join(fragments[1:])

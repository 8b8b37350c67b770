from __future__ import annotations

import struct

import pytest

from tomosurf.volume.codestream import Codestream, describe, is_whole
from tomosurf.volume.fragments import joined

TABLES = b"\xff\xd8\xff\xe0\0\x04ab\xff\xc4\0\x03c\xff\xff"


@pytest.mark.parametrize("marker", [0xC0, 0xC1, 0xC3, 0xF7])
def test_jpeg_and_jpeg_ls(marker: int) -> None:
    frame = struct.pack(">BBHBHHB", 0xFF, marker, 11, 12, 300, 200, 1)
    assert describe(TABLES + frame) == Codestream(300, 200, 1, 12, signed=False)


def test_jpeg_2000() -> None:
    size = struct.pack(">HHHHLLLLLLLLHB", 0xFF4F, 0xFF51, 41, 0, 210, 320, 10, 20, 1, 1, 0, 0, 1, 0x8B)
    assert describe(size) == Codestream(300, 200, 1, 12, signed=True)


@pytest.mark.parametrize(
    "stream", [b"", b"x", b"\0" * 99, TABLES, b"\xff\xd8\0\0\0\0", b"\xff\x4f" + b"\0" * 60]
)
def test_no_codestream(stream: bytes) -> None:
    with pytest.raises(ValueError, match=r"compressed image|codestream"):
        describe(stream)


def test_the_end_marker() -> None:
    assert is_whole(b"\xff\xd8\xff\xd9")
    assert is_whole(b"\xff\xd8\xff\xd9\0")
    assert not is_whole(b"\xff\xd8\xff")


def test_fragments() -> None:
    def item(data: bytes) -> bytes:
        return struct.pack("<HHL", 0xFFFE, 0xE000, len(data)) + data

    end = struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
    assert joined(item(b"") + item(b"ab") + end + b"rest") == b"ab"
    assert joined(item(b"\0\0\0\0") + item(b"ab") + item(b"cd") + end) == b"abcd"
    for value in (item(b"") + end, item(b"") + b"notitem!", b"\0" * 8):
        with pytest.raises(ValueError, match="fragment"):
            joined(value)
    for value in (b"", item(b"") + item(b"ab"), item(b"") + item(b"ab")[:-1]):
        with pytest.raises(EOFError):
            joined(value)

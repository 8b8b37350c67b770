from __future__ import annotations

import struct
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tomosurf.volume.codestream import Codestream, describe, is_whole
from tomosurf.volume.fragments import beginning, joined

TABLES = b"\xff\xd8\xff\xe0\0\x04ab\xff\xc4\0\x03c\xff\xff"


@pytest.mark.parametrize("marker", [0xC0, 0xC1, 0xC3, 0xF7])
def test_jpeg_and_jpeg_ls(marker: int) -> None:
    frame = struct.pack(">BBHBHHB", 0xFF, marker, 11, 12, 300, 200, 1)
    assert describe(TABLES + frame) == Codestream(300, 200, 1, 12, False, lossy=marker in (0xC0, 0xC1))


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


def scan(frame: int, tail: bytes) -> bytes:
    """A code stream up to its scan, whose last three parameters are ``tail``."""
    size = struct.pack(">BBHBHHBBBB", 0xFF, frame, 11, 12, 300, 200, 1, 1, 0x11, 0)
    return TABLES + size + b"\xff\xc4\0\x03c" + b"\xff\xda\0\x08\x01\x01\0" + tail


@pytest.mark.parametrize(
    ("frame", "tail", "lossy"),
    [
        (0xF7, b"\0\0\0", False),
        (0xF7, b"\x02\0\0", True),  # NEAR
        (0xF7, b"\0\0\x01", True),  # point transform
        (0xC3, b"\x01\0\0", False),
        (0xC3, b"\x06\0\0", False),
        (0xC3, b"\x01\0\x03", True),  # point transform
        (0xC0, b"\0\x3f\0", True),
        (0xC1, b"\0\x3f\0", True),
    ],
)
def test_whether_jpeg_loses(frame: int, tail: bytes, lossy: bool) -> None:
    assert describe(scan(frame, tail)).lossy is lossy


@pytest.mark.parametrize("wavelet", [0, 1])
def test_whether_jpeg_2000_loses(wavelet: int) -> None:
    size = struct.pack(
        ">HHHHLLLLLLLLHBBB", 0xFF4F, 0xFF51, 41, 0, 210, 320, 10, 20, 1, 1, 0, 0, 1, 0x8B, 1, 1
    )
    comment = b"\xff\x64\0\x06\0\1ab"
    style = struct.pack(">HHBBHBBBBBB", 0xFF52, 12, 0, 0, 1, 0, 5, 4, 4, 0, wavelet)
    assert describe(size + comment + style).lossy is (wavelet == 0)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([b"\xff\xd8", b"\xff\x4f\xff\x51"]), st.binary(max_size=120))
def test_any_bytes_are_described_or_not(start: bytes, rest: bytes) -> None:
    with suppress(ValueError):
        describe(start + rest)


def test_the_beginning_of_fragments() -> None:
    def item(data: bytes) -> bytes:
        return struct.pack("<HHL", 0xFFFE, 0xE000, len(data)) + data

    whole = item(b"\0\0\0\0") + item(b"abcd") + item(b"ef") + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
    assert beginning(whole) == b"abcdef"
    assert beginning(whole[:22]) == b"ab"
    assert beginning(item(b"abcd") + item(b"ef"), one_of_many=True) == b"abcdef"
    assert beginning(b"") == beginning(b"\0" * 40) == b""

"""Input made to exhaust memory: refused by code, and what it took is measured in a process of its own."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate

from tomosurf.data.geometry import Geometry
from tomosurf.testing.dicom_writer import SeriesOptions, write_series

MOST_MB = 300
READ = """
import json, resource, sys
from pathlib import Path
from tomosurf.errors import InputRefused
from tomosurf.ingest.read import opened
from tomosurf.volume.build import build
codes = []
with opened(Path(sys.argv[1])) as intake:
    codes += [notice.code for notice in (*intake.refused, *intake.skipped)]
    for series in (series for study in intake.studies for series in study.series):
        try:
            build(series)
            codes.append("volume")
        except InputRefused as error:
            codes.append(error.code)
status = Path("/proc/self/status")
own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
if status.exists():  # since this program started; the other counts what was before it
    own = int(status.read_text().split("VmHWM:")[1].split()[0])
child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(json.dumps([codes, own * 1024 / 1e6, child * 1024 / 1e6]))
"""
EXPLICIT, DEFLATED = b"1.2.840.10008.1.2.1", b"1.2.840.10008.1.2.1.99"
CT = b"1.2.840.10008.5.1.4.1.1.2"


def codes_of(source: Path) -> set[str]:
    """What is said about ``source`` in another process, which takes no more than ``MOST_MB``."""
    command = [sys.executable, "-c", READ, str(source)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    codes, own, child = json.loads(done.stdout)
    assert own < MOST_MB
    assert child < MOST_MB
    return set(codes)


def element(tag: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    value += b"\0" * (len(value) % 2)
    length = len(value) if length is None else length
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr
    long = vr in (b"OB", b"OW", b"UN", b"SQ")
    return head + (struct.pack("<HL", 0, length) if long else struct.pack("<H", length)) + value


def file_of(data_set: bytes, syntax: bytes = EXPLICIT) -> bytes:
    meta = element(0x00020010, b"UI", syntax)
    return bytes(128) + b"DICM" + meta + data_set


def deflated(*parts: bytes | int) -> bytes:
    """A raw deflate stream of bytes, and of as many zeros as a number says."""
    engine = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    packed = b""
    for part in parts:
        if isinstance(part, bytes):
            packed += engine.compress(part)
            continue
        for _ in range(part >> 20):
            packed += engine.compress(bytes(1 << 20))
    return packed + engine.flush()


HEAD = element(0x00080016, b"UI", CT)


def directory_entry(
    name: bytes, offset: int = 0, packed: int = 0, plain: int = 0, checksum: int = 0
) -> bytes:
    numbers = (20, 20, 0, 8, 0, 0, checksum, packed, plain, len(name), 0, 0, 0, 0, 0, offset)
    return struct.pack("<4s6H3L5H2L", b"PK\x01\x02", *numbers) + name


def directory_end(count: int, size: int, offset: int) -> bytes:
    return struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count & 0xFFFF, count & 0xFFFF, size, offset, 0)


def zip_bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("slice", "w") as member:
        for _ in range(400):
            member.write(bytes(1 << 20))


def nested_zip_bomb(path: Path) -> None:
    inner = path.with_name("inner.zip")
    zip_bomb(inner)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(20):
            archive.write(inner, f"{number}.zip")


def overlapping_zip_bomb(path: Path) -> None:
    """A thousand entries of one and the same packed member."""
    content = bytes(20 << 20)
    packed, checksum = deflated(20 << 20), zlib.crc32(content)
    local = struct.pack("<4s5H3L2H", b"PK\x03\x04", 20, 0, 8, 0, 0, checksum, len(packed), len(content), 1, 0)
    entry = directory_entry(b"a", 0, len(packed), len(content), checksum)
    body = local + b"a" + packed
    path.write_bytes(body + entry * 1000 + directory_end(1000, len(entry) * 1000, len(body)))


def zip_of_a_million_members(path: Path) -> None:
    entries = b"".join(directory_entry(b"%06d" % number) for number in range(1_000_000))
    path.write_bytes(b"PK\x03\x04" + entries + directory_end(7, len(entries), 4))


def zip_of_a_huge_directory(path: Path) -> None:
    size = 1 << 29
    with path.open("wb") as file:
        file.write(b"PK\x03\x04")
        file.seek(4 + size)  # nothing but holes: no room on disk
        file.write(directory_end(1, size, 4))


@pytest.mark.parametrize(
    ("make", "codes"),
    [
        (zip_bomb, {"too_large"}),
        (nested_zip_bomb, {"no_dicom"}),
        (zip_of_a_million_members, {"too_large"}),
        (zip_of_a_huge_directory, {"too_large"}),
    ],
)
def test_archives(tmp_path: Path, make: Callable[[Path], None], codes: set[str]) -> None:
    make(tmp_path / "a.zip")
    assert codes_of(tmp_path / "a.zip") == codes


def test_an_archive_of_overlapping_members(tmp_path: Path) -> None:
    """Pythons that look for overlaps (CVE-2024-0450) refuse it before its size is known."""
    overlapping_zip_bomb(tmp_path / "a.zip")
    assert codes_of(tmp_path / "a.zip") in ({"too_large"}, {"unreadable_file"})


def deep(undefined: int = 0xFFFFFFFF, sequence: int = 0x00081140) -> bytes:
    """Items in sequences in items, a hundred thousand deep."""
    item = struct.pack("<HHL", 0xFFFE, 0xE000, undefined)
    return (element(sequence, b"SQ", b"", undefined) + item) * 100_000


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (file_of(HEAD + element(0x00091001, b"UN", b"", 0xFFFFFFFE) + bytes(4000)), "truncated"),
        (file_of(HEAD + element(0x00091001, b"UN", b"", 0x7FFFFFFF)), "truncated"),
        (file_of(HEAD + deep()), "unreadable_file"),
        (file_of(HEAD + deep(sequence=0x52009230)), "unreadable_file"),
        (file_of(element(0x00080016, b"UI", CT + b".1") + deep(sequence=0x52009230)), "unreadable_file"),
        (
            file_of(deflated(HEAD + element(0x00091001, b"UN", b"", 300 << 20), 300 << 20), DEFLATED),
            "too_large",
        ),
        (file_of(deflated(HEAD + deep() * 3), DEFLATED), "unreadable_file"),
    ],
    ids=[
        "length of 4 GB",
        "length of 2 GB",
        "nested",
        "nested groups",
        "nested groups of an enhanced CT",
        "deflated header",
        "deflated nested",
    ],
)
def test_headers(tmp_path: Path, content: bytes, code: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "1.dcm").write_bytes(content)
    assert codes_of(tmp_path / "in") == {code}


def lying_series(folder: Path, syntax: str, rows: int, change: Callable[[pydicom.Dataset], None]) -> Path:
    """Three slices of 40 x 40 that claim ``rows`` x ``rows``."""
    grid = Geometry((40, 40, 3), np.eye(4))
    for path in write_series(folder, np.zeros(grid.shape, np.int16), grid, SeriesOptions(syntax=syntax)):  # type: ignore[arg-type]
        dataset = pydicom.dcmread(path)
        dataset.Rows = dataset.Columns = rows
        change(dataset)
        dataset.save_as(path)
    return folder


def nothing(dataset: pydicom.Dataset) -> None:
    pass


def same_lie_in_the_stream(dataset: pydicom.Dataset) -> None:
    """The compressed image says 8192 x 8192 too, in its own header."""
    (frame,) = pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1)
    short, long = struct.Struct(">HH"), struct.Struct(">LL")
    lied = frame.replace(short.pack(40, 40), short.pack(8192, 8192), 1)
    if lied == frame:
        lied = frame.replace(long.pack(40, 40), long.pack(8192, 8192))
    assert lied != frame
    dataset.PixelData = encapsulate([lied])


@pytest.mark.parametrize("syntax", ["explicit-le", "implicit-le", "explicit-be", "deflated"])
def test_uncompressed_slices_that_lie(tmp_path: Path, syntax: str) -> None:
    assert codes_of(lying_series(tmp_path / "huge", syntax, 65535, nothing)) == {"too_large"}
    assert codes_of(lying_series(tmp_path / "large", syntax, 8192, nothing)) == {"size_mismatch"}


@pytest.mark.parametrize("syntax", ["rle", "jpeg-lossless", "jpeg-ls", "jpeg-2000"])
def test_compressed_slices_that_lie(tmp_path: Path, syntax: str) -> None:
    assert codes_of(lying_series(tmp_path / "huge", syntax, 65535, nothing)) == {"too_large"}
    assert codes_of(lying_series(tmp_path / "large", syntax, 8192, nothing)) <= {"size_mismatch", "too_large"}
    if syntax != "rle":
        lying = lying_series(tmp_path / "both", syntax, 8192, same_lie_in_the_stream)
        assert codes_of(lying) == {"too_large"}
        lying = lying_series(tmp_path / "half", syntax, 4096, nothing)
        assert codes_of(lying) == {"size_mismatch"}


def test_deflated_slices_of_zeros(tmp_path: Path) -> None:
    """A hundred kilobytes a slice that inflate to 128 MB each."""
    folder = lying_series(tmp_path / "in", "deflated", 8192, nothing)
    for path in folder.iterdir():
        data = path.read_bytes()
        start = data.index(DEFLATED) + len(DEFLATED)
        meta_end = 144 + struct.unpack_from("<L", data, 140)[0]
        assert start < meta_end
        plain = zlib.decompress(data[meta_end:], wbits=-zlib.MAX_WBITS)
        head = plain[: plain.index(struct.pack("<HH", 0x7FE0, 0x0010))]
        path.write_bytes(data[:meta_end] + deflated(head + element(0x7FE00010, b"OW", b"", 1 << 27), 1 << 27))
    assert codes_of(folder) == {"too_large"}


def test_a_header_of_nothing_but_elements(tmp_path: Path) -> None:
    """Sixty kilobytes that inflate to eight million empty elements: most of them are never looked at."""
    (tmp_path / "1.dcm").write_bytes(
        file_of(deflated(HEAD + element(0x00091001, b"LO", b"") * (8 << 20)), DEFLATED)
    )
    assert codes_of(tmp_path) == {"too_large"}

"""What damaged files still say, and what is no damaged DICOM file."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tomosurf.ingest.remains import remains_of
from tomosurf.testing.dicom_writer import SYNTAXES, derived_uid

from .conftest import Write

SERIES = derived_uid("series", "study", "series")
CT = "1.2.840.10008.5.1.4.1.1.2"


@pytest.mark.parametrize("syntax", sorted(set(SYNTAXES) - {"jpeg-2000"}))
def test_the_series_is_read_wherever_the_damage_comes_after_it(write: Write, syntax: str) -> None:
    path = write(syntax=syntax)[0]
    data = path.read_bytes()
    said = set()
    for cut in range(132, len(data), 11):
        path.write_bytes(data[:cut])
        remains = remains_of(path)
        assert remains is not None
        assert not remains.is_no_slice
        said.add(remains.series_uid)
    assert said - {""} == {SERIES}
    assert "" in said


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[1:],
        lambda data: b"xyz" + data,
        lambda data: data[:128] + b"DIxM" + data[132:],
        lambda data: data[:128] + b"DICM" + b"\xff" * 8 + data[140:],
        lambda data: data[:138] + b"\x01" + data[139:],
    ],
)
def test_a_head_that_was_hit_still_shows_dicom(write: Write, spoil: Callable[[bytes], bytes]) -> None:
    path = write()[0]
    path.write_bytes(spoil(path.read_bytes()))
    assert remains_of(path) is not None


def test_a_file_without_preamble_shows_its_series(write: Write) -> None:
    path = write()[0]
    data = path.read_bytes()
    start = 132 + 12 + int.from_bytes(data[140:144], "little")
    path.write_bytes(data[start:-100])
    remains = remains_of(path)
    assert remains is not None
    assert (remains.series_uid, remains.classes) == (SERIES, {CT})


def test_a_report_says_that_it_held_no_slice(write: Write) -> None:
    path = write(attributes={"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.33"})[0]
    path.write_bytes(path.read_bytes()[:360])
    remains = remains_of(path)
    assert remains is not None
    assert remains.is_no_slice


def test_an_unknown_class_may_be_anything(write: Write) -> None:
    path = write(attributes={"SOPClassUID": "1.3.12.2.1107.5.9.1"})[0]
    path.write_bytes(path.read_bytes()[:360])
    remains = remains_of(path)
    assert remains is not None
    assert not remains.is_no_slice


def _zipped(data: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("a", data)
    return packed.getvalue()


def _tarred(data: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        entry = tarfile.TarInfo("a")
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    return packed.getvalue()


@pytest.mark.parametrize(
    "foreign",
    [
        lambda _: b"",
        lambda _: bytes(4096),
        lambda _: b"DICM files start with a preamble; UIDs with 1.2.840.10008.5. " * 20,
        lambda _: b"\x89PNG\r\n" + bytes(range(256)) * 8,
        lambda _: b"\x08\0\x05\0" + bytes(range(200)),
        lambda data: data[:120],
        _zipped,
        _tarred,
    ],
)
def test_foreign_files_are_none(write: Write, foreign: Callable[[bytes], bytes]) -> None:
    path: Path = write()[0]
    path.write_bytes(foreign(path.read_bytes()))
    assert remains_of(path) is None


def test_a_file_that_cant_be_opened_may_be_anything(tmp_path: Path) -> None:
    remains = remains_of(tmp_path / "gone.dcm")
    assert remains is not None
    assert not remains.series_uid
    assert not remains.is_no_slice

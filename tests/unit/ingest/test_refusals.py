"""Slices that can't be placed or read: the code, the file and the attribute, and the series left out whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom._uid_dict import UID_dictionary

from tomosurf.data.series import short_digest
from tomosurf.data.transfer_syntax import DEFLATED_REFERENCES, NOT_READ, SUPPORTED
from tomosurf.errors import InputRefused
from tomosurf.ingest.header import read_header
from tomosurf.ingest.read import read
from tomosurf.testing.dicom_writer import derived_uid

from .conftest import Write

STORAGE = "1.2.840.10008.5.1.4.1.1."
FAULTS: list[tuple[dict[str, Any], str, str]] = [
    ({"ImagePositionPatient": None}, "missing_position", "ImagePositionPatient"),
    ({"ImageOrientationPatient": None}, "missing_position", "ImageOrientationPatient"),
    ({"ImageOrientationPatient": [1, 0, 0, 0.1, 1, 0]}, "bad_geometry", "ImageOrientationPatient"),
    ({"ImageOrientationPatient": [1.1, 0, 0, 0, 1, 0]}, "bad_geometry", "ImageOrientationPatient"),
    ({"ImageOrientationPatient": [0, 0, 0, 0, 0, 0]}, "bad_geometry", "ImageOrientationPatient"),
    ({"PixelSpacing": None}, "missing_pixel_spacing", "PixelSpacing"),
    ({"PixelSpacing": [1, 0]}, "bad_geometry", "PixelSpacing"),
    ({"PixelSpacing": [-1, 1]}, "bad_geometry", "PixelSpacing"),
    ({"RescaleSlope": None}, "missing_rescale", "RescaleSlope"),
    ({"RescaleSlope": 0}, "missing_rescale", "RescaleSlope"),
    ({"RescaleIntercept": None}, "missing_rescale", "RescaleIntercept"),
    ({"RescaleSlope": None, "RescaleIntercept": None}, "missing_rescale", "RescaleSlope"),
    ({"ModalityLUTSequence": [pydicom.Dataset()]}, "modality_lut", "ModalityLUTSequence"),
    ({"ImageType": ["ORIGINAL", "PRIMARY", "MOSAIC"]}, "mosaic", "ImageType"),
    ({"SOPClassUID": STORAGE + "2.1"}, "multi_frame", "NumberOfFrames"),
    ({"NumberOfFrames": 2}, "multi_frame", "NumberOfFrames"),
    ({"PhotometricInterpretation": "RGB"}, "colour", "PhotometricInterpretation"),
    ({"PhotometricInterpretation": "PALETTE COLOR"}, "colour", "PhotometricInterpretation"),
    ({"SamplesPerPixel": 3}, "colour", "PhotometricInterpretation"),
    ({"PixelData": None}, "no_pixel_data", "PixelData"),
    ({"Rows": 5}, "size_mismatch", "PixelData"),
    ({"Rows": 0}, "size_mismatch", "Rows"),
    ({"Columns": None}, "size_mismatch", "Columns"),
    ({"Rows": 65535, "Columns": 65535}, "too_large", "Rows"),
    ({"BitsAllocated": 12}, "unsupported_pixels", "BitsAllocated"),
    ({"BitsAllocated": None}, "unsupported_pixels", "BitsAllocated"),
    ({"BitsStored": 17}, "unsupported_pixels", "BitsStored"),
    ({"HighBit": 5}, "unsupported_pixels", "BitsStored"),
    ({"PixelRepresentation": 2}, "unsupported_pixels", "PixelRepresentation"),
    ({"SOPInstanceUID": None}, "invalid_uid", "SOPInstanceUID"),
    ({"StudyInstanceUID": None}, "invalid_uid", "StudyInstanceUID"),
]


def spoil(path: Path, changes: dict[str, Any]) -> None:
    dataset = pydicom.dcmread(path)
    for keyword, value in changes.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    dataset.save_as(path)


@pytest.mark.parametrize(("changes", "code", "attribute"), FAULTS)
def test_a_spoilt_slice_refuses_its_series(
    write: Write, changes: dict[str, Any], code: str, attribute: str
) -> None:
    files = write()
    spoil(files[2], changes)
    intake = read(files[0].parent)
    (refused,) = intake.refused
    assert (refused.code, refused.files, refused.attribute) == (code, (files[2].name,), attribute)
    assert refused.series == short_digest(derived_uid("series", "study", "series"))
    assert refused.advice
    if changes.get("StudyInstanceUID", "") is not None:  # without it, the series can't be told
        assert not intake.studies


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        (b"ImagePositionPatient", b"0\\0\\nan "),
        (b"ImagePositionPatient", b"0\\0\\1e999"),
        (b"ImagePositionPatient", b"0\\zero\\0 "),
        (b"ImagePositionPatient", b"0\\0 "),
    ],
)
def test_numbers_that_arent(write: Write, keyword: bytes, value: bytes) -> None:
    files = write()
    data = files[0].read_bytes()
    head = b"\x20\0\x32\0DS"
    at = data.index(head)
    length = int.from_bytes(data[at + 6 : at + 8], "little")
    value += b" " * (len(value) % 2)
    files[0].write_bytes(data[: at + 6] + len(value).to_bytes(2, "little") + value + data[at + 8 + length :])
    (refused,) = read(files[0].parent).refused
    assert (refused.code, refused.attribute) == ("bad_geometry", keyword.decode())


def test_mr_needs_no_rescale(write: Write) -> None:
    intake = read(write(modality="MR", rescale=None)[0].parent)
    assert not intake.refused
    assert intake.studies[0].series[0].instances[0].rescale is None


def test_ct_by_class_needs_it_whatever_modality_says(write: Write) -> None:
    files = write(rescale=None, attributes={"Modality": "MR"})
    assert read(files[0].parent).refused[0].code == "missing_rescale"


@pytest.mark.parametrize("syntax", [*NOT_READ, "1.2.3"])
def test_transfer_syntaxes_that_cant_be_decoded(write: Write, syntax: str) -> None:
    """Each is refused by its name, those too whose whole data set is deflated."""
    files = write(syntax="deflated" if syntax in DEFLATED_REFERENCES else "explicit-le")
    known = b"1.2.840.10008.1.2.1.99" if syntax in DEFLATED_REFERENCES else b"1.2.840.10008.1.2.1\0"
    data = files[0].read_bytes()
    assert known in data
    length = data.index(known) - 2
    value = syntax.encode() + b"\0" * (len(syntax) % 2)
    files[0].write_bytes(
        data[:length] + len(value).to_bytes(2, "little") + value + data[length + 2 + len(known) :]
    )
    (refused,) = read(files[0].parent).refused
    assert (refused.code, refused.files) == ("unsupported_transfer_syntax", (files[0].name,))
    assert refused.attribute == "TransferSyntaxUID"
    name = NOT_READ.get(syntax, "a transfer syntax that isn't registered")
    assert refused.message == f"not read: {name}"


def test_every_registered_transfer_syntax_is_read_or_has_a_name() -> None:
    registered = {u: entry[0] for u, entry in UID_dictionary.items() if entry[1] == "Transfer Syntax"}
    assert not SUPPORTED & NOT_READ.keys()
    assert registered.keys() <= SUPPORTED | NOT_READ.keys()
    assert all(registered.get(uid, name) == name for uid, name in NOT_READ.items())


@pytest.mark.parametrize("syntax", ["explicit-le", "implicit-le", "explicit-be", "jpeg-ls"])
def test_every_cut_through_the_header_is_noticed(write: Write, syntax: str) -> None:
    path = write(syntax=syntax)[0]
    data = path.read_bytes()
    end = read(path).studies[0].series[0].instances[0].pixels.offset
    for cut in range(140, end - 1, 7):
        path.write_bytes(data[:cut])
        intake = read(path)
        found = {item.code for item in intake.refused}
        assert found
        assert found <= {"truncated", "no_pixel_data", "invalid_uid", "no_dicom"} | {
            "unsupported_transfer_syntax"
        }
        assert not intake.studies


def test_cut_pixel_data(write: Write) -> None:
    files = write()
    files[1].write_bytes(files[1].read_bytes()[:-2])
    (refused,) = read(files[0].parent).refused
    assert (refused.code, refused.files) == ("truncated", (files[1].name,))


def test_a_header_has_a_limit(write: Write) -> None:
    path = write(attributes={"ICCProfile": bytes(60_000)})[0]
    assert read_header(path).size > 60_000
    with pytest.raises(InputRefused, match="too_large"):
        read_header(path, limit=40_000)


def test_a_deflated_bomb_isnt_inflated(write: Write, tmp_path: Path) -> None:
    import tracemalloc
    import zlib

    path = write(syntax="deflated")[0]
    data = path.read_bytes()
    start = read(path).studies[0].series[0].instances[0].pixels.deflated_at
    assert start is not None
    engine = zlib.compressobj(9, wbits=-15)
    bomb = engine.compress(zlib.decompress(data[start:], -15))
    for _ in range(400):
        bomb += engine.compress(bytes(1 << 20))
    path.write_bytes(data[:start] + bomb + engine.flush())
    tracemalloc.start()
    read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000


def test_big_endian_bytes_in_words_are_refused(write: Write) -> None:
    files = write(syntax="explicit-be")
    dataset = pydicom.dcmread(files[0])
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.PixelData = bytes(20)
    dataset.save_as(files[0])
    (refused,) = read(files[0].parent).refused
    assert (refused.code, refused.attribute) == ("unsupported_pixels", "BitsAllocated")

from __future__ import annotations

import struct
from io import BytesIO

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence

from tomosurf.ingest.elements import MAX_DEPTH, UNDEFINED, Encoding, Malformed, NeedsMore, Search, scan

ROWS = 0x00280010
ENCODINGS = [Encoding(implicit, little) for implicit, little in ((False, True), (True, True), (False, False))]


def encoded(encoding: Encoding, *, undefined: bool, depth: int = 3) -> bytes:
    """A data set with sequences ``depth`` deep before Rows, as pydicom writes it."""
    inner = Dataset()
    inner.Rows = 9
    for _ in range(depth):
        outer = Dataset()
        outer.ReferencedImageSequence = Sequence([inner, Dataset()])
        outer["ReferencedImageSequence"].is_undefined_length = undefined
        inner.is_undefined_length_sequence_item = undefined
        outer.Rows = 9
        inner = outer
    inner.Rows = 7
    inner.PixelData = b"\x01\x02\x03\x04"
    inner["PixelData"].VR = "OW"
    out = DicomBytesIO()
    out.is_implicit_VR, out.is_little_endian = encoding.implicit, encoding.little
    write_dataset(out, inner)
    return out.getvalue()


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_only_the_top_level_is_read(encoding: Encoding, undefined: bool) -> None:
    data = encoded(encoding, undefined=undefined)
    found = scan(data, 0, encoding, Search({ROWS}), end_of_file=True)
    assert struct.unpack(encoding.byte_order + "H", found.values[ROWS]) == (7,)
    assert data[found.pixel_offset :] == b"\x01\x02\x03\x04"
    assert found.pixel_length == 4


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_cut_is_noticed(encoding: Encoding, undefined: bool) -> None:
    data = encoded(encoding, undefined=undefined)
    header_end = scan(data, 0, encoding, Search({ROWS}), end_of_file=True).pixel_offset
    assert header_end is not None
    for cut in range(1, header_end):
        try:
            found = scan(data[:cut], 0, encoding, Search({ROWS}), end_of_file=True)
        except NeedsMore:
            continue
        assert found.pixel_offset is None  # a cut between two elements shows by what is missing


def test_unknown_of_undefined_length_is_implicit_inside() -> None:
    item = struct.pack("<HHL", 0xFFFE, 0xE000, UNDEFINED)
    inside = struct.pack("<HHLH", 0x0028, 0x0010, 2, 9)
    ends = struct.pack("<HHL", 0xFFFE, 0xE00D, 0) + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
    unknown = struct.pack("<HH2sHL", 0x0009, 0x1001, b"UN", 0, UNDEFINED) + item + inside + ends
    rows = struct.pack("<HH2sHH", 0x0028, 0x0010, b"US", 2, 7)
    found = scan(unknown + rows, 0, Encoding(False, True), Search({ROWS}), end_of_file=True)
    assert found.values[ROWS] == b"\x07\0"


def test_deep_nesting_is_refused_without_recursion() -> None:
    encoding = Encoding(False, True)
    opening = struct.pack("<HH2sHL", 0x0008, 0x1140, b"SQ", 0, UNDEFINED)
    opening += struct.pack("<HHL", 0xFFFE, 0xE000, UNDEFINED)
    with pytest.raises(Malformed, match="deep"):
        scan(opening * 100_000, 0, encoding, Search({ROWS}), end_of_file=True)
    sound = encoded(encoding, undefined=True, depth=MAX_DEPTH - 1)
    assert ROWS in scan(sound, 0, encoding, Search({ROWS}), end_of_file=True).values


def test_nonsense_is_malformed() -> None:
    rows = struct.pack("<HH2sHH", 0x0028, 0x0010, b"US", 2, 7)
    for data in (
        rows + rows,
        struct.pack("<HH2sHH", 0x0028, 0x0010, b"??", 2, 7),
        struct.pack("<HHL", 0xFFFE, 0xE000, 0),
    ):
        with pytest.raises(Malformed):
            scan(data, 0, Encoding(False, True), Search({ROWS}), end_of_file=True)


def test_a_claimed_length_allocates_nothing() -> None:
    liar = struct.pack("<HH2sHL", 0x0009, 0x1001, b"OB", 0, 0xFFFFFFF0)
    with pytest.raises(NeedsMore):
        scan(liar + b"\0" * 64, 0, Encoding(False, True), Search({ROWS}), end_of_file=True)


def test_pydicom_reads_the_same(write: object) -> None:
    from tomosurf.ingest.header import read_header
    from tomosurf.ingest.tags import Tag
    from tomosurf.ingest.values import text

    for syntax in ("implicit-le", "explicit-le", "explicit-be", "deflated", "jpeg-ls"):
        path = write(syntax, syntax=syntax)[0]  # type: ignore[operator]
        elements = read_header(path).elements
        peer = pydicom.dcmread(BytesIO(path.read_bytes()), stop_before_pixels=True)
        for tag in (
            Tag.SOPInstanceUID,
            Tag.Modality,
            Tag.ImagePositionPatient,
            Tag.PixelSpacing,
            Tag.ImageType,
        ):
            value = peer[int(tag)].value
            values = [value] if isinstance(value, str) else value
            assert text(elements, tag) == "\\".join(str(v) for v in values)

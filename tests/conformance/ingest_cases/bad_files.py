"""Files and archives that are damaged, hostile, or no slices: refused by name, and nothing is built."""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from tests.conformance.ingest_cases.case import Bad, Stack, bad, case, overwrite, place_of, plain

PIXEL_DATA = 0x7FE00010


def _in_one_file(
    name: str, code: str, attribute: str, spoil: Callable[[bytes], bytes], also: str = ""
) -> None:
    """The bytes of one slice are changed."""

    def function(folder: Path) -> Bad:
        stack = plain(folder)
        stack.files[5].write_bytes(spoil(stack.files[5].read_bytes()))
        return bad(code, attribute, stack.files[5], also=also)

    function.__name__ = name
    case(function)


def _nested(data: bytes) -> bytes:
    """A thousand sequences inside each other, before the pixels."""
    at, _, _ = place_of(data, 0x00280002)
    opening = struct.pack("<HH2sHL", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF)
    item = struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)
    return data[:at] + (opening + item) * 1000 + data[at:]


def _longer_than_the_file(data: bytes) -> bytes:
    """Pixel Data claims four gigabytes."""
    at, _, _ = place_of(data, PIXEL_DATA)
    return data[: at + 8] + struct.pack("<L", 0xFFFFFFF0) + data[at + 12 :]


def _twice(data: bytes) -> bytes:
    """Pixel Spacing stands there twice, and says two things."""
    at, value, end = place_of(data, 0x00280030)
    return data[:at] + data[at:value] + data[value:end].replace(b"7", b"9") + data[at:]


def _other_position_twice(data: bytes) -> bytes:
    at, value, end = place_of(data, 0x00200032)
    return data[:at] + data[at:value] + data[value:end].replace(b"3", b"9") + data[at:]


_in_one_file("pixels_cut", "truncated", "PixelData", lambda data: data[:-100])
_in_one_file("one_byte_short", "truncated", "PixelData", lambda data: data[:-1])
_in_one_file("header_cut", "truncated", "", lambda data: data[:400], "possibly_incomplete")
_in_one_file(
    "an_impossible_vr",
    "unreadable_file",
    "",
    lambda data: data.replace(b"(\0\x02\0US", b"(\0\x02\0ZZ"),
    "possibly_incomplete",
)
_in_one_file("a_thousand_nested_sequences", "unreadable_file", "", _nested, "possibly_incomplete")
_in_one_file("pixels_that_claim_four_gigabytes", "size_mismatch", "PixelData", _longer_than_the_file)
_in_one_file("pixel_spacing_said_twice", "unreadable_file", "", _twice, "possibly_incomplete")
_in_one_file("position_said_twice", "unreadable_file", "", _other_position_twice, "possibly_incomplete")


def _syntax(name: str, uid: bytes) -> None:
    """All slices claim a transfer syntax that can't be decoded."""

    def function(folder: Path) -> Bad:
        stack = plain(folder)
        for file in stack.files:
            overwrite(file, 0x00020010, uid + b"\0" * (len(uid) % 2))
        return bad("unsupported_transfer_syntax", "TransferSyntaxUID", *stack.files)

    function.__name__ = name
    case(function)


_syntax("video", b"1.2.840.10008.1.2.4.102")
_syntax("pixels_elsewhere", b"1.2.840.10008.1.2.4.94")
_syntax("an_unknown_transfer_syntax", b"1.2.3.4.5")
_syntax("retired_jpeg", b"1.2.840.10008.1.2.4.66")


@case
def compressed_in_name_only(folder: Path) -> Bad:
    stack = plain(folder)
    for file in stack.files:
        overwrite(file, 0x00020010, b"1.2.840.10008.1.2.4.80")
    return bad("size_mismatch", "PixelData", *stack.files)


def _stream(name: str, syntax: str, code: str, spoil: Callable[[bytearray], bytes | bytearray]) -> None:
    """One slice's compressed image is changed."""

    def function(folder: Path) -> Bad:
        from pydicom import dcmread
        from pydicom.encaps import encapsulate, generate_fragments

        stack = Stack(options={"syntax": syntax}).write(folder)
        dataset = dcmread(stack.files[6])
        _, stream = list(generate_fragments(dataset.PixelData))
        dataset.PixelData = encapsulate([bytes(spoil(bytearray(stream)))])
        dataset["PixelData"].is_undefined_length = True
        dataset.save_as(stack.files[6])
        return bad(code, "PixelData", stack.files[6])

    function.__name__ = name
    case(function)


def _rows_plus_one(stream: bytearray) -> bytearray:
    """The start of frame says one row more."""
    at = stream.index(b"\xff\xf7")
    rows = struct.unpack_from(">H", stream, at + 5)[0]
    struct.pack_into(">H", stream, at + 5, rows + 1)
    return stream


_stream("a_compressed_image_without_an_end", "jpeg-ls", "truncated", lambda s: s[: len(s) // 2])
_stream("a_compressed_image_of_another_size", "jpeg-ls", "size_mismatch", _rows_plus_one)
_stream("no_compressed_image_at_all", "jpeg-ls", "unreadable_file", lambda s: b"\x13\x37" * 40)
_stream("run_lengths_cut_short", "rle", "size_mismatch", lambda s: s[:200])


@case
def a_compressed_file_cut(folder: Path) -> Bad:
    stack = Stack(options={"syntax": "jpeg-ls"}).write(folder)
    stack.files[1].write_bytes(stack.files[1].read_bytes()[:-60])
    return bad("truncated", "PixelData", stack.files[1])


@case
def a_deflated_stream_damaged(folder: Path) -> Bad:
    """Zeros go on being valid codes, and give values: only the stream's missing end tells."""
    stack = Stack(options={"syntax": "deflated"}).write(folder)
    data = bytearray(stack.files[4].read_bytes())
    data[-300:] = bytes(300)
    stack.files[4].write_bytes(data)
    return bad("truncated", "PixelData", stack.files[4])


@case
def a_deflated_stream_cut(folder: Path) -> Bad:
    stack = Stack(options={"syntax": "deflated"}).write(folder)
    stack.files[4].write_bytes(stack.files[4].read_bytes()[:-150])
    return bad("truncated", "PixelData", stack.files[4])


@case
def a_deflated_bomb(folder: Path) -> Bad:
    """Eighty megabytes of header in eighty kilobytes."""
    stack = Stack(options={"syntax": "deflated"}).write(folder)
    data = stack.files[4].read_bytes()
    start = 132 + 12 + struct.unpack_from("<L", data, 140)[0]
    engine = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    private = struct.pack("<HH2sHL", 0x0009, 0x1001, b"OB", 0, 80 << 20)
    body = engine.compress(struct.pack("<HH2sH", 0x0008, 0x0060, b"CS", 2) + b"CT" + private)
    body += b"".join(engine.compress(bytes(1 << 20)) for _ in range(80)) + engine.flush()
    stack.files[4].write_bytes(data[:start] + body)
    return bad("too_large", "", stack.files[4], also="possibly_incomplete")


@case
def only_text(folder: Path) -> Bad:
    (folder / "letter.dcm").write_text("Dear colleague, the slices will follow. " * 20)
    return bad("no_dicom")


@case
def an_empty_folder(folder: Path) -> Bad:
    (folder / "inner").mkdir()
    return bad("no_dicom")


@case
def only_an_empty_file(folder: Path) -> Bad:
    (folder / "0001.dcm").write_bytes(b"")
    return bad("unreadable_file", "", folder / "0001.dcm")


@case
def only_zeros(folder: Path) -> Bad:
    (folder / "0001.dcm").write_bytes(bytes(4096))
    return bad("unreadable_file", "", folder / "0001.dcm")


@case
def only_reports(folder: Path) -> Bad:
    stack = plain(folder)
    for file in stack.files:
        for tag in (0x00020002, 0x00080016):
            overwrite(file, tag, b"1.2.840.10008.5.1.4.1.1.88.33\0")
    return bad("no_image")


@case
def only_localizers(folder: Path) -> Bad:
    plain(folder, attributes={"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]})
    return bad("no_image")


@case
def only_links(folder: Path) -> Bad:
    """All slices are links to another place."""
    stack = plain(folder / "elsewhere")
    (folder / "in").mkdir()
    for file in stack.files:
        (folder / "in" / file.name).symlink_to(file)
    return bad("no_dicom", source=folder / "in")


def _archive(name: str, code: str, member: str, mode: int = 0) -> None:
    """A ZIP of good slices with one member more."""

    def function(folder: Path) -> Bad:
        stack = plain(folder / "slices")
        archive = folder / "packed.zip"
        with zipfile.ZipFile(archive, "w") as packed:
            for file in stack.files:
                packed.write(file, file.name)
            entry = zipfile.ZipInfo(member)
            entry.create_system = 3
            entry.external_attr = mode << 16
            packed.writestr(entry, b"/etc/passwd")
        return bad(code, source=archive)

    function.__name__ = name
    case(function)


_archive("a_zip_that_leads_out", "unsafe_path", "../../out.dcm")
_archive("a_zip_with_an_absolute_path", "unsafe_path", "/tmp/out.dcm")
_archive("a_zip_with_a_drive", "unsafe_path", "C:/out.dcm")
_archive("a_zip_with_a_backslash", "unsafe_path", "..\\out.dcm")
_archive("a_zip_with_a_link", "unsafe_path", "link.dcm", stat.S_IFLNK | 0o777)
_archive("a_zip_with_a_device", "unsafe_path", "device.dcm", stat.S_IFCHR | 0o666)


@case
def a_zip_cut(folder: Path) -> Bad:
    plain(folder / "slices")
    archive = folder / "packed.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for file in sorted((folder / "slices").iterdir()):
            packed.write(file, file.name)
    archive.write_bytes(archive.read_bytes()[:-500])
    return bad("unreadable_file", source=archive)


@case
def a_zip_with_a_damaged_slice(folder: Path) -> Bad:
    """One byte differs: the archive's own checksum tells."""
    stack = plain(folder / "slices")
    archive = folder / "packed.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as packed:
        for file in stack.files:
            packed.write(file, file.name)
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 0xFF
    archive.write_bytes(data)
    return bad("unreadable_file", source=archive)


@case
def a_zip_bomb(folder: Path) -> Bad:
    """A hundred megabytes of zeros in a hundred kilobytes."""
    archive = folder / "packed.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed, packed.open("a.dcm", "w") as member:
        for _ in range(100):
            member.write(bytes(1 << 20))
    return bad("too_large", source=archive)

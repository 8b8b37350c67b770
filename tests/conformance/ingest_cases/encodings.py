"""Every way to write the same slices into files: the same volume each time."""

from __future__ import annotations

import struct
from itertools import pairwise
from pathlib import Path

import numpy as np

from tests.conformance.ingest_cases.case import Good, Stack, case, good, grid, noise, overwrite, plain

LARGER = (32, 32, 4)
"""The JPEG 2000 encoder wants 32 rows and columns."""


def _encoded(name: str, syntax: str, bits: int = 12, dtype: type = np.int16) -> None:
    def function(folder: Path) -> Good:
        low = -(1 << (bits - 1)) if dtype is np.int16 else 0
        stored = noise(LARGER, low, low + (1 << bits), dtype)
        options = {"syntax": syntax, "bits_stored": bits}
        return good(Stack(grid(shape=LARGER), stored, options).write(folder))

    function.__name__ = name
    case(function)


for _syntax in ("implicit-le", "explicit-be", "deflated", "rle", "jpeg-lossless", "jpeg-ls", "jpeg-2000"):
    _word = _syntax.replace("-", "_")
    _encoded(f"{_word}_signed_12_bits", _syntax)
    _encoded(f"{_word}_unsigned_16_bits", _syntax, 16, np.uint16)


@case
def jpeg_ls_in_several_fragments_without_an_offset_table(folder: Path) -> Good:
    from pydicom import dcmread
    from pydicom.encaps import generate_fragments

    stack = Stack(options={"syntax": "jpeg-ls"}).write(folder)
    for file in stack.files:
        dataset = dcmread(file)
        _, stream = list(generate_fragments(dataset.PixelData))
        cuts = [0, 10, len(stream) // 2 // 2 * 2, len(stream)]
        pieces = [b"", *(stream[a:b] for a, b in pairwise(cuts))]
        items = b"".join(struct.pack("<HHL", 0xFFFE, 0xE000, len(piece)) + piece for piece in pieces)
        dataset.PixelData = items
        dataset.save_as(file)
    return good(stack)


@case
def no_preamble(folder: Path) -> Good:
    stack = plain(folder)
    for file in stack.files:
        file.write_bytes(file.read_bytes()[132:])
    return good(stack)


@case
def no_meta_information_either(folder: Path) -> Good:
    from pydicom import dcmread

    stack = plain(folder, syntax="implicit-le")
    for file in stack.files:
        data = file.read_bytes()
        group_length = dcmread(file).file_meta.FileMetaInformationGroupLength
        file.write_bytes(data[132 + 12 + group_length :])
    return good(stack)


@case
def explicit_under_the_name_of_implicit(folder: Path) -> Good:
    """The transfer syntax says implicit VR, the data set has them: seen from its first element."""
    stack = plain(folder)
    for file in stack.files:
        overwrite(file, 0x00020010, b"1.2.840.10008.1.2\0")
    return good(stack)


@case
def something_in_the_preamble(folder: Path) -> Good:
    stack = plain(folder)
    for file in stack.files:
        file.write_bytes(b"II*\0" + file.read_bytes()[4:])
    return good(stack, warnings="nonzero_preamble")


@case
def trailing_padding(folder: Path) -> Good:
    """Data Set Trailing Padding (FFFC,FFFC) after the pixels."""
    stack = plain(folder)
    for file in stack.files:
        padding = struct.pack("<HH2sHL", 0xFFFC, 0xFFFC, b"OB", 0, 64) + bytes(64)
        file.write_bytes(file.read_bytes() + padding)
    return good(stack)


@case
def nested_sequences_of_every_length(folder: Path) -> Good:
    """Pixel spacing and position inside sequences aren't the slice's own."""
    from pydicom import Dataset, Sequence

    inner = Dataset()
    inner.PixelSpacing = ["9", "9"]
    inner.ImagePositionPatient = ["1", "2", "3"]
    middle = Dataset()
    middle.PlaneOrientationSequence = Sequence([inner, inner])
    middle["PlaneOrientationSequence"].is_undefined_length = True
    inner.is_undefined_length_sequence_item = True
    stack = plain(folder, attributes={"ReferencedImageSequence": Sequence([middle, inner])})
    return good(stack)


@case
def a_header_of_half_a_megabyte(folder: Path) -> Good:
    from pydicom import Dataset

    blob = Dataset()
    blob.EncapsulatedDocument = bytes(range(256)) * 2048
    return good(plain(folder, attributes={"RequestAttributesSequence": [blob]}))


@case
def numbers_written_oddly(folder: Path) -> Good:
    """Signs, exponents, spaces and zeros that PS3.5 6.2 allows."""
    stack = plain(folder, grid(spacing=(0.5, 0.75, 2.0), origin=(-10, 20, 0)))
    for k, file in enumerate(stack.files):
        overwrite(file, 0x00200032, f" -1.0E+1\\+20.000 \\{2 * k}.".encode())
        overwrite(file, 0x00200037, b"+1\\-0.0\\0e0\\0\\ 1.000 \\-0")
        overwrite(file, 0x00280030, b"7.5e-1\\.5")
        overwrite(file, 0x00281052, b"-1024.000 ")
    return good(stack)


@case
def elements_of_unknown_vr(folder: Path) -> Good:
    """An archive that didn't know the attributes wrote them as UN."""
    stack = plain(folder)
    for file in stack.files:
        data = file.read_bytes()
        for tag, value in ((0x00280030, b"0.8\\0.7"), (0x00281053, b"1")):
            overwrite(file, tag, value, b"UN")
        assert file.read_bytes() != data
    return good(stack)


@case
def iso_2022_names(folder: Path) -> Good:
    stack = plain(
        folder,
        attributes={
            "SpecificCharacterSet": ["", "ISO 2022 IR 87"],
            "PatientName": "Yamada^Tarou=\u5c71\u7530^\u592a\u90ce",
            "SeriesDescription": "\u80f8\u90e8",
        },
    )
    assert b"\x1b$B" in stack.files[0].read_bytes()
    return good(stack)


@case
def implicit_under_the_name_of_explicit(folder: Path) -> Good:
    stack = plain(folder, syntax="implicit-le")
    for file in stack.files:
        overwrite(file, 0x00020010, b"1.2.840.10008.1.2.1\0")
    return good(stack)


@case
def garbage_after_the_pixels(folder: Path) -> Good:
    stack = plain(folder)
    for file in stack.files:
        file.write_bytes(file.read_bytes() + b"what is this? " * 40)
    return good(stack)


@case
def every_slice_in_another_transfer_syntax(folder: Path) -> Good:
    syntaxes = ("explicit-le", "implicit-le", "explicit-be", "deflated", "rle", "jpeg-lossless", "jpeg-ls")
    stack = Stack(options={"file_name": "{number}-explicit-le"}).write(folder)
    for k, syntax in enumerate(syntaxes):
        other = Stack(options={"syntax": syntax, "file_name": f"{{number}}-{syntax}"}).write(folder / syntax)
        stack.files[k].write_bytes(other.files[k].read_bytes())
        for file in other.files:
            file.unlink()
    return good(stack)

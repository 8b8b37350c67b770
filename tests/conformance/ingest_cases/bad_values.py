"""Slices whose values can't be known: refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pydicom

from tests.conformance.ingest_cases.case import Bad, bad, case, change, overwrite, place_of, plain


def _spoilt(name: str, code: str, attribute: str, **attributes: Any) -> None:
    """One slice with other attributes; None removes one."""

    def function(folder: Path) -> Bad:
        stack = plain(folder)
        change(stack.files[2], **attributes)
        return bad(code, attribute, stack.files[2])

    function.__name__ = name
    case(function)


COLOUR = "PhotometricInterpretation"
_spoilt("no_rescale_on_ct", "missing_rescale", "RescaleSlope", RescaleSlope=None, RescaleIntercept=None)
_spoilt("no_slope", "missing_rescale", "RescaleSlope", RescaleSlope=None)
_spoilt("no_intercept", "missing_rescale", "RescaleIntercept", RescaleIntercept=None)
_spoilt("slope_zero", "missing_rescale", "RescaleSlope", RescaleSlope=0)
_spoilt("a_lookup_table", "modality_lut", "ModalityLUTSequence", ModalityLUTSequence=[pydicom.Dataset()])
_spoilt("colour", "colour", COLOUR, PhotometricInterpretation="RGB", SamplesPerPixel=3)
_spoilt("a_palette", "colour", COLOUR, PhotometricInterpretation="PALETTE COLOR")
_spoilt("three_samples", "colour", COLOUR, SamplesPerPixel=3)
_spoilt("no_pixels", "no_pixel_data", "PixelData", PixelData=None)
_spoilt("no_bits", "unsupported_pixels", "BitsAllocated", BitsAllocated=None)
_spoilt("twelve_bits_allocated", "unsupported_pixels", "BitsAllocated", BitsAllocated=12)
_spoilt("one_bit_allocated", "unsupported_pixels", "BitsAllocated", BitsAllocated=1, BitsStored=1, HighBit=0)
_spoilt("more_bits_stored_than_allocated", "unsupported_pixels", "BitsStored", BitsStored=17, HighBit=16)
_spoilt("high_bit_outside_the_cell", "unsupported_pixels", "BitsStored", HighBit=16)
_spoilt("a_sign_of_two", "unsupported_pixels", "PixelRepresentation", PixelRepresentation=2)
_spoilt("rows_that_lie_upwards", "size_mismatch", "PixelData", Rows=21)
_spoilt("rows_that_lie_downwards", "size_mismatch", "PixelData", Rows=19)
_spoilt("no_rows", "size_mismatch", "Rows", Rows=0)
_spoilt("a_huge_matrix", "too_large", "Rows", Rows=65535, Columns=65535)
_spoilt("a_mosaic", "mosaic", "ImageType", ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"])
_spoilt("no_series_uid_of_its_own", "invalid_uid", "SOPInstanceUID", SOPInstanceUID=None)


@case
def slope_not_a_number(folder: Path) -> Bad:
    stack = plain(folder)
    overwrite(stack.files[1], 0x00281053, b"inf ")
    return bad("missing_rescale", "RescaleSlope", stack.files[1])


def _out_of_range(name: str, attribute: str, tag: int, value: bytes) -> None:
    """A rescale that is a number, after which no float32 would hold a value."""

    def function(folder: Path) -> Bad:
        stack = plain(folder)
        for file in stack.files:
            overwrite(file, tag, value)
        return bad("missing_rescale", attribute, *stack.files)

    function.__name__ = name
    case(function)


_out_of_range("slope_that_overflows", "RescaleSlope", 0x00281053, b"1e300")
_out_of_range("slope_that_vanishes", "RescaleSlope", 0x00281053, b"1e-300")
_out_of_range("intercept_that_drowns_the_values", "RescaleIntercept", 0x00281052, b"1e20")


@case
def frames_said_of_a_single_slice(folder: Path) -> Bad:
    stack = plain(folder, attributes={"NumberOfFrames": "8"})
    return bad("multi_frame", "NumberOfFrames", *stack.files)


@case
def one_mr_slice_in_a_ct(folder: Path) -> Bad:
    stack = plain(folder)
    change(stack.files[4], SOPClassUID="1.2.840.10008.5.1.4.1.1.4")
    return bad("mixed_series", "Modality", stack.files[4])


@case
def plain_pixels_of_undefined_length(folder: Path) -> Bad:
    stack = plain(folder)
    data = stack.files[6].read_bytes()
    at, value, _ = place_of(data, 0x7FE00010)
    stack.files[6].write_bytes(data[: at + 8] + b"\xff" * 4 + data[value:])
    return bad("size_mismatch", "PixelData", stack.files[6])


@case
def eight_bits_said_of_sixteen(folder: Path) -> Bad:
    """The length fits twice the pixels: half of every slice would be made of halves of values."""
    stack = plain(folder)
    for file in stack.files:
        change(file, BitsAllocated=8, BitsStored=8, HighBit=7)
    return bad("size_mismatch", "PixelData", *stack.files)


@case
def float_pixels(folder: Path) -> Bad:
    stack = plain(folder)
    for file in stack.files:
        change(file, PixelData=None, FloatPixelData=bytes(24 * 20 * 4), BitsAllocated=32)
    return bad("no_pixel_data", "PixelData", *stack.files)


@case
def two_units_in_one_stack(folder: Path) -> Bad:
    stack = plain(folder)
    change(stack.files[4], RescaleType="US")
    return bad("mixed_series", "RescaleType", stack.files[4])

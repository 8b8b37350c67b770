"""One header to its Instances, or a refusal that names the attribute at fault."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from tomosurf.data.codes import refusal
from tomosurf.data.series import Instance, PixelLayout, Rescale
from tomosurf.data.transfer_syntax import DEFLATED, ENCAPSULATED, LOSSY, NOT_READ, SUPPORTED
from tomosurf.ingest.acquisition import acquisition_of
from tomosurf.ingest.classify import FRAMES_CLASSES, modality_of
from tomosurf.ingest.elements import UNDEFINED, Elements
from tomosurf.ingest.frames import elements_of_frames, frame_count, layouts_of_frames
from tomosurf.ingest.header import Header
from tomosurf.ingest.remembered import remembered
from tomosurf.ingest.tags import Tag
from tomosurf.ingest.values import decimal, decimals, integer, text, texts, word
from tomosurf.ingest.vendors import is_mosaic

MAX_SLICE_PIXELS = 1 << 26
"""Rows times columns of the largest slice that is read: 8192 x 8192."""
UNIT_TOLERANCE = 1e-3
"""How far Image Orientation (Patient) may be from two perpendicular unit vectors (unitless)."""
FARTHEST_MM = 1e6
"""Largest coordinate of Image Position (Patient): beyond, a double no longer tells 1e-9 mm apart."""
PIXEL_SPACINGS_MM = (1e-4, 1e3)
"""Smallest and largest Pixel Spacing."""
RESCALE_RANGE = (1e-12, 1e12)
"""Smallest and largest Rescale Slope, and the largest Intercept: float32 holds what comes of 32 bits."""
RESCALED_MODALITIES = frozenset({"CT", "PT"})
"""Modalities whose images must carry Rescale Slope and Intercept (PS3.3 C.8.2.1, C.8.9.1)."""


def instances_of(header: Header, path: Path, name: str) -> tuple[Instance, ...]:
    """The slice, or the frames, that ``header``, of the file at ``path``, describes.

    Raises:
        InputRefused: one can't be placed in space, or its values can't be read.
    """
    elements = header.elements
    if "MOSAIC" in texts(elements, Tag.ImageType):
        raise refusal("mosaic", "slices are tiled into one image", attribute=Tag.ImageType.name)
    if is_mosaic(elements) and modality_of(elements) == "MR":
        raise refusal("mosaic", "slices are tiled into one image", attribute="NumberOfImagesInMosaic")
    whole = _whole_layout(header)
    if text(elements, Tag.SOPClassUID) not in FRAMES_CLASSES:
        return (_instance(header, elements, whole, path, name),)
    each = elements_of_frames(elements)
    layouts = layouts_of_frames(whole, path, elements)
    frames = [_instance(header, e, p, path, name) for e, p in zip(each, layouts, strict=True)]
    return tuple(replace(frame, frame=k) for k, frame in enumerate(frames))


def _instance(header: Header, elements: Elements, pixels: PixelLayout, path: Path, name: str) -> Instance:
    """One slice, of an object of its own or not, as ``elements`` describe it."""
    return Instance(
        path=path,
        name=name,
        sha256=header.sha256,
        size=header.size,
        sop_instance_uid=text(elements, Tag.SOPInstanceUID),
        number=integer(elements, Tag.InstanceNumber),
        pixels=pixels,
        position=_position(elements),
        orientation=_orientation(elements),
        pixel_spacing=_pixel_spacing(elements),
        rescale=_rescale(elements),
        padding=_padding(elements, pixels),
        acquisition=acquisition_of(elements),
        slice_thickness=decimal(elements, Tag.SliceThickness),
        lossy=header.transfer_syntax in LOSSY or text(elements, Tag.LossyImageCompression) == "01",
        gantry_tilt=decimal(elements, Tag.GantryDetectorTilt),
    )


def _whole_layout(header: Header) -> PixelLayout:
    """The layout of the stored values, checked against the length of the pixel data."""
    elements = header.elements
    if header.transfer_syntax not in SUPPORTED:
        other = (
            "a transfer syntax that isn't registered" if header.transfer_syntax else "compressed, but not how"
        )
        what = f"not read: {NOT_READ.get(header.transfer_syntax, other)}"
        raise refusal("unsupported_transfer_syntax", what, attribute=Tag.TransferSyntaxUID.name)
    if elements.pixel_offset is None:
        raise refusal("no_pixel_data", "an image without Pixel Data", attribute="PixelData")
    length = None if elements.pixel_length == UNDEFINED else elements.pixel_length
    place = _Place(header.transfer_syntax, elements.pixel_offset, length, header.parsed.deflated_at)
    layout = _layout(elements, place, elements.pixel_vr)
    _check_length(layout, header.size)
    return layout


class _Place(NamedTuple):
    """What a :class:`PixelLayout` has from elsewhere than the elements' values."""

    transfer_syntax: str
    offset: int
    length: int | None
    deflated_at: int | None


@remembered(
    Tag.SOPClassUID,
    Tag.NumberOfFrames,
    Tag.PhotometricInterpretation,
    Tag.SamplesPerPixel,
    Tag.Rows,
    Tag.Columns,
    Tag.BitsAllocated,
    Tag.BitsStored,
    Tag.HighBit,
    Tag.PixelRepresentation,
)
def _layout(elements: Elements, place: _Place, pixel_vr: bytes) -> PixelLayout:
    """The layout of the stored values, its own parts checked against each other."""
    enhanced = text(elements, Tag.SOPClassUID) in FRAMES_CLASSES
    if not enhanced and text(elements, Tag.NumberOfFrames) not in ("", "1"):
        what = "several frames in an object of single slices"
        raise refusal("multi_frame", what, attribute=Tag.NumberOfFrames.name)
    frames = frame_count(elements) if enhanced else 1
    photometric = text(elements, Tag.PhotometricInterpretation)
    if word(elements, Tag.SamplesPerPixel, "colour") not in (None, 1) or photometric not in (
        "MONOCHROME1",
        "MONOCHROME2",
    ):
        where = Tag.PhotometricInterpretation.name
        raise refusal("colour", "neither MONOCHROME1 nor MONOCHROME2", attribute=where)
    layout = PixelLayout(
        rows=_needed_word(elements, Tag.Rows, "size_mismatch"),
        columns=_needed_word(elements, Tag.Columns, "size_mismatch"),
        bits_allocated=_needed_word(elements, Tag.BitsAllocated),
        bits_stored=_needed_word(elements, Tag.BitsStored),
        high_bit=_needed_word(elements, Tag.HighBit),
        signed=_needed_word(elements, Tag.PixelRepresentation) == 1,
        photometric=photometric,
        frames=frames,
        **place._asdict(),
    )
    _check_layout(layout, elements, pixel_vr)
    return layout


def _needed_word(elements: Elements, tag: Tag, code: str = "unsupported_pixels") -> int:
    value = word(elements, tag, code)
    if value is None:
        raise refusal(code, f"{tag.name} is absent", attribute=tag.name)
    return value


def _check_layout(layout: PixelLayout, elements: Elements, pixel_vr: bytes) -> None:
    """Refuse layouts that can't be read, and slices that are too large."""
    if not layout.rows or not layout.columns:
        raise refusal("size_mismatch", "a slice without rows or columns", attribute=Tag.Rows.name)
    if layout.rows * layout.columns > MAX_SLICE_PIXELS:
        raise refusal("too_large", f"a slice of {layout.rows} x {layout.columns}", attribute=Tag.Rows.name)
    if layout.bits_allocated not in (8, 16, 32):
        what = f"{layout.bits_allocated} bits allocated"
        raise refusal("unsupported_pixels", what, attribute=Tag.BitsAllocated.name)
    if not elements.encoding.little and layout.bits_allocated == 8 and pixel_vr == b"OW":
        what = "8-bit cells in big-endian words"
        raise refusal("unsupported_pixels", what, attribute=Tag.BitsAllocated.name)
    if not 1 <= layout.bits_stored <= layout.high_bit + 1 <= layout.bits_allocated:
        what = (
            f"bits stored {layout.bits_stored}, high bit {layout.high_bit}, allocated {layout.bits_allocated}"
        )
        raise refusal("unsupported_pixels", what, attribute=Tag.BitsStored.name)
    if word(elements, Tag.PixelRepresentation, "unsupported_pixels") not in (0, 1):
        raise refusal("unsupported_pixels", "neither 0 nor 1", attribute=Tag.PixelRepresentation.name)


def _check_length(layout: PixelLayout, size: int) -> None:
    """Compare rows x columns x bytes with the declared and the present length, before anything is read."""
    if layout.transfer_syntax in ENCAPSULATED:
        if layout.length is not None:
            what = "compressed pixel data that aren't encapsulated"
            raise refusal("size_mismatch", what, attribute="PixelData")
        return
    expected = layout.slice_bytes * layout.frames
    if layout.length is None or layout.length not in (expected, expected + expected % 2):
        declared = "of undefined length" if layout.length is None else f"{layout.length} bytes"
        frames = f"{layout.frames} x " if layout.frames > 1 else ""
        cells = f"{frames}{layout.rows} x {layout.columns} x {layout.bits_allocated} bits"
        what = f"{cells}, but pixel data {declared}"
        raise refusal("size_mismatch", what, attribute="PixelData")
    if layout.transfer_syntax != DEFLATED and layout.offset + expected > size:
        raise refusal("truncated", "the file ends inside its pixel data", attribute="PixelData")


def _position(elements: Elements) -> tuple[float, float, float]:
    numbers = decimals(elements, Tag.ImagePositionPatient, 3, "bad_geometry")
    if numbers is None:
        raise refusal("missing_position", "no position", attribute=Tag.ImagePositionPatient.name)
    if max(map(abs, numbers)) > FARTHEST_MM:
        where = Tag.ImagePositionPatient.name
        raise refusal("bad_geometry", f"position is farther than {FARTHEST_MM:g} mm", attribute=where)
    x, y, z = numbers
    return x, y, z


@remembered(Tag.ImageOrientationPatient)
def _orientation(elements: Elements) -> tuple[float, float, float, float, float, float]:
    where = Tag.ImageOrientationPatient.name
    numbers = decimals(elements, Tag.ImageOrientationPatient, 6, "bad_geometry")
    if numbers is None:
        raise refusal("missing_position", "no orientation", attribute=where)
    a, b, c, d, e, f = numbers
    faults = (math.hypot(a, b, c) - 1, math.hypot(d, e, f) - 1, a * d + b * e + c * f)
    if max(map(abs, faults)) > UNIT_TOLERANCE:
        raise refusal("bad_geometry", "orientation isn't two perpendicular unit vectors", attribute=where)
    return a, b, c, d, e, f


@remembered(Tag.PixelSpacing)
def _pixel_spacing(elements: Elements) -> tuple[float, float]:
    where = Tag.PixelSpacing.name
    numbers = decimals(elements, Tag.PixelSpacing, 2, "bad_geometry")
    if numbers is None:
        raise refusal("missing_pixel_spacing", "no pixel spacing", attribute=where)
    between_rows, between_columns = numbers
    if min(numbers) <= 0:
        raise refusal("bad_geometry", "pixel spacing isn't above zero", attribute=where)
    smallest, largest = PIXEL_SPACINGS_MM
    if min(numbers) < smallest or max(numbers) > largest:
        raise refusal("bad_geometry", f"pixel spacing isn't {smallest:g} to {largest:g} mm", attribute=where)
    return between_rows, between_columns


@remembered(
    Tag.ModalityLUTSequence,
    Tag.RescaleSlope,
    Tag.RescaleIntercept,
    Tag.RescaleType,
    Tag.SOPClassUID,
    Tag.Modality,
)
def _rescale(elements: Elements) -> Rescale | None:
    if Tag.ModalityLUTSequence in elements.values:
        raise refusal("modality_lut", "a Modality LUT Sequence", attribute=Tag.ModalityLUTSequence.name)
    slope = decimals(elements, Tag.RescaleSlope, 1, "missing_rescale")
    intercept = decimals(elements, Tag.RescaleIntercept, 1, "missing_rescale")
    if slope is None and intercept is None:
        if modality_of(elements) in RESCALED_MODALITIES:
            raise refusal("missing_rescale", "no rescale slope", attribute=Tag.RescaleSlope.name)
        return None
    if slope is None or slope[0] == 0:
        raise refusal("missing_rescale", "no rescale slope, or zero", attribute=Tag.RescaleSlope.name)
    if intercept is None:
        raise refusal("missing_rescale", "no rescale intercept", attribute=Tag.RescaleIntercept.name)
    smallest, largest = RESCALE_RANGE
    if not smallest <= abs(slope[0]) <= largest:
        raise refusal("missing_rescale", "rescale slope out of range", attribute=Tag.RescaleSlope.name)
    if abs(intercept[0]) > largest:
        raise refusal(
            "missing_rescale", "rescale intercept out of range", attribute=Tag.RescaleIntercept.name
        )
    return Rescale(slope[0], intercept[0], text(elements, Tag.RescaleType))


def _padding(elements: Elements, pixels: PixelLayout) -> tuple[int, int] | None:
    """The stored values that mean padding (PS3.3 C.7.5.1.1.2).

    Writers disagree on the VR, so the 16-bit pattern is read and the Pixel Representation gives the sign.
    """
    value = word(elements, Tag.PixelPaddingValue, "unsupported_pixels")
    if value is None:
        return None
    limit = word(elements, Tag.PixelPaddingRangeLimit, "unsupported_pixels")
    patterns = (value, value if limit is None else limit)
    ends = [p - 0x10000 if pixels.signed and p >= 0x8000 else p for p in patterns]
    return min(ends), max(ends)

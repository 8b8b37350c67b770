"""Reading one input file for de-identification: only what is a slice image, and never more than is bounded."""

from __future__ import annotations

import logging
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from pydicom.errors import BytesLengthException, InvalidDicomError

from tomosurf.data.codes import notice, refusal
from tomosurf.data.notice import Notice
from tomosurf.data.transfer_syntax import DEFLATED
from tomosurf.ingest.classify import not_a_slice
from tomosurf.ingest.discover import Entry
from tomosurf.ingest.header import NotDicom, read_header
from tomosurf.ingest.tags import Tag
from tomosurf.ingest.values import text

if TYPE_CHECKING:
    from pydicom import Dataset

INFLATED_LIMIT = 1 << 30
"""Bytes that a deflated data set may have."""
CHUNK = 1 << 20
PARSING_ERRORS = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    NotImplementedError,
    OSError,
    EOFError,
    ArithmeticError,
    RecursionError,
    BytesLengthException,
    InvalidDicomError,
    struct.error,
    zlib.error,
)
"""What pydicom raises on files that break the rules."""


def passed_over(entry: Entry, *, allow_burned_in: bool) -> Notice | None:
    """Why a file isn't taken: no DICOM, no image, or text in its pixels. Localizers are images and are taken.

    Raises:
        InputRefused: it can't be read, or says that text is burned in.
    """
    try:
        header = read_header(entry.path, hashed=False)
    except NotDicom:
        return notice("no_dicom", "no DICOM", files=(entry.name,))
    what = not_a_slice(header, entry.name)
    if what is not None and what.code != "localizer_skipped":
        return replace(what, files=(entry.name,))
    for tag in (Tag.StudyInstanceUID, Tag.SeriesInstanceUID, Tag.SOPInstanceUID):
        if not text(header.elements, tag):
            raise refusal("invalid_uid", f"no {tag.name}", attribute=tag.name)
    if text(header.elements, Tag.BurnedInAnnotation) not in ("", "NO") and not allow_burned_in:
        raise refusal(
            "burned_in_annotation", "text may stand in the pixels", attribute=Tag.BurnedInAnnotation.name
        )
    if header.transfer_syntax == DEFLATED and header.parsed.deflated_at is not None:
        _check_inflated(entry.path, header.parsed.deflated_at)
    return None


@contextmanager
def quiet() -> Iterator[None]:
    """No warnings and log lines of pydicom: they quote the header."""
    logger = logging.getLogger("pydicom")
    disabled = logger.disabled
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.disabled = True
        try:
            yield
        finally:
            logger.disabled = disabled


def load(path: Path, *, pixels: bool) -> Dataset:
    """The data set of a file that :func:`passed_over` let pass; without ``pixels`` up to its pixel data.

    Raises:
        InputRefused: unreadable_file.
    """
    from pydicom import dcmread

    try:
        with quiet():
            return dcmread(path, force=True, stop_before_pixels=not pixels)
    except PARSING_ERRORS as error:
        broken(error)


def broken(error: Exception) -> NoReturn:
    """Refuse a file whose header breaks the rules.

    Raises:
        InputRefused: unreadable_file, always.
    """
    what = f"the header breaks the rules of DICOM ({type(error).__name__})"
    raise refusal("unreadable_file", what) from None


def check_pixels(dataset: Dataset) -> None:
    """Refuse plain pixel data with more or fewer bytes than the header says: anything may stand in the rest.

    Raises:
        InputRefused: no_pixel_data or size_mismatch.
    """
    pixels = dataset.get("PixelData")
    if not pixels:
        raise refusal("no_pixel_data", "no pixel data", attribute="PixelData")
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        return
    frames = int(dataset.get("NumberOfFrames") or 1) * int(dataset.get("SamplesPerPixel") or 1)
    bits = int(dataset.Rows) * int(dataset.Columns) * frames * int(dataset.BitsAllocated)
    expected = (bits + 7) // 8
    if len(pixels) not in (expected, expected + expected % 2):
        raise refusal("size_mismatch", f"{len(pixels)} bytes of pixel data, {expected} expected")


def _check_inflated(path: Path, start: int) -> None:
    """Inflate a deflated data set piece by piece, keeping nothing, up to the limit."""
    engine = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    total = 0
    try:
        with path.open("rb") as file:
            file.seek(start)
            data = file.read(CHUNK)
            while data and not engine.eof:
                total += len(engine.decompress(data, CHUNK))
                if total > INFLATED_LIMIT:
                    raise refusal("too_large", f"the data set inflates to more than {INFLATED_LIMIT} bytes")
                data = engine.unconsumed_tail or file.read(CHUNK)
    except (zlib.error, OSError) as error:
        broken(error)

"""Slices that belong together, as their headers describe them: no pixels yet."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from tomosurf.data.notice import Notice
from tomosurf.errors import DataError

DIGEST_LENGTH = 12
"""Hexadecimal digits of a short digest: 48 bits, enough to tell the series of one input apart."""


def short_digest(uid: str) -> str:
    """The short digest that stands for a UID wherever the UID itself would identify a patient.

    >>> short_digest("1.2.3")
    'c47f5b18b8a4'
    """
    return hashlib.sha256(uid.encode()).hexdigest()[:DIGEST_LENGTH]


@dataclass(frozen=True, slots=True)
class PixelLayout:
    """How one slice's stored values lie in its file (PS3.3 C.7.6.3, PS3.5 8).

    ``offset`` is where the value of Pixel Data starts, counted in the file or, where ``deflated_at`` says
    where in the file a deflated data set starts, in the inflated data set. ``length`` is the value's length
    in bytes, None when it is encapsulated.
    """

    transfer_syntax: str
    rows: int
    columns: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    photometric: str
    offset: int
    length: int | None
    deflated_at: int | None = None

    @property
    def slice_bytes(self) -> int:
        """Bytes of one uncompressed slice."""
        return self.rows * self.columns * (self.bits_allocated // 8)


@dataclass(frozen=True, slots=True)
class Rescale:
    """Stored value to modality unit: ``value = stored * slope + intercept`` (PS3.3 C.11.1)."""

    slope: float
    intercept: float
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Acquisition:
    """What tells two acquisitions of the same place apart; None or "" where the header is silent."""

    acquisition_number: int | None = None
    temporal_position: int | None = None
    echo_time: float | None = None
    trigger_time: float | None = None
    b_value: float | None = None
    kernel: str = ""


@dataclass(frozen=True, slots=True)
class Instance:
    """One slice: where its file is, where it lies in the patient, how its values are stored.

    Args:
        path: the file to read.
        name: its name relative to the input, for messages.
        sha256: of the whole file, or "" when it was only inspected.
        size: bytes of the file when its header was read.
        sop_instance_uid: SOP Instance UID.
        number: Instance Number, or None.
        pixels: layout of the stored values.
        position: Image Position (Patient): LPS mm of the centre of the first voxel.
        orientation: Image Orientation (Patient): direction along a row, then down the rows.
        pixel_spacing: Pixel Spacing: mm between rows, then mm between columns.
        rescale: to the modality's unit, or None where the modality has none.
        padding: lowest and highest stored value that mean "no measurement", both included, or None.
        acquisition: what tells it from another slice at the same place.
        slice_thickness: Slice Thickness in mm, or None; it isn't the distance between slices.
        lossy: whether its values went through a lossy compression, by its header or transfer syntax.
    """

    path: Path
    name: str
    sha256: str
    size: int
    sop_instance_uid: str
    number: int | None
    pixels: PixelLayout
    position: tuple[float, float, float]
    orientation: tuple[float, float, float, float, float, float]
    pixel_spacing: tuple[float, float]
    rescale: Rescale | None = None
    padding: tuple[int, int] | None = None
    acquisition: Acquisition = Acquisition()
    slice_thickness: float | None = None
    lossy: bool = False


@dataclass(frozen=True, slots=True)
class Series:
    """The slices of one DICOM series, in the order of their SOP Instance UIDs.

    ``digest`` and ``study`` are short digests of the Series and Study Instance UIDs. Whether the slices make
    a volume is for :mod:`tomosurf.volume` to say.

    Raises:
        DataError: no instances, or a laterality that isn't "L", "R" or "".
    """

    digest: str
    study: str
    modality: str
    instances: tuple[Instance, ...]
    frame_of_reference_uid: str = ""
    laterality: str = ""

    def __post_init__(self) -> None:
        if not self.instances:
            raise DataError("a series has at least one instance")
        if self.laterality not in {"", "L", "R"}:
            raise DataError("laterality is L, R or empty")


@dataclass(frozen=True, slots=True)
class Study:
    """The series of one DICOM study, in the order of their digests."""

    digest: str
    series: tuple[Series, ...]


@dataclass(frozen=True, slots=True)
class Intake:
    """What an input contained.

    ``refused`` are files or series that should have become a volume and can't; ``skipped`` were never meant
    to; ``warnings`` are worth knowing about what was taken.
    """

    studies: tuple[Study, ...] = ()
    refused: tuple[Notice, ...] = ()
    skipped: tuple[Notice, ...] = ()
    warnings: tuple[Notice, ...] = ()

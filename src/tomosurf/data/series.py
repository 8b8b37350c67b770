"""Slices that belong together, as their headers describe them: no pixels yet."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path

from tomosurf.data.notice import Notice
from tomosurf.errors import DataError

DIGEST_LENGTH = 12
"""Hexadecimal digits of a short digest: 48 bits, enough to tell the series of one input apart."""

_HEAD = re.compile(
    r"HEAD|SKULL|BRAIN|CRANI|CEREBR|FACE|FACIAL|MAXILL|MANDIB|JAW|ORBIT|SINUS|NASAL|NOSE|SELLA|TMJ|ZYGOMA|TEETH|DENT"
    r"|WHOLE ?BODY|(?<![A-Z])(?:EYES?|EARS?|IAC)(?![A-Z])"
)
"""What Body Part Examined says of the head and its parts (PS3.16 annex L, and usual spellings)."""


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

    Of a multi-frame object, which has ``frames`` of them, this is the layout of one frame: ``offset`` and
    ``length`` are the frame's own, and where it is encapsulated ``span`` is the length in bytes of its
    fragments, item headers included, from ``offset`` on (0 where all of Pixel Data is one frame).
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
    frames: int = 1
    span: int = 0

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
    """What tells two acquisitions of the same place apart; None, "" or () where the header is silent.

    Times are in ms, but ``acquisition_time`` and ``temporal_offset`` in seconds, of no meaning but their
    differences; ``image_type`` is that of the frame in a multi-frame object; ``stack`` is its Stack ID,
    ``dimensions`` its Dimension Index Values.
    """

    acquisition_number: int | None = None
    temporal_position: int | None = None
    echo_time: float | None = None
    trigger_time: float | None = None
    b_value: float | None = None
    kernel: str = ""
    image_type: tuple[str, ...] = ()
    echo_number: int | None = None
    gradient: tuple[float, ...] = ()
    inversion_times: tuple[float, ...] = ()
    flip_angle: float | None = None
    reference_time: float | None = None
    acquisition_time: float | None = None
    stack: str = ""
    dimensions: tuple[int, ...] = ()
    cardiac_percentage: float | None = None
    temporal_offset: float | None = None


@dataclass(frozen=True, slots=True)
class SeriesHints:
    """What headers say about a series' purpose; "" where silent. Free text: chosen by, never written out.

    ``contrast``: a contrast agent is named. ``derived``: values were computed from other images.
    """

    body_part: str = ""
    description: str = field(default="", repr=False)
    protocol: str = field(default="", repr=False)
    contrast: bool = False
    derived: bool = False

    @property
    def head(self) -> bool:
        """Whether Body Part Examined names the head or a part of it."""
        return _HEAD.search(self.body_part) is not None


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
        gantry_tilt: Gantry/Detector Tilt in degrees, or None; positions say how a stack really leans.
        frame: which frame of its file it is, from 0.
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
    gantry_tilt: float | None = None
    frame: int = 0


@dataclass(frozen=True, slots=True)
class Series:
    """The slices of one DICOM series, or of one part of it, in the order of their SOP Instance UIDs.

    ``digest`` and ``study`` are short digests of the Series and Study Instance UIDs. Where a series holds
    several stacks, each is a ``Series`` of its own: ``phase`` says in which attributes' values it differs from
    its siblings ("EchoTime 2.46"), and its digest covers that as well. Whether the slices make a volume is for
    :mod:`tomosurf.volume` to say. ``damaged`` are names of files, relative to the input, that may hold slices of it
    and can't be placed.

    Raises:
        DataError: no instances, or a laterality that isn't "L", "R" or "".
    """

    digest: str
    study: str
    modality: str
    instances: tuple[Instance, ...]
    frame_of_reference_uid: str = ""
    laterality: str = ""
    hints: SeriesHints = SeriesHints()
    phase: str = ""
    damaged: tuple[str, ...] = ()

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

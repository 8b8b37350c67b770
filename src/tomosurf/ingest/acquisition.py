"""What tells one acquisition of a place from another, as a header or a frame's functional groups say it."""

from __future__ import annotations

import math
import re
from datetime import date
from typing import Literal

from tomosurf.data.series import Acquisition
from tomosurf.ingest.classify import modality_of
from tomosurf.ingest.elements import Elements
from tomosurf.ingest.private_tags import PrivateTag
from tomosurf.ingest.remembered import remembered
from tomosurf.ingest.tags import Tag
from tomosurf.ingest.values import binaries, decimal, double, integer, text, texts
from tomosurf.ingest.vendors import b_value

DAY = 86400
MOMENT = re.compile(r"(\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2}(?:\.\d{1,6})?)([+-]\d{4})?", re.ASCII)
"""A date and a time together as PS3.5 section 6.2 writes them (VR DT, or DA and TM), to the second at least."""


@remembered(
    Tag.DiffusionGradientOrientation,
    Tag.FrameAcquisitionNumber,
    Tag.AcquisitionNumber,
    Tag.TemporalPositionIndex,
    Tag.TemporalPositionIdentifier,
    Tag.EffectiveEchoTime,
    Tag.EchoTime,
    Tag.NominalCardiacTriggerDelayTime,
    Tag.TriggerTime,
    Tag.DiffusionBValue,
    Tag.ConvolutionKernel,
    Tag.FrameType,
    Tag.ImageType,
    Tag.EchoNumbers,
    Tag.InversionTime,
    Tag.FlipAngle,
    Tag.FrameReferenceTime,
    Tag.AcquisitionDate,
    Tag.AcquisitionTime,
    Tag.FrameAcquisitionDateTime,
    Tag.AcquisitionDateTime,
    Tag.StackID,
    Tag.DimensionIndexValues,
    Tag.InversionTimes,
    Tag.NominalPercentageOfCardiacPhase,
    Tag.TemporalPositionTimeOffset,
    Tag.SOPClassUID,
    Tag.Modality,
    PrivateTag.SiemensCreator,
    PrivateTag.SiemensBValue,
    PrivateTag.GECreator,
    PrivateTag.GEBValue,
    PrivateTag.PhilipsCreator,
    PrivateTag.PhilipsBValue,
)
def acquisition_of(elements: Elements) -> Acquisition:
    """The acquisition of one slice; what is absent or unreadable tells nothing."""
    gradient = binaries(elements, Tag.DiffusionGradientOrientation, "d")
    return Acquisition(
        acquisition_number=_count(elements, Tag.FrameAcquisitionNumber, "H", Tag.AcquisitionNumber),
        temporal_position=_count(elements, Tag.TemporalPositionIndex, "L", Tag.TemporalPositionIdentifier),
        echo_time=_time(elements, Tag.EffectiveEchoTime, Tag.EchoTime),
        trigger_time=_time(elements, Tag.NominalCardiacTriggerDelayTime, Tag.TriggerTime),
        b_value=_b_value(elements),
        kernel=text(elements, Tag.ConvolutionKernel),
        image_type=_image_type(elements),
        echo_number=integer(elements, Tag.EchoNumbers),
        gradient=gradient if len(gradient) == 3 and all(map(math.isfinite, gradient)) else (),
        inversion_times=_inversion_times(elements),
        flip_angle=decimal(elements, Tag.FlipAngle),
        reference_time=decimal(elements, Tag.FrameReferenceTime),
        acquisition_time=_moment(elements),
        stack=text(elements, Tag.StackID),
        dimensions=binaries(elements, Tag.DimensionIndexValues, "L"),
        cardiac_percentage=_single(elements, Tag.NominalPercentageOfCardiacPhase),
        temporal_offset=_finite(double(elements, Tag.TemporalPositionTimeOffset)),
    )


def _b_value(elements: Elements) -> float | None:
    """The standard's b-value, else in MR a vendor's own: elsewhere these elements mean something else."""
    standard = _finite(double(elements, Tag.DiffusionBValue))
    return b_value(elements) if standard is None and modality_of(elements) == "MR" else standard


def _inversion_times(elements: Elements) -> tuple[float, ...]:
    """A frame's inversion times, else that of a classic slice."""
    times = binaries(elements, Tag.InversionTimes, "d")
    if times and all(map(math.isfinite, times)):
        return times
    time = decimal(elements, Tag.InversionTime)
    return () if time is None else (time,)


def _single(elements: Elements, tag: Tag) -> float | None:
    """One 32-bit binary number."""
    values = binaries(elements, tag, "f")
    return _finite(values[0]) if len(values) == 1 else None


def _count(elements: Elements, own: Tag, kind: Literal["H", "L"], classic: Tag) -> int | None:
    """A frame's number, else that of a classic slice."""
    numbers = binaries(elements, own, kind)
    return int(numbers[0]) if len(numbers) == 1 else integer(elements, classic)


def _time(elements: Elements, own: Tag, classic: Tag) -> float | None:
    """A frame's time in ms, else that of a classic slice."""
    time = _finite(double(elements, own))
    return decimal(elements, classic) if time is None else time


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _image_type(elements: Elements) -> tuple[str, ...]:
    """Frame Type where there is one, else Image Type; trailing empty values count for nothing."""
    tag = Tag.FrameType if text(elements, Tag.FrameType) else Tag.ImageType
    values = list(texts(elements, tag))
    while values and not values[-1]:
        values.pop()
    return tuple(values)


def _moment(elements: Elements) -> float | None:
    """Seconds from a day long past to the acquisition, whole if known to the second."""
    both = text(elements, Tag.AcquisitionDate) + text(elements, Tag.AcquisitionTime)
    for written in (
        text(elements, Tag.FrameAcquisitionDateTime),
        text(elements, Tag.AcquisitionDateTime),
        both,
    ):
        found = MOMENT.fullmatch(written)
        if found is None:
            continue
        year, month, day, hour, minute = map(int, found.groups()[:5])
        try:
            days = date(year, month, day).toordinal()
        except ValueError:
            continue
        return days * DAY + hour * 3600 + minute * 60 + float(found[6])
    return None

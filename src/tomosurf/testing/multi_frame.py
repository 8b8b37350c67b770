"""Writing one multi-frame object: an enhanced or legacy converted CT, MR or PET image, all frames in one file.

>>> import tempfile
>>> frames = [Frame((0.0, 0.0, 2.0 * k), np.full((4, 3), k, np.int16)) for k in range(3)]
>>> with tempfile.TemporaryDirectory() as folder:
...     path = write_frames(Path(folder) / "enhanced.dcm", frames)
...     print(path.name)
enhanced.dcm
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.encaps import encapsulate_extended, get_frame

from tomosurf.testing import dicom_modules as modules
from tomosurf.testing import enhanced_modules as enhanced
from tomosurf.testing import jpeg_lossless
from tomosurf.testing.dicom_writer import (
    ENCODERS,
    SELECTION,
    SYNTAXES,
    SeriesOptions,
    derived_uid,
    put_encapsulated,
    save,
)
from tomosurf.testing.enhanced_modules import made

OffsetTable = Literal["basic", "extended", "none"]
Groups = Mapping[str, Any]
"""Functional groups by their sequences' keywords: the attributes of the one item, or of several in a list."""
RESCALE_TYPES = {"CT": "HU", "MR": "US", "PT": "US"}


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame.

    Args:
        position: of the first voxel's centre, LPS mm.
        stored: stored values (rows, columns), int16 or uint16.
        orientation: direction along a row, then down the rows.
        temporal: Temporal Position Index, or None.
        echo_time: Effective Echo Time in ms (MR), or None.
        b_value: Diffusion b-value (MR), or None.
        frame_type: the values of Frame Type.
        rescale: slope and intercept.
        stack: Stack ID.
        groups: functional groups besides.
    """

    position: tuple[float, float, float]
    stored: NDArray[Any]
    orientation: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    temporal: int | None = None
    echo_time: float | None = None
    b_value: float | None = None
    frame_type: tuple[str, ...] = ("ORIGINAL", "PRIMARY", "VOLUME", "NONE")
    rescale: tuple[float, float] = (1.0, -1024.0)
    stack: str = "1"
    groups: Groups = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FrameOptions:
    """What the object says about itself.

    Args:
        series: as in :class:`SeriesOptions`: modality, UIDs, syntax, bits stored. One of its ``attributes``
            or ``removed`` concerns the object, not a frame.
        pixel_spacing: mm between rows, mm between columns.
        thickness: Slice Thickness, mm.
        offsets: which offset table compressed frames get.
        legacy: whether the object was converted from single slices.
        shared: functional groups that all frames share, besides or instead of the usual ones.
        spoil: called with the finished data set.
    """

    series: SeriesOptions = field(default_factory=SeriesOptions)
    pixel_spacing: tuple[float, float] = (0.75, 0.5)
    thickness: float = 2.0
    offsets: OffsetTable = "basic"
    legacy: bool = False
    shared: Groups = field(default_factory=dict)
    spoil: Callable[[Dataset], None] | None = None


def write_frames(path: Path, frames: Sequence[Frame], options: FrameOptions | None = None) -> Path:
    """Write ``frames`` into one object at ``path`` and return it; the same arguments give the same bytes."""
    options = options or FrameOptions()
    series = options.series
    dataset = _object(frames, options)
    dataset.SharedFunctionalGroupsSequence = [_shared(options)]
    dataset.PerFrameFunctionalGroupsSequence = [
        _own(frame, number, options) for number, frame in enumerate(frames, 1)
    ]
    _put_pixels(dataset, frames, options)
    for keyword, value in series.attributes.items():
        setattr(dataset, keyword, value)
    for keyword in series.removed:
        delattr(dataset, keyword)
    if options.spoil is not None:
        options.spoil(dataset)
    path.parent.mkdir(parents=True, exist_ok=True)
    save(dataset, path, SYNTAXES[series.syntax])
    return path


def _object(frames: Sequence[Frame], options: FrameOptions) -> Dataset:
    """What is common to the object: patient to image, and the dimensions (C.7.6.17)."""
    series = options.series
    organisation = derived_uid("dimensions", series.study, series.series)
    values = modules.about(series)
    values |= enhanced.of_object(series.modality, options.legacy, frames[0].frame_type)
    values |= {
        "SOPInstanceUID": instance_uid(series),
        "DimensionOrganizationSequence": {"DimensionOrganizationUID": organisation},
        "DimensionIndexSequence": [
            {
                "DimensionOrganizationUID": organisation,
                "DimensionIndexPointer": pointer,
                "FunctionalGroupPointer": 0x00209111,
            }
            for pointer in (0x00209056, *([0x00209128] if _timed(frames) else []), 0x00209057)
        ],
    }
    if not options.legacy:
        values.pop("Laterality", None)  # each frame's anatomy has its own
    return made(values)


def _timed(frames: Sequence[Frame]) -> bool:
    """Whether the frames have Temporal Position Indices."""
    return frames[0].temporal is not None


def instance_uid(series: SeriesOptions) -> str:
    """SOP Instance UID of the object."""
    return derived_uid("instance", series.study, series.series, "frames")


def _shared(options: FrameOptions) -> Dataset:
    """What all frames have in common: Pixel Measures (C.7.6.16.2.1), and how they were acquired."""
    between_rows, between_columns = options.pixel_spacing
    measures = {
        "PixelSpacing": [modules.ds(between_rows), modules.ds(between_columns)],
        "SliceThickness": modules.ds(options.thickness),
    }
    usual = enhanced.of_all_frames(options.series.modality, options.legacy)
    return made({"PixelMeasuresSequence": measures, **usual, **options.shared})


def _own(frame: Frame, number: int, options: FrameOptions) -> Dataset:
    """The functional groups of one frame (C.7.6.16.2, C.8.13.5, C.8.15.3)."""
    modality, series = options.series.modality, options.series
    content: dict[str, Any] = {
        "StackID": frame.stack,
        "InStackPositionNumber": number,
        "FrameAcquisitionNumber": number,
        "DimensionIndexValues": [1, number],
    }
    if not options.legacy:
        content |= enhanced.FRAME_TIMES
    if frame.temporal is not None:
        content |= {
            "TemporalPositionIndex": frame.temporal,
            "DimensionIndexValues": [1, frame.temporal, number],
        }
    slope, intercept = frame.rescale
    groups = {
        "FrameContentSequence": content,
        "PlanePositionSequence": {"ImagePositionPatient": [modules.ds(v) for v in frame.position]},
        "PlaneOrientationSequence": {"ImageOrientationPatient": [modules.ds(v) for v in frame.orientation]},
        "PixelValueTransformationSequence": {
            "RescaleIntercept": modules.ds(intercept),
            "RescaleSlope": modules.ds(slope),
            "RescaleType": RESCALE_TYPES[modality],
        },
        **enhanced.of_frame_type(modality, frame.frame_type),
        **enhanced.of_one_frame(options.legacy, derived_uid("slice", series.study, series.series, number)),
    }
    if frame.echo_time is not None:
        groups["MREchoSequence"] = {"EffectiveEchoTime": frame.echo_time}
    if frame.b_value is not None:
        groups["MRDiffusionSequence"] = {"DiffusionBValue": frame.b_value, "DiffusionDirectionality": "NONE"}
    return made({**groups, **frame.groups})


def _put_pixels(dataset: Dataset, frames: Sequence[Frame], options: FrameOptions) -> None:
    """Pixel data of all frames, and their attributes."""
    series = options.series
    modules.put_pixels(dataset, frames[0].stored, series)
    dataset.NumberOfFrames = len(frames)
    cells = [np.ascontiguousarray(f.stored).astype(f.stored.dtype.newbyteorder("<")) for f in frames]
    if series.syntax in ("implicit-le", "explicit-le", "explicit-be", "deflated"):
        big = series.syntax == "explicit-be"
        dataset.PixelData = b"".join((c.byteswap() if big else c).tobytes() for c in cells)
        return
    packed = [_packed(c, series) for c in cells]
    if options.offsets == "extended":
        dataset.PixelData, offsets, lengths = encapsulate_extended(packed)
        dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths = offsets, lengths
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
    else:
        put_encapsulated(dataset, packed, table=options.offsets == "basic")


def _packed(cells: NDArray[Any], series: SeriesOptions) -> bytes:
    """One frame, compressed."""
    if series.syntax in SELECTION:
        samples = cells.view(np.uint16) & ((1 << series.bits_stored) - 1)
        return jpeg_lossless.encode(samples, series.bits_stored, SELECTION[series.syntax])
    single = Dataset()
    modules.put_pixels(single, cells, series)
    single.compress(
        SYNTAXES[series.syntax],
        cells,
        encoding_plugin=ENCODERS[series.syntax],
        generate_instance_uid=False,
    )
    return bytes(get_frame(single.PixelData, 0, number_of_frames=1))

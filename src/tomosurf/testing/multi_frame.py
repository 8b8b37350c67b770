"""Writing one multi-frame object: an enhanced CT or MR image (PS3.3 A.38.1, A.36.2), all frames in one file.

It carries what places its frames and gives their values meaning, not all that the standard asks of a scanner.

>>> import tempfile
>>> frames = [Frame((0.0, 0.0, 2.0 * k), np.full((4, 3), k, np.int16)) for k in range(3)]
>>> with tempfile.TemporaryDirectory() as folder:
...     path = write_frames(Path(folder) / "enhanced.dcm", frames)
...     print(path.name)
enhanced.dcm
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.encaps import encapsulate, encapsulate_extended, get_frame

from tomosurf.errors import ConfigError
from tomosurf.testing import dicom_modules as modules
from tomosurf.testing import jpeg_lossless
from tomosurf.testing.dicom_writer import ENCODERS, SYNTAXES, SeriesOptions, derived_uid, save

SOP_CLASSES = {"CT": "1.2.840.10008.5.1.4.1.1.2.1", "MR": "1.2.840.10008.5.1.4.1.1.4.1"}
OffsetTable = Literal["basic", "extended", "none"]


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


@dataclass(frozen=True, slots=True)
class FrameOptions:
    """What the object says about itself.

    Args:
        series: as in :class:`SeriesOptions`: modality, UIDs, syntax, bits stored. One of its ``attributes``
            or ``removed`` concerns the object, not a frame.
        pixel_spacing: mm between rows, mm between columns.
        thickness: Slice Thickness, mm.
        offsets: which offset table compressed frames get.
        spoil: called with the finished data set.
    """

    series: SeriesOptions = field(default_factory=SeriesOptions)
    pixel_spacing: tuple[float, float] = (0.75, 0.5)
    thickness: float = 2.0
    offsets: OffsetTable = "basic"
    spoil: Callable[[Dataset], None] | None = None


def write_frames(path: Path, frames: Sequence[Frame], options: FrameOptions | None = None) -> Path:
    """Write ``frames`` into one object at ``path`` and return it; the same arguments give the same bytes.

    Raises:
        ConfigError: the transfer syntax is none that is written here.
    """
    options = options or FrameOptions()
    series = options.series
    if series.syntax not in ("implicit-le", "explicit-le", "explicit-be", "jpeg-lossless", *ENCODERS):
        raise ConfigError(f"frames aren't written as {series.syntax}")
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


def _made(**values: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def _object(frames: Sequence[Frame], options: FrameOptions) -> Dataset:
    """What is common to the object: patient to image, and the dimensions (C.7.6.17)."""
    series = options.series
    dataset = _made(**modules.about(series))
    dataset.SOPClassUID, dataset.SOPInstanceUID = SOP_CLASSES[series.modality], instance_uid(series)
    dataset.ImageType = list(frames[0].frame_type)
    dataset.ContentQualification = "RESEARCH"
    organisation = derived_uid("dimensions", series.study, series.series)
    dataset.DimensionOrganizationSequence = [_made(DimensionOrganizationUID=organisation)]
    dataset.DimensionIndexSequence = [
        _made(
            DimensionOrganizationUID=organisation,
            DimensionIndexPointer=pointer,
            FunctionalGroupPointer=0x00209111,
        )
        for pointer in (0x00209056, 0x00209128, 0x00209057)
    ]
    return dataset


def instance_uid(series: SeriesOptions) -> str:
    """SOP Instance UID of the object."""
    return derived_uid("instance", series.study, series.series, "frames")


def _shared(options: FrameOptions) -> Dataset:
    """What all frames have in common: Pixel Measures (C.7.6.16.2.1)."""
    between_rows, between_columns = options.pixel_spacing
    measures = _made(
        PixelSpacing=[modules.ds(between_rows), modules.ds(between_columns)],
        SliceThickness=modules.ds(options.thickness),
    )
    return _made(PixelMeasuresSequence=[measures])


def _own(frame: Frame, number: int, options: FrameOptions) -> Dataset:
    """The functional groups of one frame (C.7.6.16.2, C.8.13.5, C.8.15.3)."""
    content = _made(StackID=frame.stack, InStackPositionNumber=number, FrameAcquisitionNumber=number)
    if frame.temporal is not None:
        content.TemporalPositionIndex = frame.temporal
    content.DimensionIndexValues = [1, frame.temporal or 1, number]
    slope, intercept = frame.rescale
    ct = options.series.modality == "CT"
    groups = _made(
        FrameContentSequence=[content],
        PlanePositionSequence=[_made(ImagePositionPatient=[modules.ds(v) for v in frame.position])],
        PlaneOrientationSequence=[_made(ImageOrientationPatient=[modules.ds(v) for v in frame.orientation])],
        PixelValueTransformationSequence=[
            _made(
                RescaleIntercept=modules.ds(intercept),
                RescaleSlope=modules.ds(slope),
                RescaleType="HU" if ct else "US",
            )
        ],
    )
    kind = "CTImageFrameTypeSequence" if ct else "MRImageFrameTypeSequence"
    setattr(groups, kind, [_made(FrameType=list(frame.frame_type))])
    if frame.echo_time is not None:
        groups.MREchoSequence = [_made(EffectiveEchoTime=frame.echo_time)]
    if frame.b_value is not None:
        groups.MRDiffusionSequence = [_made(DiffusionBValue=frame.b_value, DiffusionDirectionality="NONE")]
    return groups


def _put_pixels(dataset: Dataset, frames: Sequence[Frame], options: FrameOptions) -> None:
    """Pixel data of all frames, and their attributes."""
    series = options.series
    modules.put_pixels(dataset, frames[0].stored, series)
    dataset.NumberOfFrames = len(frames)
    cells = [np.ascontiguousarray(f.stored).astype(f.stored.dtype.newbyteorder("<")) for f in frames]
    if series.syntax in ("implicit-le", "explicit-le", "explicit-be"):
        big = series.syntax == "explicit-be"
        dataset.PixelData = b"".join((c.byteswap() if big else c).tobytes() for c in cells)
        return
    packed = [_packed(c, series) for c in cells]
    if options.offsets == "extended":
        dataset.PixelData, offsets, lengths = encapsulate_extended(packed)
        dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths = offsets, lengths
    else:
        dataset.PixelData = encapsulate(packed, has_bot=options.offsets == "basic")
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True


def _packed(cells: NDArray[Any], series: SeriesOptions) -> bytes:
    """One frame, compressed."""
    if series.syntax == "jpeg-lossless":
        return jpeg_lossless.encode(
            cells.view(np.uint16) & ((1 << series.bits_stored) - 1), series.bits_stored
        )
    single = Dataset()
    modules.put_pixels(single, cells, series)
    single.compress(
        SYNTAXES[series.syntax],
        cells,
        encoding_plugin=ENCODERS[series.syntax],
        generate_instance_uid=False,
    )
    return bytes(get_frame(single.PixelData, 0, number_of_frames=1))

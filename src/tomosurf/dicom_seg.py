"""DICOM Segmentation objects: binary, fractional and label map, placed by their functional groups.

Reference: DICOM PS3.3 A.51 (Segmentation IOD), C.8.20 (Segmentation modules), C.7.6.16 (Multi-frame Functional
Groups).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.geometry import Geometry
from tomosurf.data.segmentation import Code, Segment, Segmentation
from tomosurf.errors import GeometryError, InputRefused
from tomosurf.overlap import LabelMap
from tomosurf.segment.model.naming import named_segments

SOP_CLASSES = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
"""Segmentation Storage and Label Map Segmentation Storage (PS3.4 B.5)."""

FRACTION = 0.5
"""Share of its maximum from which a voxel of a fractional segmentation belongs to the segment."""

TOLERANCE_MM = 0.01
"""How far frames may lie off the regular grid, along the stack and across it."""

MOST_VOXELS = 2**31
_PREAMBLE = 132


def is_dicom(path: Path) -> bool:
    """Whether a file says that it is DICOM (PS3.10 section 7.1)."""
    with path.open("rb") as file:
        return file.read(_PREAMBLE)[-4:] == b"DICM"


def read(path: Path) -> Segmentation:
    """The segments of a DICOM Segmentation on the grid that its frames span; frames that were left out are empty.

    Labels are the segments' numbers. Names become file names; codes and recommended colours are kept. Of a
    fractional one a voxel belongs to a segment from ``FRACTION`` of the maximum on; ``provenance`` says so.

    Raises:
        InputRefused: no Segmentation, unreadable, frames that don't lie on one regular grid or aren't said to lie
            anywhere, or segments that overlap.
    """
    import pydicom
    from pydicom.errors import InvalidDicomError

    try:
        dataset = pydicom.dcmread(path)
        if dataset.get("SOPClassUID") not in SOP_CLASSES:
            raise _refused(path, "unreadable_file", "this DICOM object is no Segmentation", "SOPClassUID")
        kind = str(dataset.SegmentationType)
        if kind not in ("BINARY", "FRACTIONAL", "LABELMAP"):
            raise _refused(path, "unreadable_file", "a segmentation of an unknown type", "SegmentationType")
        positions, geometry = _grid(dataset, path)
        frames = _frames(dataset, path)
        segments = _segments(dataset)
        labels = _filled(dataset, kind, frames, positions, (segments, geometry, path.name))
    except InvalidDicomError as error:
        raise _refused(path, "unreadable_file", "this is no DICOM file") from error
    except (AttributeError, KeyError, IndexError, TypeError, NotImplementedError, ValueError) as error:
        if isinstance(error, InputRefused):
            raise
        raise _refused(
            path, "unreadable_file", "an element that a Segmentation needs is missing or wrong"
        ) from error
    if not labels.any():
        raise _refused(path, "no_image", "the segmentation is empty")
    provenance: dict[str, Any] = {"method": "imported", "format": "DICOM SEG", "type": kind}
    if kind == "FRACTIONAL":
        provenance["fraction"] = FRACTION
    return Segmentation(geometry, labels, segments, provenance=provenance)


def _refused(path: Path, code: str, message: str, attribute: str = "") -> InputRefused:
    return InputRefused(code, message, files=(path.name,), attribute=attribute)


def _group(dataset: Any, frame: int, name: str) -> Any:
    """A functional group's item: the frame's own, else the shared one; None when neither has it."""
    for groups in (
        dataset.PerFrameFunctionalGroupsSequence[frame],
        *dataset.SharedFunctionalGroupsSequence[:1],
    ):
        if name in groups and groups[name].value:
            return groups[name].value[0]
    return None


def _numbers(values: Any, count: int) -> NDArray[np.float64]:
    numbers = np.array([float(value) for value in values], np.float64)
    if numbers.shape != (count,) or not np.isfinite(numbers).all():
        raise ValueError("not the numbers that were expected")
    return numbers


def _grid(dataset: Any, path: Path) -> tuple[NDArray[np.intp], Geometry]:
    """For each frame its k, and the grid that all span.

    Raises:
        InputRefused: orientation or spacing differ between frames, or positions aren't regular.
    """
    count = int(dataset.NumberOfFrames)
    if count != len(dataset.PerFrameFunctionalGroupsSequence) or count < 1:
        raise _refused(path, "bad_geometry", "not every frame says where it lies", "NumberOfFrames")
    measures = [_group(dataset, n, "PixelMeasuresSequence") for n in range(count)]
    planes = [_group(dataset, n, "PlaneOrientationSequence") for n in range(count)]
    places = [_group(dataset, n, "PlanePositionSequence") for n in range(count)]
    if any(item is None for item in (*measures, *planes, *places)):
        raise _refused(path, "bad_geometry", "a frame doesn't say where it lies", "PlanePositionSequence")
    spacing = np.stack([_numbers(item.PixelSpacing, 2) for item in measures])
    cosines = np.stack([_numbers(item.ImageOrientationPatient, 6) for item in planes])
    origins = np.stack([_numbers(item.ImagePositionPatient, 3) for item in places])
    if np.ptp(spacing, axis=0).max() > 1e-6 or np.ptp(cosines, axis=0).max() > 1e-5:
        raise _refused(
            path, "bad_geometry", "frames differ in spacing or orientation", "PlaneOrientationSequence"
        )
    row, column = cosines[0, :3], cosines[0, 3:]
    if (
        abs(np.linalg.norm(row) - 1) > 1e-3
        or abs(np.linalg.norm(column) - 1) > 1e-3
        or abs(row @ column) > 1e-3
    ):
        raise _refused(path, "bad_geometry", "no orientation", "ImageOrientationPatient")
    normal = np.cross(row, column)
    depth = (origins - origins[0]) @ normal
    if np.abs(origins - origins[0] - depth[:, None] * normal).max() > TOLERANCE_MM:
        raise _refused(path, "bad_geometry", "frames are shifted against each other", "ImagePositionPatient")
    step = _step(depth, measures[0], path)
    k = (depth - depth.min()) / step
    positions = np.rint(k).astype(np.intp)
    if np.abs(k - positions).max() * step > TOLERANCE_MM:
        raise _refused(path, "bad_geometry", "frames don't lie at even steps", "ImagePositionPatient")
    affine = np.eye(4)
    affine[:3, :3] = np.column_stack([row * spacing[0, 1], column * spacing[0, 0], normal * step])
    affine[:3, 3] = origins[int(depth.argmin())]
    shape = (int(dataset.Columns), int(dataset.Rows), int(positions.max()) + 1)
    if int(np.prod(shape, dtype=np.int64)) > MOST_VOXELS:
        raise _refused(path, "bad_geometry", "the frames span more than 2^31 voxels", "ImagePositionPatient")
    try:
        return positions, Geometry(shape, affine, str(dataset.get("FrameOfReferenceUID", "")))
    except GeometryError as error:
        raise _refused(path, "bad_geometry", str(error)) from error


def _step(depth: NDArray[np.float64], measures: Any, path: Path) -> float:
    """The distance of slices in mm: what the header says, else the least between frames that differ.

    Slices without a voxel may have been left out, so that the frames' own distances can be multiples of it.
    """
    said = measures.get("SpacingBetweenSlices")
    if said is not None and float(said) > 0:
        return float(said)
    places = np.unique(np.round(depth, 4))
    if len(places) > 1:
        return float(np.diff(places).min())
    thickness = measures.get("SliceThickness")
    if thickness is None or not float(thickness) > 0:
        raise _refused(path, "bad_geometry", "one slice, and nothing says how thick it is", "SliceThickness")
    return float(thickness)


def _frames(dataset: Any, path: Path) -> NDArray[Any]:
    """(frames, rows, columns)."""
    try:
        frames = np.asarray(dataset.pixel_array)
    except Exception as error:  # decoders raise whatever they like
        raise _refused(path, "unreadable_file", "its pixels can't be decoded", "PixelData") from error
    return frames.reshape(int(dataset.NumberOfFrames), int(dataset.Rows), int(dataset.Columns))


def _segments(dataset: Any) -> tuple[Segment, ...]:
    items = [item for item in dataset.SegmentSequence if int(item.SegmentNumber) > 0]
    named = named_segments((int(item.SegmentNumber), str(item.get("SegmentLabel", ""))) for item in items)
    return tuple(_told(spec.segment(), item) for spec, item in zip(named, items, strict=True))


def _told(segment: Segment, item: Any) -> Segment:
    """``segment`` with the code and colour that the file gives."""
    colour, code = segment.colour, segment.code
    if item.get("RecommendedDisplayCIELabValue"):
        colour = _srgb(_numbers(item.RecommendedDisplayCIELabValue, 3))
    if item.get("SegmentedPropertyTypeCodeSequence"):
        kind = item.SegmentedPropertyTypeCodeSequence[0]
        scheme, value = str(kind.get("CodingSchemeDesignator", "")), str(kind.get("CodeValue", ""))
        if scheme in ("SCT", "SRT", "FMA") and value.replace("-", "").isalnum() and value.isascii():
            code = Code(value, str(kind.get("CodeMeaning", ""))[:64] or value, scheme)
    return replace(segment, colour=colour, code=code)


def _srgb(lab: NDArray[np.float64]) -> tuple[int, int, int]:
    """sRGB 0 to 255 of DICOM's CIELab integers (PS3.3 C.10.7.1.1; D50, as ICC profiles have it)."""
    lightness, a, b = lab[0] / 65535 * 100, lab[1] / 65535 * 255 - 128, lab[2] / 65535 * 255 - 128
    y = (lightness + 16) / 116
    f = np.array([y + a / 500, y, y - b / 200])
    xyz = np.where(f > 6 / 29, f**3, (f - 4 / 29) * 3 * (6 / 29) ** 2) * [0.9642, 1.0, 0.8249]
    matrix = [[3.1338561, -1.6168667, -0.4906146], [-0.9787684, 1.9161415, 0.0334540],
              [0.0719453, -0.2289914, 1.4052427]]  # fmt: skip
    linear = np.clip(np.array(matrix) @ xyz, 0, 1)
    red, green, blue = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return round(float(red) * 255), round(float(green) * 255), round(float(blue) * 255)


def _filled(
    dataset: Any,
    kind: str,
    frames: NDArray[Any],
    positions: NDArray[np.intp],
    target: tuple[Sequence[Segment], Geometry, str],
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """The label map of all frames.

    Raises:
        InputRefused: segments overlap, or a frame belongs to a segment that isn't described.
    """
    segments, geometry, file = target
    whole = LabelMap(geometry.shape, {segment.label: segment.name for segment in segments}, file)
    known = {segment.label for segment in segments}
    for n, k in enumerate(positions.tolist()):
        plane = frames[n].T
        if kind == "LABELMAP":
            present = [int(value) for value in np.unique(plane) if value]
        else:
            group = _group(dataset, n, "SegmentIdentificationSequence")
            present = [int(group.ReferencedSegmentNumber)]
        for label in present:
            if label not in known:
                raise InputRefused(
                    "unreadable_file",
                    "a frame belongs to a segment that isn't described",
                    files=(file,),
                    attribute="ReferencedSegmentNumber",
                )
            if kind == "FRACTIONAL":
                mask = plane >= FRACTION * float(dataset.MaximumFractionalValue)
            else:
                mask = plane == label if kind == "LABELMAP" else plane != 0
            whole.add(label, mask, k)
    return whole.finished()

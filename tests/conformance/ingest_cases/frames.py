"""Enhanced multi-frame objects, built here element by element: one file, its frames in functional groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset, FileDataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.encaps import generate_frames as frames_of

from tests.conformance.ingest_cases.case import Bad, Good, Stack, bad, case, change, grid, noise
from tests.conformance.ingest_cases.orientations import PLAIN

STORAGE = "1.2.840.10008.5.1.4.1.1."
CLASSES = {"CT": STORAGE + "2.1", "MR": STORAGE + "4.1"}
SPACING_GROUP = ("PixelSpacing", "SliceThickness")
Spoil = Callable[[Dataset], None]


def group(**attributes: Any) -> list[Dataset]:
    """A functional group: a sequence of one item."""
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return [item]


def enhanced(
    folder: Path,
    stacks: Sequence[Stack],
    order: Sequence[int] = (),
    extra: Sequence[dict[str, Any]] = (),
    spoil: Spoil | None = None,
) -> Path:
    """Write all slices of ``stacks`` as frames of one object; the plain files are removed.

    Args:
        order: of the frames; by default stack after stack.
        extra: for each stack, functional groups that its frames have besides their place.
        spoil: called with the object before it is written.
    """
    frames, pixels = [], []
    for n, stack in enumerate(stacks):
        for file in stack.write(folder).files:
            source = dcmread(file)
            frame = Dataset()
            frame.PlanePositionSequence = group(ImagePositionPatient=source.ImagePositionPatient)
            frame.PlaneOrientationSequence = group(ImageOrientationPatient=source.ImageOrientationPatient)
            if "RescaleSlope" in source:
                frame.PixelValueTransformationSequence = group(
                    RescaleSlope=source.RescaleSlope,
                    RescaleIntercept=source.RescaleIntercept,
                    RescaleType=source.get("RescaleType", "US"),
                )
            for keyword, items in (extra[n] if extra else {}).items():
                setattr(frame, keyword, items)
            frames.append(frame)
            encapsulated = source.file_meta.TransferSyntaxUID.is_encapsulated
            pixels.append(
                next(frames_of(source.PixelData, number_of_frames=1)) if encapsulated else source.PixelData
            )
            file.unlink()
    order = order or range(len(frames))
    whole = _object(source, [frames[n] for n in order], [pixels[n] for n in order])
    if spoil is not None:
        spoil(whole)
    path = folder / "enhanced"
    whole.save_as(path)
    return path


def _object(source: FileDataset, frames: list[Dataset], pixels: list[bytes]) -> FileDataset:
    """A slice's data set turned into an object of these frames."""
    shared = Dataset()
    shared.PixelMeasuresSequence = group(**{keyword: source[keyword].value for keyword in SPACING_GROUP})
    for keyword in (
        *SPACING_GROUP, "ImagePositionPatient", "ImageOrientationPatient", "RescaleSlope", "RescaleIntercept",
        "RescaleType", "SpacingBetweenSlices", "EchoTime",
    ):  # fmt: skip
        if keyword in source:
            delattr(source, keyword)
    source.SOPClassUID = source.file_meta.MediaStorageSOPClassUID = CLASSES[source.Modality]
    source.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    source.SharedFunctionalGroupsSequence = [shared]
    source.PerFrameFunctionalGroupsSequence = frames
    source.NumberOfFrames = len(frames)
    if source.file_meta.TransferSyntaxUID.is_encapsulated:
        source.PixelData = encapsulate(pixels)
    else:
        source.PixelData = b"".join(pixels)
    return source


@case
def enhanced_ct(folder: Path) -> Good:
    stack = Stack(grid(PLAIN["oblique"]))
    enhanced(folder, [stack])
    return Good((stack.truth(),))


@case
def enhanced_ct_tilted_with_frames_in_disorder(folder: Path) -> Good:
    stack = Stack(grid(lean=(0, 0.6)))
    enhanced(folder, [stack], order=[3, 0, 7, 5, 1, 6, 2, 4])
    return Good((stack.truth("gantry_tilt"),))


@case
def enhanced_ct_with_a_rescale_for_every_frame(folder: Path) -> Good:
    stack = Stack(options={"rescale": tuple((1.0 + k, -1000.0) for k in range(8))})
    enhanced(folder, [stack])
    return Good((stack.truth(),))


@case
def enhanced_ct_compressed(folder: Path) -> Good:
    stack = Stack(options={"syntax": "jpeg-ls"})
    enhanced(folder, [stack], order=list(reversed(range(8))))
    return Good((stack.truth(),))


@case
def enhanced_mr_of_two_echoes(folder: Path) -> Good:
    """Frames of the echoes take turns."""
    stacks = [Stack(stored=noise(seed=n), options={"modality": "MR", "rescale": None}) for n in (1, 2)]
    echoes = [{"MREchoSequence": group(EffectiveEchoTime=time)} for time in (2.5, 5.0)]
    order = np.arange(16).reshape(2, 8).T.ravel().tolist()
    enhanced(folder, stacks, order, echoes)
    return Good(tuple(stack.truth(unit="") for stack in stacks))


@case
def enhanced_ct_beside_a_plain_series(folder: Path) -> Good:
    stack, other = Stack(), Stack(grid(origin=(0, 0, 0)), noise(seed=4), {"series": "plain"})
    enhanced(folder, [stack])
    return Good((stack.truth(), other.write(folder / "plain").truth()))


def _spoilt(name: str, code: str, attribute: str, spoil: Spoil) -> None:
    def function(folder: Path) -> Bad:
        return bad(code, attribute, enhanced(folder, [Stack()], spoil=spoil))

    function.__name__ = name
    case(function)


def _without_a_frame(whole: Dataset) -> None:
    del whole.PerFrameFunctionalGroupsSequence[3]
    pixels = whole.PixelData
    size = len(pixels) // 8
    whole.PixelData = pixels[: 3 * size] + pixels[4 * size :]
    whole.NumberOfFrames = 7


def _without_a_position(whole: Dataset) -> None:
    del whole.PerFrameFunctionalGroupsSequence[3].PlanePositionSequence


def _without_measures(whole: Dataset) -> None:
    del whole.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence


def _without_groups(whole: Dataset) -> None:
    del whole.PerFrameFunctionalGroupsSequence


def _without_rescale(whole: Dataset) -> None:
    for frame in whole.PerFrameFunctionalGroupsSequence:
        del frame.PixelValueTransformationSequence


def _one_frame_more(whole: Dataset) -> None:
    whole.NumberOfFrames = 9


def _fewer_groups_than_frames(whole: Dataset) -> None:
    del whole.PerFrameFunctionalGroupsSequence[7]


_spoilt("enhanced_without_a_frame", "missing_slice", "ImagePositionPatient", _without_a_frame)
_spoilt("enhanced_without_a_position", "missing_position", "ImagePositionPatient", _without_a_position)
_spoilt("enhanced_without_spacing", "missing_pixel_spacing", "PixelSpacing", _without_measures)
_spoilt("enhanced_without_groups", "multi_frame", "PerFrameFunctionalGroupsSequence", _without_groups)
_spoilt("enhanced_without_rescale", "missing_rescale", "RescaleSlope", _without_rescale)
_spoilt("enhanced_with_a_frame_too_many", "size_mismatch", "PixelData", _one_frame_more)
_spoilt(
    "enhanced_with_too_few_groups",
    "size_mismatch",
    "PerFrameFunctionalGroupsSequence",
    _fewer_groups_than_frames,
)


def _without_any_frame(whole: Dataset) -> None:
    whole.NumberOfFrames = 0


def _with_far_too_many(whole: Dataset) -> None:
    whole.NumberOfFrames = 99999999


def _with_two_positions(whole: Dataset) -> None:
    """One frame has a position of its own, and there is another for all frames."""
    whole.SharedFunctionalGroupsSequence[0].PlanePositionSequence = group(
        ImagePositionPatient=["1", "2", "3"]
    )


def _with_two_spacings(whole: Dataset) -> None:
    other = group(PixelSpacing=["0.5", "0.5"], SliceThickness="2.5")
    whole.PerFrameFunctionalGroupsSequence[2].PixelMeasuresSequence = other


_spoilt("enhanced_of_no_frames", "multi_frame", "NumberOfFrames", _without_any_frame)
_spoilt("enhanced_of_a_hundred_million_frames", "too_large", "NumberOfFrames", _with_far_too_many)
_spoilt("enhanced_with_two_positions", "bad_geometry", "ImagePositionPatient", _with_two_positions)
_spoilt("enhanced_with_two_spacings", "bad_geometry", "PixelSpacing", _with_two_spacings)


@case
def enhanced_twice_under_two_uids(folder: Path) -> Good:
    stack = Stack()
    file = enhanced(folder, [stack])
    again = folder / "again"
    again.write_bytes(file.read_bytes())
    change(again, SOPInstanceUID="1.2.3.4")
    return Good((stack.truth(),), skipped=frozenset({"duplicate_instance"}))


@case
def enhanced_and_cut(folder: Path) -> Bad:
    file = enhanced(folder, [Stack(options={"syntax": "jpeg-ls"})])
    file.write_bytes(file.read_bytes()[:-3000])
    return bad("truncated", "PixelData", file)


@case
def enhanced_whose_own_position_is_none_of_its_frames(folder: Path) -> Good:
    """Position and spacing outside the functional groups mean nothing (PS3.3 C.7.6.16)."""
    stack = Stack()
    file = enhanced(folder, [stack])
    change(file, ImagePositionPatient=["1", "2", "3"], PixelSpacing=["9", "9"])
    return Good((stack.truth(),))

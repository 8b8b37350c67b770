"""DICOM Segmentations as highdicom writes them, read to the voxel and the micrometre; damaged ones are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.sr.codedict import codes

from tomosurf.data.geometry import Geometry
from tomosurf.errors import InputRefused
from tomosurf.image_file import read_labels
from tomosurf.testing.dicom_writer import derived_uid, write_series

GRID = Geometry(
    (12, 10, 8),
    np.array([[0.6, 0.0, 0.0, -40.0], [0.0, 0.48, -1.5, 12.0], [0.0, 0.64, 1.125, 700.0], [0, 0, 0, 1.0]]),
    "2.25.77",
)
"""Oblique: rows along x, columns and slices turned about x; steps of 0.6, 0.8 and 1.875 mm."""


def labels() -> NDArray[np.uint8]:
    """Two structures; slices 0, 3 and 7 hold nothing, so that their frames are left out."""
    array = np.zeros(GRID.shape, np.uint8, order="F")
    array[2:6, 1:5, 1:3] = 1
    array[7:11, 3:9, 4:7] = 2
    return array


def description(number: int, name: str, code: Any) -> Any:
    return highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=name,
        segmented_property_category=codes.SCT.AnatomicalStructure,
        segmented_property_type=code,
        algorithm_type="MANUAL",
        display_color=highdicom.color.CIELabColor.from_rgb(222 - number * 60, 100, 40 + number * 50),
    )


def write_seg(folder: Path, kind: str, array: NDArray[Any], **more: Any) -> Path:
    sources = [
        pydicom.dcmread(path) for path in write_series(folder / "ct", np.zeros(GRID.shape, np.int16), GRID)
    ]
    liver, spleen = codes.SCT.Liver, codes.SCT.Spleen
    written = highdicom.seg.Segmentation(
        source_images=sources,
        pixel_array=array,
        segmentation_type=kind,
        segment_descriptions=[description(1, "Liver", liver), description(2, "Left Spleen", spleen)],
        series_instance_uid=derived_uid("seg series"),
        series_number=9,
        sop_instance_uid=derived_uid("seg"),
        instance_number=1,
        manufacturer="tests",
        manufacturer_model_name="tests",
        software_versions="1",
        device_serial_number="1",
        **more,
    )
    written.save_as(folder / "seg.dcm")
    return folder / "seg.dcm"


def frames(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(array.T)


def same_place(found: Any, array: NDArray[np.uint8]) -> None:
    """Every voxel that has a label lies where the grid says, on whatever part of the grid the file spans."""
    for label in (1, 2):
        ours = found.geometry.to_world(np.argwhere(found.labels == label))
        theirs = GRID.to_world(np.argwhere(array == label))
        assert len(ours) == len(theirs)
        distance = np.linalg.norm(ours[:, None] - theirs[None], axis=2).min(axis=1)
        assert distance.max() < 1e-3


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
def test_each_type_lies_where_it_was_drawn(kind: str, tmp_path: Path) -> None:
    found = read_labels(write_seg(tmp_path, kind, frames(labels())))
    same_place(found, labels())
    assert [segment.name for segment in found.segments] == ["liver", "left_spleen"]
    assert [segment.code.value for segment in found.segments] == ["10200004", "78961009"]
    assert found.segments[0].colour == pytest.approx((162, 100, 90), abs=3)
    assert found.provenance["type"] == kind
    assert found.geometry.frame_of_reference_uid == "2.25.77"
    assert found.geometry.spacing == pytest.approx(GRID.spacing)


def test_the_threshold_of_a_fraction_is_stated(tmp_path: Path) -> None:
    share = np.zeros((*GRID.shape[::-1], 2), np.float32)
    share[..., 0] = (labels() == 1).T * 0.8 + (labels() == 2).T * 0.3
    share[..., 1] = (labels() == 2).T * 0.6
    path = write_seg(tmp_path, "FRACTIONAL", share, fractional_type="PROBABILITY")
    found = read_labels(path)
    same_place(found, labels())
    assert found.provenance["fraction"] == 0.5


def test_overlapping_segments_are_refused_by_name(tmp_path: Path) -> None:
    masks = np.stack([labels() == 1, labels() == 2], axis=-1).astype(np.uint8)
    masks[4, 4, 1, 1] = 1  # one voxel of both
    with pytest.raises(InputRefused, match=r"liver and left_spleen \(1 voxels\)") as refused:
        read_labels(write_seg(tmp_path, "BINARY", np.ascontiguousarray(masks.transpose(2, 1, 0, 3))))
    assert refused.value.code == "overlapping_segments"


def damage(path: Path, how: Any) -> Path:
    dataset = pydicom.dcmread(path)
    how(dataset)
    dataset.save_as(path)
    return path


def shift_a_frame(dataset: Any) -> None:
    position = dataset.PerFrameFunctionalGroupsSequence[1].PlanePositionSequence[0]
    position.ImagePositionPatient[0] += 2.0


def half_a_step(dataset: Any) -> None:
    position = dataset.PerFrameFunctionalGroupsSequence[1].PlanePositionSequence[0]
    step = GRID.affine[:3, 2] / 2
    position.ImagePositionPatient = [a + b for a, b in zip(position.ImagePositionPatient, step, strict=True)]


def no_place(dataset: Any) -> None:
    del dataset.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence


def no_orientation(dataset: Any) -> None:
    dataset.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0].ImageOrientationPatient = [
        1,
        0,
        0,
        1,
        0,
        0,
    ]


def another_class(dataset: Any) -> None:
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"


def unknown_segment(dataset: Any) -> None:
    dataset.PerFrameFunctionalGroupsSequence[0].SegmentIdentificationSequence[0].ReferencedSegmentNumber = 7


def too_few_pixels(dataset: Any) -> None:
    dataset.PixelData = dataset.PixelData[:20]


def negative_step(dataset: Any) -> None:
    measures = dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    measures.SpacingBetweenSlices = 0.7  # the frames' steps are no multiples of it


@pytest.mark.parametrize(
    ("how", "code"),
    [
        (shift_a_frame, "bad_geometry"),
        (half_a_step, "bad_geometry"),
        (no_place, "bad_geometry"),
        (no_orientation, "bad_geometry"),
        (negative_step, "bad_geometry"),
        (another_class, "unreadable_file"),
        (unknown_segment, "unreadable_file"),
        (too_few_pixels, "unreadable_file"),
    ],
)
def test_what_cannot_be_placed_or_read_is_refused(how: Any, code: str, tmp_path: Path) -> None:
    path = damage(write_seg(tmp_path, "BINARY", frames(labels())), how)
    with pytest.raises(InputRefused) as refused:
        read_labels(path)
    assert refused.value.code == code
    assert refused.value.files == ("seg.dcm",)

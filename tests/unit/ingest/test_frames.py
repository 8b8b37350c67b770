"""Multi-frame objects: every frame is placed by its functional groups, or the object is refused."""

from __future__ import annotations

import struct
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom import Dataset

from tomosurf.data.series import Intake, Series
from tomosurf.errors import InputRefused
from tomosurf.ingest.elements import Elements, Encoding
from tomosurf.ingest.frames import elements_of_frames
from tomosurf.ingest.header import read_header
from tomosurf.ingest.read import read
from tomosurf.ingest.tags import Sequence, Tag
from tomosurf.testing.dicom_writer import SeriesOptions
from tomosurf.testing.multi_frame import Frame, FrameOptions, write_frames
from tomosurf.volume.build import build

ROWS, COLUMNS, COUNT = 24, 32, 5
COMPRESSED = ("jpeg-ls", "jpeg-lossless", "rle")


def cells(number: int) -> NDArray[Any]:
    """Stored values (rows, columns) that differ from frame to frame and voxel to voxel."""
    rows, columns = np.mgrid[:ROWS, :COLUMNS]
    return (100 * number + 3 * rows + 2 * columns).astype(np.uint16)


def frame(number: int, **values: Any) -> Frame:
    return Frame((1.0, 2.0, 3.0 + 2.5 * number), cells(number), **values)


def frames(**values: Any) -> list[Frame]:
    return [frame(k, **values) for k in range(COUNT)]


def write(folder: Path, written: list[Frame], syntax: str = "explicit-le", **options: Any) -> Intake:
    about: dict[str, Any] = {"modality": "CT", "syntax": syntax, "bits_stored": 12}
    series = SeriesOptions(**about | options.pop("series", {}))
    write_frames(folder / "in" / "all.dcm", written, FrameOptions(series, **options))
    return read(folder / "in")


def stacks(intake: Intake) -> tuple[Series, ...]:
    assert not intake.refused
    return tuple(sorted(intake.studies[0].series, key=lambda series: series.phase))


def refused(intake: Intake) -> tuple[str, str, tuple[str, ...]]:
    assert not intake.studies
    (only,) = intake.refused
    return only.code, only.attribute, only.files


@pytest.mark.parametrize("modality", ["CT", "MR"])
@pytest.mark.parametrize("syntax", ["explicit-le", "implicit-le", "explicit-be", *COMPRESSED])
def test_all_frames_make_one_volume(tmp_path: Path, modality: str, syntax: str) -> None:
    shuffled = [frame(k) for k in (3, 0, 4, 1, 2)]
    (series,) = stacks(write(tmp_path, shuffled, syntax, series={"modality": modality}))
    assert (series.phase, series.modality) == ("", modality)
    assert {i.frame for i in series.instances} == set(range(COUNT))
    volume = build(series)
    affine = np.diag([0.5, 0.75, 2.5, 1.0])
    affine[:3, 3] = 1, 2, 3
    np.testing.assert_allclose(volume.geometry.affine, affine, atol=1e-9)
    truth = np.stack([cells(k).T for k in range(COUNT)], axis=-1).astype(int) - 1024
    np.testing.assert_array_equal(volume.array, truth)


@pytest.mark.parametrize("offsets", ["basic", "extended", "none"])
@pytest.mark.parametrize("syntax", COMPRESSED)
def test_every_offset_table_leads_to_the_same_frames(tmp_path: Path, syntax: str, offsets: str) -> None:
    (series,) = stacks(write(tmp_path, frames(), syntax, offsets=offsets))
    volume = build(series)
    for k in range(COUNT):
        np.testing.assert_array_equal(volume.array[:, :, k], cells(k).T.astype(int) - 1024)


def test_rescale_of_each_frame_counts(tmp_path: Path) -> None:
    written = [replace(frame(k), rescale=(1.0 + k / 2, float(k))) for k in range(COUNT)]
    (series,) = stacks(write(tmp_path, written))
    volume = build(series)
    for k in range(COUNT):
        np.testing.assert_allclose(volume.array[:, :, k], cells(k).T * (1 + k / 2) + k)


@pytest.mark.parametrize(
    ("field", "values", "words"),
    [
        ("temporal", (1, 2), ["TemporalPositionIdentifier 1", "TemporalPositionIdentifier 2"]),
        ("echo_time", (2.46, 4.92), ["EchoTime 2.46", "EchoTime 4.92"]),
        ("b_value", (0.0, 800.0), ["DiffusionBValue 0", "DiffusionBValue 800"]),
        (
            "frame_type",
            (("ORIGINAL", "PRIMARY", "M"), ("ORIGINAL", "PRIMARY", "P")),
            ["ImageType M", "ImageType P"],
        ),
    ],
)
def test_four_dimensions_are_several_volumes(
    tmp_path: Path, field: str, values: tuple[Any, Any], words: list[str]
) -> None:
    written = []
    for k in range(COUNT):  # interleaved
        for n, value in enumerate(values):
            own: dict[str, Any] = {field: value}
            written.append(replace(frame(k), stored=cells(10 * n + k), **own))
    found = stacks(write(tmp_path, written, series={"modality": "MR"}))
    assert [series.phase for series in found] == words
    assert len({series.digest for series in found}) == 2
    for n, series in enumerate(found):
        volume = build(series)
        assert volume.phase == words[n]
        for k in range(COUNT):
            np.testing.assert_array_equal(volume.array[:, :, k], cells(10 * n + k).T.astype(int) - 1024)


def test_stacks_in_one_object_are_apart(tmp_path: Path) -> None:
    sagittal = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
    others = [Frame((40.0 + 3 * k, 0.0, 9.0), cells(k), sagittal, stack="2") for k in range(4)]
    found = stacks(write(tmp_path, frames() + others))
    assert sorted(len(series.instances) for series in found) == [4, COUNT]
    assert sorted(build(series).geometry.slice_step for series in found) == pytest.approx([2.5, 3.0])


def test_a_single_frame_is_a_slice(tmp_path: Path) -> None:
    for k in range(3):
        about = {"attributes": {"SOPInstanceUID": f"1.2.{k + 1}"}}
        options = FrameOptions(SeriesOptions(bits_stored=12, **about))  # type: ignore[arg-type]
        write_frames(tmp_path / "in" / f"{k}.dcm", [frame(k)], options)
    (series,) = stacks(read(tmp_path / "in"))
    assert build(series).geometry.shape == (COLUMNS, ROWS, 3)


def test_a_copy_of_the_object_is_taken_once(tmp_path: Path) -> None:
    intake = write(tmp_path, frames())
    (tmp_path / "in" / "copy.dcm").write_bytes((tmp_path / "in" / "all.dcm").read_bytes())
    again = read(tmp_path / "in", hashed=False)
    assert [(n.code, n.files) for n in again.skipped] == [("duplicate_instance", ("copy.dcm",))]
    assert stacks(again)[0].digest == stacks(intake)[0].digest


def test_missing_frames_are_missed(tmp_path: Path) -> None:
    (series,) = stacks(write(tmp_path, [frame(k) for k in (0, 1, 2, 4, 5)]))
    with pytest.raises(ValueError, match="missing") as caught:
        build(series)
    assert caught.value.code == "missing_slice"  # type: ignore[attr-defined]


def no_groups(dataset: Dataset) -> None:
    del dataset.PerFrameFunctionalGroupsSequence


def no_position(dataset: Dataset) -> None:
    del dataset.PerFrameFunctionalGroupsSequence[2].PlanePositionSequence


def no_orientation(dataset: Dataset) -> None:
    del dataset.PerFrameFunctionalGroupsSequence[1].PlaneOrientationSequence


def no_spacing(dataset: Dataset) -> None:
    del dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence


def no_rescale(dataset: Dataset) -> None:
    del dataset.PerFrameFunctionalGroupsSequence[3].PixelValueTransformationSequence


def two_positions(dataset: Dataset) -> None:
    groups = dataset.PerFrameFunctionalGroupsSequence[0]
    groups.PlanePositionSequence.append(groups.PlanePositionSequence[0])


def contradiction(dataset: Dataset) -> None:
    measures = Dataset()
    measures.PixelSpacing = [1, 1]
    dataset.PerFrameFunctionalGroupsSequence[0].PixelMeasuresSequence = [measures]


def too_few_groups(dataset: Dataset) -> None:
    del dataset.PerFrameFunctionalGroupsSequence[0]


def more_frames(dataset: Dataset) -> None:
    dataset.NumberOfFrames = COUNT + 1


def no_number(dataset: Dataset) -> None:
    del dataset.NumberOfFrames


def countless(dataset: Dataset) -> None:
    dataset.NumberOfFrames = 2_000_000_000


@pytest.mark.parametrize(
    ("spoil", "code", "attribute"),
    [
        (no_groups, "multi_frame", "PerFrameFunctionalGroupsSequence"),
        (no_position, "missing_position", "ImagePositionPatient"),
        (no_orientation, "missing_position", "ImageOrientationPatient"),
        (no_spacing, "missing_pixel_spacing", "PixelSpacing"),
        (no_rescale, "missing_rescale", "RescaleSlope"),
        (two_positions, "unreadable_file", "PerFrameFunctionalGroupsSequence"),
        (contradiction, "bad_geometry", "PixelSpacing"),
        (too_few_groups, "size_mismatch", "PerFrameFunctionalGroupsSequence"),
        (more_frames, "size_mismatch", "PixelData"),
        (no_number, "multi_frame", "NumberOfFrames"),
        (countless, "too_large", "NumberOfFrames"),
    ],
)
def test_what_cant_be_placed_is_refused(tmp_path: Path, spoil: Any, code: str, attribute: str) -> None:
    assert refused(write(tmp_path, frames(), spoil=spoil)) == (code, attribute, ("all.dcm",))


def test_fragments_that_arent_frames_are_refused(tmp_path: Path) -> None:
    def one_more(dataset: Dataset) -> None:
        end = b"\xfe\xff\xdd\xe0\0\0\0\0"
        more = b"\xfe\xff\x00\xe0\x02\0\0\0ab"
        data = dataset.PixelData
        dataset.PixelData = data.removesuffix(end) + more + (end if data.endswith(end) else b"")

    intake = write(tmp_path, frames(), "rle", offsets="none", spoil=one_more)
    assert refused(intake) == ("multi_frame", "PixelData", ("all.dcm",))


def test_an_offset_table_that_lies_is_refused(tmp_path: Path) -> None:
    def shifted(dataset: Dataset) -> None:
        data = bytearray(dataset.PixelData)
        data[12:16] = (int.from_bytes(data[12:16], "little") + 2).to_bytes(4, "little")
        dataset.PixelData = bytes(data)

    assert refused(write(tmp_path, frames(), "rle", spoil=shifted))[0] == "size_mismatch"


@pytest.mark.parametrize("syntax", ["explicit-le", "rle"])
def test_a_cut_file_is_refused(tmp_path: Path, syntax: str) -> None:
    write(tmp_path, frames(), syntax)
    path = tmp_path / "in" / "all.dcm"
    path.write_bytes(path.read_bytes()[:-200])
    assert refused(read(tmp_path / "in"))[0] == "truncated"


@pytest.mark.parametrize("depth", [1, 2, 5000])
def test_nesting_is_followed_to_a_known_depth(depth: int) -> None:
    def item(content: bytes) -> bytes:
        return b"\xfe\xff\x00\xe0" + len(content).to_bytes(4, "little") + content

    def element(tag: int, value: bytes) -> bytes:
        return struct.pack("<HHL", tag >> 16, tag & 0xFFFF, len(value)) + value

    value = element(Tag.DiffusionGradientOrientation, struct.pack("<3d", 1, 0, 0))
    for _ in range(depth):
        value = element(Sequence.DiffusionGradientDirectionSequence, item(value))
    encoding = Encoding(implicit=True, little=True)
    groups = item(element(Sequence.MRDiffusionSequence, item(value)))
    sequences = {int(Sequence.PerFrameFunctionalGroupsSequence): (groups, encoding)}
    (own,) = elements_of_frames(Elements(encoding, {Tag.NumberOfFrames: b"1 "}, sequences=sequences))
    assert (Tag.DiffusionGradientOrientation in own.values) == (depth == 1)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_spoilt_functional_groups_are_read_or_refused(data: st.DataObject) -> None:
    """Any bytes changed or cut in the groups: never anything but elements or a refusal."""
    with TemporaryDirectory() as folder:
        path = write_frames(Path(folder) / "all.dcm", frames()[:2])
        elements = read_header(path).elements
    groups = int(Sequence.PerFrameFunctionalGroupsSequence)
    raw, encoding = elements.sequences[groups]
    spoilt = bytearray(raw)
    for _ in range(data.draw(st.integers(1, 4))):
        spoilt[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    elements.sequences[groups] = bytes(spoilt[: data.draw(st.integers(0, len(raw)))]), encoding
    with suppress(InputRefused):
        assert len(elements_of_frames(elements)) == 2

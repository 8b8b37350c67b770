"""Series that hold several stacks come apart by what headers say; good stacks never do."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray

from tomosurf.data.geometry import Geometry
from tomosurf.data.series import Intake, short_digest
from tomosurf.errors import InputRefused
from tomosurf.ingest.read import read
from tomosurf.testing.dicom_writer import SeriesOptions, derived_uid, write_series
from tomosurf.volume.build import build

SHAPE = (7, 6, 5)
AXIAL = np.diag([0.5, 0.75, 2.0, 1.0])
CORONAL = np.array([[0.5, 0, 0, 0], [0, 0, 3.0, 0], [0, -0.75, 0, 0], [0, 0, 0, 1.0]])
SERIES = short_digest(derived_uid("series", "study", "series"))


@dataclass(frozen=True)
class Stack:
    """One truth: what was written and how it differs."""

    attributes: dict[str, Any]
    affine: NDArray[np.float64]
    stored: NDArray[Any]


def values(seed: int, shape: tuple[int, int, int] = SHAPE) -> NDArray[Any]:
    return np.random.default_rng(seed).integers(0, 2000, shape).astype(np.int16)


def write(
    folder: Path, *differing: dict[str, Any], affines: tuple[NDArray[Any], ...] = (), modality: Any = "CT"
) -> list[Stack]:
    """Stacks of one Series Instance UID into one folder; each has SOP Instance UIDs of its own."""
    written = []
    for n, attributes in enumerate(differing):
        affine = affines[n] if affines else AXIAL
        shape = attributes.get("shape", SHAPE)
        own = {k: v for k, v in attributes.items() if k not in ("shape", "seed")}
        own.setdefault("SOPInstanceUID", lambda k, n=n: derived_uid("instance", n, k))
        options = SeriesOptions(modality=modality, file_name=f"{n}-{{number:02d}}.dcm", attributes=own)
        stored = values(attributes.get("seed", n), shape)
        write_series(folder, stored, Geometry(shape, affine), options)
        written.append(Stack(own, affine, stored))
    return written


def phases(intake: Intake) -> list[str]:
    return sorted(series.phase for study in intake.studies for series in study.series)


def assert_each_is_found(intake: Intake, written: list[Stack]) -> None:
    """Every truth is one volume, with its affine and values, and there is nothing else."""
    assert not intake.refused
    volumes = [build(series) for study in intake.studies for series in study.series]
    assert len(volumes) == len(written)
    assert len({volume.series for volume in volumes}) == len(volumes)
    for stack in written:
        truth = stack.stored.astype(int) - 1024
        (found,) = [v for v in volumes if v.array.shape == truth.shape and (v.array == truth).all()]
        np.testing.assert_allclose(found.geometry.affine, stack.affine, atol=1e-6)


DIFFERENT: list[tuple[str, tuple[dict[str, Any], ...], list[str]]] = [
    ("MR", ({"EchoTime": "2.46"}, {"EchoTime": "4.92"}), ["EchoTime 2.46", "EchoTime 4.92"]),
    (
        "MR",
        ({"DiffusionBValue": 0.0}, {"DiffusionBValue": 800.0}),
        ["DiffusionBValue 0", "DiffusionBValue 800"],
    ),
    (
        "MR",
        (
            {"DiffusionBValue": 0.0},
            {"DiffusionBValue": 800.0, "DiffusionGradientOrientation": [1.0, 0.0, 0.0]},
            {"DiffusionBValue": 800.0, "DiffusionGradientOrientation": [0.0, 1.0, 0.0]},
        ),
        [
            "DiffusionBValue 0",
            "DiffusionBValue 800, DiffusionGradientOrientation 1",
            "DiffusionBValue 800, DiffusionGradientOrientation 2",
        ],
    ),
    (
        "CT",
        ({"ConvolutionKernel": "BONE"}, {"ConvolutionKernel": "SOFT"}),
        ["ConvolutionKernel 1", "ConvolutionKernel 2"],
    ),
    (
        "MR",
        ({"ImageType": ["DERIVED", "PRIMARY", "WATER"]}, {"ImageType": ["DERIVED", "PRIMARY", "FAT"]}),
        ["ImageType FAT", "ImageType WATER"],
    ),
    (
        "MR",
        ({"ImageType": ["DERIVED", "PRIMARY", "NAME A"]}, {"ImageType": ["DERIVED", "PRIMARY", "NAME B"]}),
        ["ImageType 1", "ImageType 2"],
    ),
    (
        "CT",
        ({"TemporalPositionIdentifier": 1}, {"TemporalPositionIdentifier": 2}),
        ["TemporalPositionIdentifier 1", "TemporalPositionIdentifier 2"],
    ),
    ("CT", ({"TriggerTime": "0"}, {"TriggerTime": "412.5"}), ["TriggerTime 0", "TriggerTime 412.5"]),
    (
        "CT",
        ({"AcquisitionNumber": 3}, {"AcquisitionNumber": 4}),
        ["AcquisitionNumber 3", "AcquisitionNumber 4"],
    ),
    ("MR", ({"EchoNumbers": 1}, {"EchoNumbers": 2}), ["EchoNumbers 1", "EchoNumbers 2"]),
    ("MR", ({"InversionTime": "100"}, {"InversionTime": "900"}), ["InversionTime 100", "InversionTime 900"]),
    (
        "CT",
        ({"AcquisitionTime": "120000"}, {"AcquisitionTime": "120030.5"}),
        ["AcquisitionTime 1", "AcquisitionTime 2"],
    ),
    (
        "CT",  # every slice has a time of its own, and the second sweep starts when the first is over
        (
            {"AcquisitionTime": lambda k: f"12000{k}.25"},
            {"AcquisitionTime": lambda k: f"12001{4 - k}"},
            {"AcquisitionTime": lambda k: f"12002{k}"},
        ),
        ["AcquisitionTime 1", "AcquisitionTime 2", "AcquisitionTime 3"],
    ),
    (
        "MR",  # neither alone tells: two echo numbers at two temporal positions
        tuple(
            {"EchoNumbers": echo, "TemporalPositionIdentifier": time} for echo in (1, 2) for time in (1, 2)
        ),
        [f"TemporalPositionIdentifier {time}, EchoNumbers {echo}" for time in (1, 2) for echo in (1, 2)],
    ),
]


@pytest.mark.parametrize(("modality", "differing", "words"), DIFFERENT, ids=lambda v: str(v)[:40])
def test_what_tells_stacks_apart(
    tmp_path: Path, modality: str, differing: tuple[dict[str, Any], ...], words: list[str]
) -> None:
    written = write(tmp_path, *differing, modality=modality)
    intake = read(tmp_path)
    assert_each_is_found(intake, written)
    assert phases(intake) == words


def test_orientations_are_apart(tmp_path: Path) -> None:
    written = write(tmp_path, {}, {}, affines=(AXIAL, CORONAL))
    intake = read(tmp_path)
    assert_each_is_found(intake, written)
    assert phases(intake) == ["ImageOrientationPatient 1", "ImageOrientationPatient 2"]


def test_matrices_and_spacings_are_apart(tmp_path: Path) -> None:
    half = np.diag([1.0, 1.5, 2.0, 1.0])
    written = write(tmp_path, {}, {"shape": (4, 3, 5)}, {}, affines=(AXIAL, half, half))
    assert_each_is_found(read(tmp_path), written)


def test_phases_that_are_slightly_shifted_are_apart(tmp_path: Path) -> None:
    shifted = AXIAL.copy()
    shifted[2, 3] = 0.3
    written = write(tmp_path, {"AcquisitionNumber": 1}, {"AcquisitionNumber": 2}, affines=(AXIAL, shifted))
    assert_each_is_found(read(tmp_path), written)


def test_passes_of_one_stack_with_a_missing_slice_stay_together(tmp_path: Path) -> None:
    write(tmp_path, {"AcquisitionNumber": lambda k: k % 2, "shape": (7, 6, 8)})
    (tmp_path / "0-02.dcm").unlink()
    (series,) = read(tmp_path).studies[0].series
    with pytest.raises(InputRefused) as caught:
        build(series)
    assert caught.value.code == "missing_slice"


def test_names_and_order_dont_matter(tmp_path: Path) -> None:
    write(tmp_path / "a", {"EchoTime": "2"}, {"EchoTime": "4"}, modality="MR")
    files = sorted((tmp_path / "a").iterdir())
    for number, place in enumerate(np.random.default_rng(1).permutation(len(files))):
        folder = tmp_path / "b" / str(number % 3)
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(files[place], folder / f"x{number}")
    one, other = read(tmp_path / "a"), read(tmp_path / "b")
    for a, b in zip(one.studies[0].series, other.studies[0].series, strict=True):
        assert (a.digest, a.phase) == (b.digest, b.phase)
        first, second = build(a), build(b)
        np.testing.assert_array_equal(first.array, second.array)
        np.testing.assert_array_equal(first.geometry.affine, second.geometry.affine)


Per = Callable[[int], Any]


@pytest.mark.parametrize(
    "attributes",
    [
        {"AcquisitionNumber": lambda k: k + 1},
        {"AcquisitionTime": lambda k: f"12000{k}"},
        {"TriggerTime": lambda k: str(37 * k)},
        {"TemporalPositionIdentifier": lambda k: k // 2 + 1},
        {"EchoNumbers": lambda k: k % 2},
        {"FlipAngle": lambda k: str(10 + k)},
        {"EchoTime": lambda k: f"2.4{k}"},
        {"ImageOrientationPatient": lambda k: [1, 1e-5 * k, 0, -1e-5 * k, 1, 0]},
    ],
    ids=lambda value: next(iter(value)),
)
def test_a_good_stack_is_never_split(tmp_path: Path, attributes: dict[str, Per]) -> None:
    (truth,) = write(tmp_path, attributes)
    intake = read(tmp_path)
    assert phases(intake) == [""]
    assert intake.studies[0].series[0].digest == SERIES
    np.testing.assert_array_equal(build(intake.studies[0].series[0]).array, truth.stored.astype(int) - 1024)


def test_localizers_of_the_same_series_are_skipped(tmp_path: Path) -> None:
    written = write(tmp_path, {}, {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]})
    intake = read(tmp_path)
    assert [notice.code for notice in intake.skipped] == ["localizer_skipped"]
    assert_each_is_found(intake, written[:1])


def test_scouts_that_dont_say_so_are_refused_by_name_and_the_stack_is_built(tmp_path: Path) -> None:
    affine = CORONAL.copy()
    affine[:3, 3] = -200, -150, 300
    (stack, _) = write(tmp_path, {}, {"shape": (7, 6, 2)}, affines=(AXIAL, affine))
    outcomes = {}
    for series in read(tmp_path).studies[0].series:
        try:
            outcomes["built"] = build(series).array
        except InputRefused as error:
            outcomes[error.code] = error.files
    np.testing.assert_array_equal(outcomes.pop("built"), stack.stored.astype(int) - 1024)
    assert {code: sorted(files) for code, files in outcomes.items()} == {
        "too_few_slices": ["1-01.dcm", "1-02.dcm"]
    }


def test_an_incomplete_phase_is_refused_and_the_other_built(tmp_path: Path) -> None:
    (first, _) = write(tmp_path, {"TemporalPositionIdentifier": 1}, {"TemporalPositionIdentifier": 2})
    (tmp_path / "1-03.dcm").unlink()
    one, other = sorted(read(tmp_path).studies[0].series, key=lambda series: series.phase)
    np.testing.assert_array_equal(build(one).array, first.stored.astype(int) - 1024)
    with pytest.raises(InputRefused) as caught:
        build(other)
    assert (caught.value.code, caught.value.series) == ("missing_slice", other.digest)


@pytest.mark.parametrize(
    ("stray", "code"),
    [
        ({"ConvolutionKernel": "BONE"}, "mixed_series"),
        ({"RescaleType": "US"}, "mixed_series"),
        ({"ImageType": ["DERIVED", "SECONDARY", "MIP"]}, "mixed_series"),
        ({"PixelSpacing": [1.5, 1.5]}, "inconsistent_matrix"),
        ({"ImageOrientationPatient": [0.0, 1.0, 0.0, -1.0, 0.0, 0.0]}, "mixed_orientation"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else value,
)
@pytest.mark.parametrize("k", [2, 4], ids=["inside", "at the end"])
def test_one_slice_that_differs_isnt_left_out_silently(
    tmp_path: Path, stray: dict[str, Any], code: str, k: int
) -> None:
    write(tmp_path, {})
    path = tmp_path / f"0-{k + 1:02d}.dcm"
    dataset = pydicom.dcmread(path)
    for keyword, value in stray.items():
        setattr(dataset, keyword, value)
    dataset.save_as(path)
    intake = read(tmp_path)
    if intake.refused:
        (notice,) = intake.refused
        assert (notice.code, notice.files) == (code, (path.name,))
        assert not intake.studies
        return
    (series,) = intake.studies[0].series
    with pytest.raises(InputRefused) as caught:
        build(series)
    assert (caught.value.code, caught.value.files) == (code, (path.name,))


def twin(folder: Path, name: str, **changes: Any) -> None:
    """The slice in ``name`` once more, under another SOP Instance UID."""
    dataset = pydicom.dcmread(folder / name)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = derived_uid("twin", name)
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    dataset.save_as(folder / f"twin {name}")


@pytest.mark.parametrize("hashed", [True, False])
def test_the_same_slice_under_another_uid_is_taken_once(tmp_path: Path, hashed: bool) -> None:
    written = write(tmp_path, {})
    twin(tmp_path, "0-02.dcm", InstanceNumber=99)
    intake = read(tmp_path, hashed=hashed)
    (skipped,) = intake.skipped
    assert (skipped.code, len(skipped.files), skipped.series) == ("duplicate_instance", 1, SERIES)
    assert_each_is_found(intake, written)


@pytest.mark.parametrize(
    "changes", [{"RescaleIntercept": "0"}, {"PixelData": bytes(84)}], ids=["value", "pixels"]
)
def test_different_slices_at_one_place_are_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    write(tmp_path, {})
    twin(tmp_path, "0-02.dcm", **changes)
    intake = read(tmp_path)
    assert not intake.skipped
    with pytest.raises(InputRefused) as caught:
        build(intake.studies[0].series[0])
    assert caught.value.code == "overlapping_positions"
    assert sorted(caught.value.files) == ["0-02.dcm", "twin 0-02.dcm"]


def test_nothing_tells_and_nothing_is_guessed(tmp_path: Path) -> None:
    write(tmp_path, {}, {})
    (series,) = read(tmp_path).studies[0].series
    assert series.phase == ""
    with pytest.raises(InputRefused) as caught:
        build(series)
    assert caught.value.code == "overlapping_positions"
    assert len(caught.value.files) == 10


def test_times_that_interleave_dont_tell(tmp_path: Path) -> None:
    write(
        tmp_path,
        {"AcquisitionTime": lambda k: f"12000{k}"},
        {"AcquisitionTime": lambda k: f"12000{k}.5"},
    )
    (series,) = read(tmp_path).studies[0].series
    with pytest.raises(InputRefused):
        build(series)


def test_warnings_follow_the_stacks(tmp_path: Path) -> None:
    write(
        tmp_path,
        {"TemporalPositionIdentifier": 1, "BurnedInAnnotation": "YES"},
        {"TemporalPositionIdentifier": 2},
    )
    intake = read(tmp_path)
    (warning,) = intake.warnings
    (burned,) = [s for s in intake.studies[0].series if s.phase.endswith("1")]
    assert (warning.code, warning.series, len(warning.files)) == ("burned_in_annotation", burned.digest, 5)


def test_three_planes_of_too_few_slices_stay_one_refusal(tmp_path: Path) -> None:
    write(tmp_path, {"shape": (7, 6, 2)}, {"shape": (7, 6, 2)}, affines=(AXIAL, CORONAL))
    (series,) = read(tmp_path).studies[0].series
    with pytest.raises(InputRefused) as caught:
        build(series)
    assert caught.value.code == "mixed_orientation"


@pytest.mark.parametrize(("number", "warned"), [(2, 0), (7, 1)], ids=["complete", "a gap"])
def test_instance_numbers_are_counted_stack_by_stack(tmp_path: Path, number: int, warned: int) -> None:
    write(
        tmp_path,
        {"EchoTime": "2", "InstanceNumber": lambda k: number if k == 1 else k + 1},
        {"EchoTime": "4", "InstanceNumber": lambda k: k + 1},
    )
    warnings = [n for n in read(tmp_path).warnings if n.code == "instance_numbers_incomplete"]
    assert len(warnings) == warned
    assert all(n.series != SERIES for n in warnings)

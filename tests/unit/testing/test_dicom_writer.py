"""What is written is read back by pydicom, is correct by dicom3tools, and is spoilt only on request."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from pydicom import dcmread

from tomosurf.data.geometry import Geometry
from tomosurf.errors import ConfigError, DataError, GeometryError
from tomosurf.testing.dicom_writer import SYNTAXES, SeriesOptions, derived_uid, write_series
from tomosurf.testing.strategies import geometries

BIN = Path(sys.executable).parent


def a_geometry(shape: tuple[int, int, int] = (40, 36, 3)) -> Geometry:
    affine = np.diag([0.7, 0.9, 2.0, 1.0])
    affine[:3, 3] = (-123.4567890123, 55.0, -1093.3333333333)
    return Geometry(shape, affine)


def values(shape: tuple[int, int, int], dtype: type = np.int16) -> np.ndarray:
    low = -2000 if dtype is np.int16 else 0
    return np.random.default_rng(1).integers(low, 3000, shape).astype(dtype)


@pytest.mark.parametrize("dtype", [np.int16, np.uint16])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_stored_values_come_back_in_every_syntax(tmp_path: Path, syntax: str, dtype: type) -> None:
    stored = values((40, 36, 2), dtype)
    options = SeriesOptions(syntax=syntax, padding=None if dtype is np.uint16 else -2000)
    files = write_series(tmp_path, stored, a_geometry(stored.shape), options)
    for k, file in enumerate(files):
        dataset = dcmread(file)
        assert dataset.file_meta.TransferSyntaxUID == SYNTAXES[syntax]
        assert np.array_equal(dataset.pixel_array, stored[:, :, k].T)
        assert dataset.get("PixelPaddingValue") == options.padding


@pytest.mark.parametrize("modality", ["CT", "MR"])
@pytest.mark.parametrize("syntax", sorted(set(SYNTAXES) - {"deflated"}))  # dciodvfy can't inflate
def test_dciodvfy_finds_no_error(tmp_path: Path, syntax: str, modality: str) -> None:
    options = SeriesOptions(
        modality=modality,
        syntax=syntax,
        rescale=(1.0, -1024.0) if modality == "CT" else None,
        padding=-2000 if modality == "CT" else None,
    )
    files = write_series(tmp_path, values((40, 36, 3)), a_geometry(), options)
    checked = subprocess.run(
        [BIN / "dciodvfy", "-new", files[1]], check=False, capture_output=True, text=True
    )
    assert f"{modality}Image" in checked.stderr + checked.stdout
    assert "Error" not in checked.stderr + checked.stdout
    assert checked.returncode == 0
    entities = subprocess.run([BIN / "dcentvfy", *files], check=False, capture_output=True, text=True)
    assert (entities.returncode, entities.stdout, entities.stderr) == (0, "", "")


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(geometry=geometries(min_shape=2, max_shape=4))
def test_headers_place_the_slices(tmp_path: Path, geometry: Geometry) -> None:
    """PS3.3 equation C.7.6.2.1-1, from the attributes as written, gives the geometry back."""
    files = write_series(tmp_path, np.zeros(geometry.shape, np.int16), geometry)
    for k, file in enumerate(files):
        d = dcmread(file)
        row, column = np.array(d.ImageOrientationPatient[:3]), np.array(d.ImageOrientationPatient[3:])
        for i, j in ((0, 0), (1, 0), (0, 1)):
            point = (
                np.array(d.ImagePositionPatient)
                + i * d.PixelSpacing[1] * row
                + j * d.PixelSpacing[0] * column
            )
            assert np.abs(point - geometry.to_world([[i, j, k]])[0]).max() < 1e-6
        assert (d.Rows, d.Columns) == (geometry.shape[1], geometry.shape[0])


def digests(files: tuple[Path, ...]) -> list[str]:
    return [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_the_same_arguments_give_the_same_bytes(tmp_path: Path, syntax: str) -> None:
    options = SeriesOptions(syntax=syntax, shuffle=4)
    a, b = (write_series(tmp_path / n, values((40, 36, 3)), a_geometry(), options) for n in "ab")
    assert digests(a) == digests(b)
    assert [file.name for file in a] == [file.name for file in b]


def test_uids_follow_the_names_alone(tmp_path: Path) -> None:
    def uids(folder: str, **options: str) -> tuple[str, str, str, str]:
        files = write_series(
            tmp_path / folder, np.zeros((40, 36, 3), np.int16), a_geometry(), SeriesOptions(**options)
        )
        d = dcmread(files[0])
        return d.StudyInstanceUID, d.SeriesInstanceUID, d.SOPInstanceUID, d.FrameOfReferenceUID

    first, again = uids("a"), uids("b")
    assert first == again
    assert len(set(first)) == 4
    other = uids("c", series="other")
    assert [x == y for x, y in zip(first, other, strict=True)] == [True, False, False, True]
    assert not set(first) & set(uids("d", study="other"))
    assert derived_uid("a", "b") != derived_uid("ab")
    assert all(len(uid) <= 64 and uid.startswith("2.25.") for uid in first)


def test_shuffling_hides_the_order_in_names_and_numbers(tmp_path: Path) -> None:
    geometry = a_geometry((40, 36, 20))
    files = write_series(tmp_path, values((40, 36, 20)), geometry, SeriesOptions(shuffle=1))
    names = [file.name for file in files]
    numbers = [int(dcmread(file).InstanceNumber) for file in files]
    assert sorted(numbers) == list(range(1, 21)) != numbers
    assert len(set(names)) == 20
    assert sorted(names) != names
    assert [int(name[:4]) for name in names] != numbers
    heights = [float(dcmread(file).ImagePositionPatient[2]) for file in files]
    assert heights == sorted(heights)


def test_rescale_may_differ_from_slice_to_slice(tmp_path: Path) -> None:
    pairs = ((1.0, 0.0), (2.5, -3.0), (0.1, 7.0))
    files = write_series(tmp_path, values((40, 36, 3)), a_geometry(), SeriesOptions(rescale=pairs))
    written = [(float(d.RescaleSlope), float(d.RescaleIntercept)) for d in map(dcmread, files)]
    assert tuple(written) == pairs


def test_attributes_are_replaced_computed_and_removed(tmp_path: Path) -> None:
    options = SeriesOptions(
        bits_stored=12,
        file_name="slice-{number}",
        attributes={
            "Laterality": "L",
            "InstanceNumber": lambda k: 7 - k,
            "SOPInstanceUID": lambda k: f"1.2.3.{k}",
        },
        removed=("PixelSpacing", "PatientName"),
    )
    files = write_series(tmp_path, np.ones((40, 36, 3), np.uint16), a_geometry(), options)
    d = dcmread(files[2])
    assert files[2].name == "slice-3"
    assert (d.Laterality, d.InstanceNumber, d.SOPInstanceUID) == ("L", 5, "1.2.3.2")
    assert d.file_meta.MediaStorageSOPInstanceUID == "1.2.3.2"
    assert (d.BitsStored, d.HighBit) == (12, 11)
    assert "PixelSpacing" not in d
    assert "PatientName" not in d


def test_a_file_without_pixels_or_identity_can_be_written(tmp_path: Path) -> None:
    options = SeriesOptions(removed=("PixelData", "SOPClassUID", "SOPInstanceUID", "InstanceNumber"))
    files = write_series(tmp_path, np.ones((40, 36, 3), np.uint16), a_geometry(), options)
    d = dcmread(files[0])
    assert not {"PixelData", "SOPClassUID", "SOPInstanceUID", "InstanceNumber"} & set(d.dir())


def test_progress_ends_at_one(tmp_path: Path) -> None:
    seen: list[float] = []
    write_series(tmp_path, values((40, 36, 3)), a_geometry(), None, lambda _, f: seen.append(f))
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_what_dicom_cannot_say_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="int16"):
        write_series(tmp_path, np.zeros((40, 36, 3)), a_geometry())
    with pytest.raises(DataError, match="shape"):
        write_series(tmp_path, np.zeros((40, 36, 2), np.int16), a_geometry())
    with pytest.raises(DataError, match="JPEG 2000"):
        small = Geometry((8, 8, 2), np.eye(4))
        write_series(tmp_path, np.zeros((8, 8, 2), np.int16), small, SeriesOptions(syntax="jpeg-2000"))
    with pytest.raises(ConfigError, match="transfer syntax"):
        write_series(tmp_path, values((40, 36, 3)), a_geometry(), SeriesOptions(syntax="jpeg"))
    with pytest.raises(ConfigError, match="rescale"):
        write_series(tmp_path, values((40, 36, 3)), a_geometry(), SeriesOptions(rescale=((1.0, 0.0),)))
    skewed = a_geometry().affine.copy()
    skewed[0, 1] = 0.4
    with pytest.raises(GeometryError, match="right angle"):
        write_series(tmp_path, values((40, 36, 3)), Geometry((40, 36, 3), skewed))

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.sequence import Sequence

from tomosurf.data.geometry import Geometry
from tomosurf.deidentify.folder import deidentify
from tomosurf.deidentify.key import Key
from tomosurf.deidentify.options import DeidentifyOptions
from tomosurf.errors import ConfigError
from tomosurf.ingest.read import read
from tomosurf.testing.dicom_writer import SYNTAXES, SeriesOptions, write_series
from tomosurf.testing.multi_frame import Frame, FrameOptions, write_frames
from tomosurf.volume.build import build

BIN = Path(sys.executable).parent
GEOMETRY = Geometry((32, 32, 3), np.diag([1.0, 1.0, 2.0, 1.0]))
STORED = np.arange(32 * 32 * 3, dtype=np.int16).reshape(32, 32, 3)
KEY = Key(b"a key that is known")


def written(folder: Path, **options) -> Path:
    write_series(folder, STORED, GEOMETRY, SeriesOptions(**options))
    return folder


def edited(folder: Path, change) -> Path:
    """Change the data set of every file of a folder."""
    for path in folder.iterdir():
        dataset = dcmread(path)
        change(dataset)
        dataset.save_as(path)
    return folder


def only(result, output: Path) -> Dataset:
    return dcmread(output / result.files[0])


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_pixels_syntax_and_volume_stay_the_same(tmp_path, syntax):
    source = written(tmp_path / "in", syntax=syntax)
    result = deidentify(source, tmp_path / "out", key=KEY)
    assert (len(result.files), result.refused, result.skipped) == (3, (), ())
    before = {dcmread(p).InstanceNumber: dcmread(p) for p in source.iterdir()}
    for name in result.files:
        after = dcmread(tmp_path / "out" / name)
        original = before[after.InstanceNumber]
        assert after.PixelData == original.PixelData
        assert after.file_meta.TransferSyntaxUID == original.file_meta.TransferSyntaxUID
        assert (
            after.SOPInstanceUID
            == after.file_meta.MediaStorageSOPInstanceUID
            == KEY.uid(original.SOPInstanceUID)
        )
    (one,), (two,) = (read(folder).studies for folder in (source, tmp_path / "out"))
    ours, theirs = build(one.series[0]), build(two.series[0])
    assert np.array_equal(ours.array, theirs.array)
    assert np.array_equal(ours.geometry.affine, theirs.geometry.affine)


@pytest.mark.parametrize("name", ["ct-phantom", "mr-hippocampus/crop-left"])
@pytest.mark.parametrize("options", [DeidentifyOptions(), DeidentifyOptions(True, True, True, True)])
def test_dicom3tools_finds_no_error(sample_data, tmp_path, name, options):
    source = tmp_path / "in"
    source.mkdir()
    for path in sorted((sample_data / name).iterdir())[::20]:
        (source / path.name).write_bytes(path.read_bytes())
    result = deidentify(source, tmp_path / "out", options)
    assert not result.refused
    files = [tmp_path / "out" / file for file in result.files]
    for file in files:
        checked = subprocess.run(
            [BIN / "dciodvfy", "-new", file], check=False, capture_output=True, text=True
        )
        assert checked.returncode == 0, checked.stderr
        assert "Error" not in checked.stdout + checked.stderr
    entities = subprocess.run([BIN / "dcentvfy", *files], check=False, capture_output=True, text=True)
    assert (entities.returncode, entities.stdout, entities.stderr) == (0, "", "")


def test_the_output_says_what_was_done(tmp_path):
    source = written(tmp_path / "in")
    plain = only(deidentify(source, tmp_path / "plain"), tmp_path / "plain")
    assert plain.PatientIdentityRemoved == "YES"
    assert plain.LongitudinalTemporalInformationModified == "REMOVED"
    assert [c.CodeValue for c in plain.DeidentificationMethodCodeSequence] == ["113100"]
    assert (plain.StudyDate, plain.PatientSex, plain.get("SeriesDate")) == ("", "", None)
    full = DeidentifyOptions(True, True, True, True)
    dataset = only(deidentify(source, tmp_path / "full", full), tmp_path / "full")
    assert [c.CodeValue for c in dataset.DeidentificationMethodCodeSequence] == [
        "113100", "113105", "113107", "113108", "113110",
    ]  # fmt: skip
    assert dataset.LongitudinalTemporalInformationModified == "MODIFIED"
    assert dataset.StudyInstanceUID == dcmread(next(source.iterdir())).StudyInstanceUID


def test_dates_keep_their_distance(tmp_path):
    dates = {"StudyDate": "20240301", "AcquisitionDateTime": "20240228235959.5+0100", "StudyTime": "101112"}
    source = written(tmp_path / "in", attributes=dates | {"PatientID": "one"})
    options = DeidentifyOptions(shift_dates=True)
    dataset = only(deidentify(source, tmp_path / "out", options, KEY), tmp_path / "out")
    assert np.datetime64("2024-03-01") - np.datetime64(
        f"{dataset.StudyDate[:4]}-{dataset.StudyDate[4:6]}-{dataset.StudyDate[6:]}"
    ) == np.timedelta64(KEY.shift("one"), "D")
    moved = dataset.AcquisitionDateTime
    day = np.datetime64(f"{moved[:4]}-{moved[4:6]}-{moved[6:8]}")
    assert np.datetime64("2024-02-28") - day == np.timedelta64(KEY.shift("one"), "D")
    assert (moved[8:], dataset.StudyTime) == ("235959.5+0100", "101112")


def test_characteristics_stay_when_asked_and_the_very_old_are_ninety(tmp_path):
    about = {"PatientSex": "F", "PatientAge": "097Y", "PatientSize": "1.71", "PatientWeight": "70"}
    source = written(tmp_path / "in", attributes=about)
    options = DeidentifyOptions(retain_patient_characteristics=True)
    kept = only(deidentify(source, tmp_path / "out", options), tmp_path / "out")
    assert (kept.PatientSex, kept.PatientAge, kept.PatientSize, kept.PatientWeight) == ("F", "090Y", 1.71, 70)
    gone = only(deidentify(source, tmp_path / "gone"), tmp_path / "gone")
    assert gone.PatientSex == ""
    assert not {"PatientAge", "PatientSize", "PatientWeight"} & set(gone.dir())


def test_text_that_hides_in_a_kept_attribute_goes(tmp_path):
    def hide(dataset):
        dataset.PatientName = "Quast^Otto"
        dataset.ConvolutionKernel = "for Otto"
        dataset.BodyPartExamined = "QUAST"
        dataset.add_new("TableHeight", "LO", "Quast's table")
        dataset.Exposure = None
        dataset.ManufacturerModelName = "Größe"
        item = Dataset()
        item.PixelData, item.PatientName = b"Otto", "Quast^Otto"
        item["PixelData"].VR = "OB"
        dataset.SourceImageSequence = Sequence([item])

    source = edited(written(tmp_path / "in"), hide)
    result = deidentify(source, tmp_path / "out")
    assert result.refused == ()
    dataset = only(result, tmp_path / "out")
    assert (dataset.ConvolutionKernel, dataset.BodyPartExamined, dataset.ManufacturerModelName) == (
        "",
        "",
        "",
    )
    assert "TableHeight" not in dataset
    assert len(dataset.SourceImageSequence[0]) == 0


def test_an_identifier_among_the_pixels_takes_the_file_away(tmp_path):
    def hide(dataset):
        dataset.PatientName = "Quastenflosser^Otto"
        if dataset.InstanceNumber == 2:
            dataset.PixelData = b"Quastenflosser".ljust(len(dataset.PixelData), b"\0")

    source = edited(written(tmp_path / "in"), hide)
    result = deidentify(source, tmp_path / "out")
    assert [(n.code, n.attribute, len(n.files)) for n in result.refused] == [
        ("identifier_left", "PatientName", 1)
    ]
    assert len(result.files) == 2 == len(list((tmp_path / "out").rglob("*.*")))


def test_burned_in_text_is_refused_unless_allowed(tmp_path):
    source = written(tmp_path / "in", attributes={"BurnedInAnnotation": "YES"})
    result = deidentify(source, tmp_path / "out")
    assert ([n.code for n in result.refused], result.files) == (["burned_in_annotation"], ())
    allowed = deidentify(source, tmp_path / "allowed", DeidentifyOptions(allow_burned_in=True))
    assert len(allowed.files) == 3
    assert [n.code for n in allowed.warnings] == ["burned_in_annotation"]
    assert only(allowed, tmp_path / "allowed").BurnedInAnnotation == "YES"


def test_objects_that_hold_text_are_passed_over_under_a_number(tmp_path):
    source = tmp_path / "in"
    report = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.11"}
    written(source / "Doe Jane", attributes=report)
    written(source / "b", series="b", attributes={"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"})
    (source / "Doe.txt").write_text("text")
    result = deidentify(source, tmp_path / "out")
    assert result.files == ()
    assert {n.code: n.files for n in result.skipped} == {
        "no_dicom": ("input-000004",),
        "non_image_skipped": ("input-000001", "input-000002", "input-000003"),
        "secondary_capture_skipped": ("input-000005", "input-000006", "input-000007"),
    }


def test_copies_are_written_once_and_contradictions_not_at_all(tmp_path):
    source = written(tmp_path / "in")
    (source / "copy.dcm").write_bytes((source / "0001.dcm").read_bytes())
    dataset = dcmread(source / "0002.dcm")
    dataset.PixelData = dataset.PixelData[::-1]
    dataset.save_as(source / "other.dcm")
    result = deidentify(source, tmp_path / "out")
    assert [(n.code, len(n.files)) for n in result.skipped] == [("duplicate_instance", 1)]
    assert [n.code for n in result.refused] == ["conflicting_duplicate"]
    assert len(result.files) == 2 == len(list((tmp_path / "out").rglob("*.dcm")))


def test_bytes_behind_the_pixels_are_refused(tmp_path):
    def append(dataset):
        dataset.PixelData += b"Jane Doe"

    result = deidentify(edited(written(tmp_path / "in"), append), tmp_path / "out")
    assert [n.code for n in result.refused] == ["size_mismatch"]


def test_damaged_files_are_refused_and_the_rest_is_written(tmp_path):
    source = written(tmp_path / "in")
    whole = (source / "0001.dcm").read_bytes()
    for number, cut in enumerate((0, 150, 400, len(whole) - 700)):
        (source / f"cut{number}.dcm").write_bytes(whole[:cut])
    result = deidentify(source, tmp_path / "out")
    assert len(result.files) + sum(len(n.files) for n in (*result.refused, *result.skipped)) >= 7
    assert len(list((tmp_path / "out").rglob("*.*"))) == len(result.files) >= 2


def test_the_same_key_gives_the_same_files(tmp_path):
    source = written(tmp_path / "in", attributes={"PatientID": "12345678"})
    one, two = (deidentify(source, tmp_path / name, key=KEY) for name in ("one", "two"))
    assert one == two
    assert all((tmp_path / "one" / f).read_bytes() == (tmp_path / "two" / f).read_bytes() for f in one.files)
    assert deidentify(source, tmp_path / "three").files != one.files


def test_the_output_is_a_new_folder_outside_of_the_input(tmp_path):
    source = written(tmp_path / "in")
    for output in (source, source / "out"):
        with pytest.raises(ConfigError):
            deidentify(source, output)


@pytest.mark.parametrize("modality", ["CT", "MR"])
@pytest.mark.parametrize("syntax", ["explicit-le", "jpeg-ls"])
def test_an_enhanced_object_gives_the_same_volumes(tmp_path, modality, syntax):
    cells = np.arange(32 * 24, dtype=np.uint16).reshape(24, 32)
    frames = [Frame((0.0, 0.0, 2.0 * k), cells + k) for k in range(4)]
    about = {"AcquisitionDateTime": "20240228", "FrameOfReferenceUID": "1.2.3.4", "PatientName": "Quast^Otto"}
    series = SeriesOptions(modality=modality, syntax=syntax, attributes=about)
    write_frames(tmp_path / "in" / "all.dcm", frames, FrameOptions(series))
    result = deidentify(tmp_path / "in", tmp_path / "out")
    assert (len(result.files), result.refused) == (1, ())
    dataset = only(result, tmp_path / "out")
    assert dataset.AcquisitionDateTime == "20000101000000"
    assert dataset.DeviceSerialNumber == "0"
    (one,), (two,) = (read(folder).studies for folder in (tmp_path / "in", tmp_path / "out"))
    ours, theirs = build(one.series[0]), build(two.series[0])
    assert np.array_equal(ours.array, theirs.array)
    assert np.array_equal(ours.geometry.affine, theirs.geometry.affine)


def test_damage_anywhere_in_a_header_gives_no_leak_and_no_traceback(tmp_path):
    rng = np.random.default_rng(4)

    def name(dataset):
        dataset.PatientName, dataset.InstitutionName = "Quastenflosser^Otto", "Klinik Sankt Gerbert"
        dataset.SourceImageSequence = Sequence([Dataset()])
        dataset.SourceImageSequence[0].ReferencedSOPInstanceUID = dataset.SOPInstanceUID

    source = edited(written(tmp_path / "whole"), name)
    (tmp_path / "in").mkdir()
    for number in range(60):
        dataset = dcmread(source / "0001.dcm")
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"2.25.{number + 1}"
        dataset.save_as(source / "0001.dcm")
        whole = (source / "0001.dcm").read_bytes()
        spoilt = bytearray(whole)
        for at in rng.integers(300, len(whole) - 2100, 3):
            spoilt[at] = rng.integers(256)
        (tmp_path / "in" / f"{number}").write_bytes(bytes(spoilt))
    result = deidentify(tmp_path / "in", tmp_path / "out")
    assert len(result.files) > 20
    assert result.refused
    for path in (tmp_path / "out").rglob("*.dcm"):
        assert b"Quastenflosser" not in path.read_bytes()
        assert b"Gerbert" not in path.read_bytes()

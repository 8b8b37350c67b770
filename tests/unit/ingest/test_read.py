from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

import pydicom
import pytest

from tomosurf.data.series import Intake, short_digest
from tomosurf.errors import ConfigError
from tomosurf.ingest.read import opened, read
from tomosurf.testing.dicom_writer import SYNTAXES, derived_uid

from .conftest import SHAPE, Write

STORAGE = "1.2.840.10008.5.1.4.1.1."


def codes(notices: Any) -> dict[str, tuple[str, ...]]:
    return {item.code: item.files for item in notices}


def only_series(intake: Intake) -> Any:
    ((series,),) = (study.series for study in intake.studies)
    return series


@pytest.mark.parametrize("syntax", [s for s in SYNTAXES if s != "jpeg-2000"])
def test_headers_of_every_encoding(write: Write, syntax: str) -> None:
    files = write(syntax=syntax, padding=-2000, bits_stored=12 if syntax == "jpeg-ls" else 16)
    intake = read(files[0].parent)
    assert not intake.refused
    assert not intake.skipped
    series = only_series(intake)
    assert (series.modality, len(series.instances)) == ("CT", 3)
    assert series.digest == short_digest(derived_uid("series", "study", "series"))
    first = next(i for i in series.instances if i.name == files[0].name)
    assert first.position == (0.0, 0.0, 0.0)
    assert first.orientation == (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    assert first.pixel_spacing == (0.75, 0.5)
    assert (first.pixels.columns, first.pixels.rows) == SHAPE[:2]
    assert first.pixels.signed
    assert first.padding == (-2000, -2000)
    assert first.rescale is not None
    assert (first.rescale.slope, first.rescale.intercept, first.rescale.kind) == (1.0, -1024.0, "HU")
    assert first.number == 1
    assert first.sha256 == hashlib.sha256(files[0].read_bytes()).hexdigest()
    assert first.size == files[0].stat().st_size


def test_headers_alone(write: Write) -> None:
    series = only_series(read(write()[0].parent, hashed=False))
    assert {i.sha256 for i in series.instances} == {""}


def test_names_folders_and_order_dont_matter(write: Write, tmp_path: Path) -> None:
    files = write()
    other = tmp_path / "other"
    for number, file in enumerate(reversed(files)):
        deep = other / f"d{number}" / "x"
        deep.mkdir(parents=True)
        shutil.copy(file, deep / f"no extension {number}")
    first, second = only_series(read(files[0].parent)), only_series(read(other))
    assert [i.sha256 for i in first.instances] == [i.sha256 for i in second.instances]
    assert (first.digest, first.study) == (second.digest, second.study)
    assert {i.name for i in second.instances} == {f"d{n}/x/no extension {n}" for n in range(3)}


def test_one_file_and_no_file(write: Write, tmp_path: Path) -> None:
    assert len(only_series(read(write()[0])).instances) == 1
    with pytest.raises(ConfigError):
        read(tmp_path / "nowhere")


@pytest.mark.parametrize("syntax", ["explicit-le", "implicit-le", "explicit-be", "jpeg-ls"])
def test_without_preamble_and_without_meta(write: Write, syntax: str) -> None:
    files = write(syntax=syntax)
    whole = {i.sop_instance_uid: i.pixels for i in only_series(read(files[0].parent)).instances}
    for file, meta in zip(files, (True, True, False), strict=True):
        data = file.read_bytes()
        # the group length says where the file meta information ends
        end = 132 + 12 + int.from_bytes(data[140:144], "little")
        file.write_bytes(data[132:] if meta else data[end:])
    intake = read(files[0].parent)
    if syntax == "jpeg-ls":  # compressed, and nobody says how
        assert codes(intake.refused) == {"unsupported_transfer_syntax": (files[2].name,)}
        return
    for instance in only_series(intake).instances:
        before = whole[instance.sop_instance_uid]
        assert instance.pixels.transfer_syntax == before.transfer_syntax
        assert instance.pixels.offset < before.offset


def test_progress_ends_at_one(write: Write) -> None:
    told: list[float] = []
    read(write()[0].parent, lambda stage, fraction: told.append(fraction))
    assert told == sorted(told)
    assert told[-1] == 1.0


@pytest.mark.parametrize(
    ("attributes", "code", "keyword"),
    [
        ({"SOPClassUID": STORAGE + "7"}, "secondary_capture_skipped", ""),
        ({"SOPClassUID": STORAGE + "7.2"}, "secondary_capture_skipped", ""),
        ({"SOPClassUID": STORAGE + "66.4"}, "non_image_skipped", "SOPClassUID"),
        ({"SOPClassUID": STORAGE + "88.33"}, "non_image_skipped", "SOPClassUID"),
        ({"SOPClassUID": STORAGE + "1"}, "non_image_skipped", "SOPClassUID"),
        ({"SOPClassUID": "1.2.840.10008.1.3.10"}, "non_image_skipped", "SOPClassUID"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "localizer_skipped", "ImageType"),
    ],
)
def test_what_is_no_slice_is_skipped(
    write: Write, attributes: dict[str, Any], code: str, keyword: str
) -> None:
    files = write(attributes=attributes)
    intake = read(files[0].parent)
    assert codes(intake.skipped) == {code: tuple(f.name for f in files)}
    assert intake.skipped[0].attribute == keyword
    assert codes(intake.refused) == {"no_image": ()}
    assert not intake.studies


def test_derived_secondary_is_a_slice(write: Write) -> None:
    intake = read(write(attributes={"ImageType": ["DERIVED", "SECONDARY", "AXIAL"]})[0].parent)
    assert len(only_series(intake).instances) == 3
    assert len(codes(intake.warnings)["derived"]) == 3


def test_text_and_empty_files(write: Write) -> None:
    folder = write()[0].parent
    (folder / "notes.dcm").write_text("no DICOM at all, but longer than any preamble " * 9)
    (folder / "empty.dcm").write_bytes(b"")
    (folder / "zeros.dcm").write_bytes(bytes(4096))
    intake = read(folder)
    assert codes(intake.skipped) == {"no_dicom": ("notes.dcm",)}
    assert {name for item in intake.refused for name in item.files} == {"empty.dcm", "zeros.dcm"}
    assert codes(intake.refused).keys() == {"unreadable_file"}
    assert len(only_series(intake).instances) == 3


@pytest.mark.skipif(not hasattr(os, "fchdir"), reason="needs paths longer than the system takes")
@pytest.mark.parametrize("hashed", [True, False])
def test_a_file_that_cant_be_opened_may_be_a_slice(write: Write, tmp_path: Path, hashed: bool) -> None:
    """Its path is too long for the system, though its folder's isn't: nobody, not even root, can open it."""
    files = write()
    longest = os.pathconf(tmp_path, "PC_PATH_MAX") - 1
    folder, inside = tmp_path, os.open(tmp_path, os.O_RDONLY)
    while (left := longest - len(str(folder)) - len("/1")) > 0:
        name = "d" * (left - 1 if left <= 200 else min(198, left - 3))
        os.mkdir(name, dir_fd=inside)
        folder, outside = folder / name, inside
        inside = os.open(name, os.O_RDONLY, dir_fd=outside)
        os.close(outside)
    for name, file in zip(("1", "2", "3", "the-4th"), (*files, files[0]), strict=True):
        with os.fdopen(os.open(name, os.O_WRONLY | os.O_CREAT, dir_fd=inside), "wb") as copy:
            copy.write(file.read_bytes())
    os.close(inside)
    intake = read(folder, hashed=hashed)
    assert codes(intake.refused) == {"unreadable_file": ("the-4th",)}
    assert len(only_series(intake).instances) == 3
    assert only_series(intake).damaged == ("the-4th",)


def test_nothing_usable(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    assert codes(read(tmp_path).refused) == {"no_dicom": ()}


def test_links_and_pipes_arent_followed(write: Write, tmp_path: Path) -> None:
    folder = write()[0].parent
    other = write("elsewhere", series="other")
    (folder / "link.dcm").symlink_to(other[0])
    (folder / "folder").symlink_to(other[0].parent)
    os.mkfifo(folder / "pipe")
    intake = read(folder)
    assert len(only_series(intake).instances) == 3
    assert codes(intake.skipped) == {"unsafe_path": ("folder", "link.dcm", "pipe")}


def test_copies_and_conflicts(write: Write) -> None:
    files = write()
    shutil.copy(files[1], files[1].with_name("copy.dcm"))
    for hashed in (True, False):
        intake = read(files[0].parent, hashed=hashed)
        assert len(only_series(intake).instances) == 3
        assert codes(intake.skipped) == {"duplicate_instance": ("copy.dcm",)}
    dataset = pydicom.dcmread(files[1])
    dataset.PixelData = bytes(len(dataset.PixelData))
    dataset.save_as(files[1].with_name("copy.dcm"))
    intake = read(files[0].parent)
    assert codes(intake.refused) == {"conflicting_duplicate": ("0002.dcm", "copy.dcm")}
    assert intake.refused[0].attribute == "SOPInstanceUID"
    assert not intake.studies


def test_several_series_and_studies(write: Write) -> None:
    folder = write(series="a")[0].parent
    write("in/b", series="b")
    write("in/c", study="other")
    intake = read(folder)
    assert sorted(len(study.series) for study in intake.studies) == [1, 2]
    assert [s.digest for s in intake.studies] == sorted(s.digest for s in intake.studies)


@pytest.mark.parametrize(
    ("keyword", "values"),
    [
        ("Laterality", ["L", "R", "R"]),
        ("FrameOfReferenceUID", ["1.2", "1.3", "1.3"]),
        ("SOPClassUID", [STORAGE + "2", STORAGE + "4", STORAGE + "4"]),
    ],
)
def test_one_series_says_one_thing(write: Write, keyword: str, values: list[str]) -> None:
    intake = read(write(attributes={keyword: lambda k: values[k]})[0].parent)
    (refused,) = intake.refused
    assert refused.code == "mixed_series"
    assert refused.attribute == ("Modality" if keyword == "SOPClassUID" else keyword)
    assert refused.files
    assert refused.series == short_digest(derived_uid("series", "study", "series"))


def test_warnings(write: Write) -> None:
    files = write(
        attributes={
            "BurnedInAnnotation": lambda k: "YES" if k == 1 else "NO",
            "InstanceNumber": lambda k: [1, 2, 5][k],
            "FrameOfReferenceUID": "1.2.3",
        }
    )
    data = bytearray(files[2].read_bytes())
    data[:2] = b"MZ"
    files[2].write_bytes(data)
    warnings = read(files[0].parent).warnings
    assert codes(warnings) == {
        "burned_in_annotation": ("0002.dcm",),
        "nonzero_preamble": ("0003.dcm",),
        "instance_numbers_incomplete": (),
    }
    assert {w.series for w in warnings} == {short_digest(derived_uid("series", "study", "series"))}


def test_an_unusual_uid_is_taken_with_a_warning(write: Write) -> None:
    files = write()
    for file in files:
        uid = derived_uid("study", "study").encode()
        file.write_bytes(file.read_bytes().replace(uid, b"0" + uid[1:-2] + b"x."))
    intake = read(files[0].parent)
    assert len(only_series(intake).instances) == 3
    assert [(w.code, w.attribute) for w in intake.warnings] == [("invalid_uid", "StudyInstanceUID")]


def test_a_zip_is_opened_for_as_long_as_it_is_needed(write: Write, tmp_path: Path) -> None:
    folder = write()[0].parent
    archive = shutil.make_archive(str(tmp_path / "slices"), "zip", tmp_path, folder.name)
    with pytest.raises(ConfigError, match="workspace"):
        read(Path(archive))
    with opened(Path(archive)) as intake:
        series = only_series(intake)
        assert {i.name for i in series.instances} == {f"in/000{n}.dcm" for n in (1, 2, 3)}
        path = series.instances[0].path
        assert path.is_file()
    assert not path.exists()

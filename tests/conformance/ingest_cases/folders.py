"""What lies in a folder beside the slices, and how folders and archives are laid out."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

from tests.conformance.ingest_cases.case import Good, Stack, case, good, grid, noise, overwrite, plain

STORAGE = "1.2.840.10008.5.1.4.1.1."


@case
def no_extension(folder: Path) -> Good:
    return good(plain(folder, file_name="IM{number:05d}"))


@case
def odd_file_names(folder: Path) -> Good:
    stack = plain(folder)
    names = ["-rf", "a b'c\".dcm", "\u00fcml\u00e4ut.dcm", ".hidden", "1.2.840.10008", "con.jpg", "%s{}", "#"]
    for file, name in zip(stack.files, names, strict=True):
        file.rename(folder / name)
    return good(stack)


@case
def deep_nested_folders(folder: Path) -> Good:
    stack = plain(folder)
    for k, file in enumerate(stack.files):
        deep = folder.joinpath(*("d" for _ in range(3 * k)))
        deep.mkdir(parents=True, exist_ok=True)
        file.rename(deep / f"{7 - k}")
    return good(stack)


@case
def one_folder_a_slice_with_the_same_name(folder: Path) -> Good:
    stack = plain(folder)
    for k, file in enumerate(stack.files):
        (folder / f"{(k * 3) % 8}").mkdir()
        file.rename(folder / f"{(k * 3) % 8}" / "image.dcm")
    return good(stack)


@case
def a_zip(folder: Path) -> Good:
    stack = plain(folder / "slices" / "deep")
    (folder / "slices" / "readme.txt").write_text("slices of a phantom, " * 20)
    archive = shutil.make_archive(str(folder / "packed"), "zip", folder / "slices")
    return Good((stack.truth(),), skipped=frozenset({"no_dicom"}), source=Path(archive))


@case
def a_zip_of_compressed_slices_stored_plainly(folder: Path) -> Good:
    stack = Stack(options={"syntax": "jpeg-ls"}).write(folder / "slices")
    archive = folder / "no-extension"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as packed:
        for file in stack.files:
            packed.write(file, f"x/{file.name}")
    return Good((stack.truth(),), source=archive)


@case
def two_series(folder: Path) -> Good:
    one = plain(folder, series="one")
    two = Stack(grid(origin=(5, 5, 5)), noise(seed=9), {"series": "two", "file_name": "b{number}"})
    return Good((one.truth(), two.write(folder).truth()))


@case
def two_studies_at_the_same_place(folder: Path) -> Good:
    one = plain(folder, study="one")
    two = Stack(grid(), noise(seed=9), {"study": "two", "file_name": "b{number}"})
    return Good((one.truth(), two.write(folder).truth()))


@case
def a_localizer_among_the_slices(folder: Path) -> Good:
    stack = plain(folder)
    scout = grid([[1, 0, 0], [0, 0, 1], [0, -1, 0]], shape=(24, 20, 1))
    kind = {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}
    options = {"attributes": {**kind, "SOPInstanceUID": "1.2.3"}, "file_name": "scout{number}"}
    Stack(scout, noise((24, 20, 1)), options).write(folder)
    return good(stack, skipped="localizer_skipped")


@case
def a_screenshot_and_a_dose_page(folder: Path) -> Good:
    stack = plain(folder)
    page = {"SOPClassUID": STORAGE + "7", "Modality": "CT", "SOPInstanceUID": "1.2.4"}
    single = grid(shape=(24, 20, 1))
    Stack(single, noise((24, 20, 1)), {"attributes": page, "file_name": "page{number}"}).write(folder)
    return good(stack, skipped="secondary_capture_skipped")


@case
def reports_and_objects_among_the_slices(folder: Path) -> Good:
    """SR, SEG, RTSTRUCT, presentation state, dose: never slices, even within the series' UID."""
    stack = plain(folder)
    for n, tail in enumerate(("88.33", "66.4", "481.3", "11.1", "88.67", "66")):
        attributes = {"SOPClassUID": STORAGE + tail, "SOPInstanceUID": f"1.2.{n + 5}", "Modality": "SR"}
        options = {"attributes": attributes, "removed": ("PixelData",), "file_name": f"object{n}"}
        Stack(grid(shape=(24, 20, 1)), noise((24, 20, 1)), options).write(folder)
    return good(stack, skipped="non_image_skipped")


@case
def copies_of_files(folder: Path) -> Good:
    stack = plain(folder)
    (folder / "again").mkdir()
    for file in stack.files[2:6]:
        shutil.copy(file, folder / "again" / file.name)
    return good(stack, skipped="duplicate_instance")


@case
def a_dicom_directory(folder: Path) -> Good:
    from pydicom.fileset import FileSet

    plain(folder / "loose")
    catalogue = FileSet()
    for file in sorted((folder / "loose").iterdir()):
        catalogue.add(file)
    catalogue.write(folder / "media")
    shutil.rmtree(folder / "loose")
    assert (folder / "media" / "DICOMDIR").exists()
    return good(Stack(), skipped="non_image_skipped")


@case
def text_pictures_and_programs(folder: Path) -> Good:
    stack = plain(folder)
    (folder / "notes.dcm").write_text("not DICOM at all, though it is called so. " * 10)
    (folder / "short.dcm").write_text("x")
    (folder / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4)
    (folder / "._0001.dcm").write_bytes(b"\0\x05\x16\x07\0\x02\0\0Mac OS X        " + bytes(200))
    return good(stack, skipped="no_dicom")


@case
def links_beside(folder: Path) -> Good:
    """A link to a slice and one out of the folder: neither is followed."""
    stack = plain(folder)
    (folder / "link.dcm").symlink_to(stack.files[0])
    (folder / "out").symlink_to("/")
    return good(stack, skipped="unsafe_path")


@case
def an_empty_file_beside(folder: Path) -> Good:
    stack = plain(folder)
    (folder / "empty.dcm").write_bytes(b"")
    return good(stack, refused="unreadable_file")


@case
def a_spoilt_series_beside(folder: Path) -> Good:
    """One file of another series is cut: that series goes, this one stays."""
    stack = plain(folder, series="whole")
    other = plain(folder / "other", series="cut")
    other.files[3].write_bytes(other.files[3].read_bytes()[:-100])
    return good(stack, refused="truncated")


@case
def an_incomplete_series_beside(folder: Path) -> Good:
    stack = plain(folder, series="whole")
    plain(folder / "other", series="gap").files[3].unlink()
    return good(stack, refused="missing_slice", warnings="instance_numbers_incomplete")


@case
def a_series_without_a_place_beside(folder: Path) -> Good:
    stack = plain(folder, series="whole")
    for file in plain(folder / "other", series="lost").files:
        overwrite(file, 0x00200032, b"")
    return good(stack, refused="missing_position")

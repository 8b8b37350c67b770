"""Headers that are odd, silent or beside the point, and stacks that are right all the same."""

from __future__ import annotations

from pathlib import Path

from tests.conformance.ingest_cases.case import Good, case, good, overwrite, plain


@case
def instance_numbers_reversed(folder: Path) -> Good:
    return good(plain(folder, attributes={"InstanceNumber": lambda k: 8 - k}))


@case
def instance_numbers_missing(folder: Path) -> Good:
    return good(plain(folder, removed=("InstanceNumber",)))


@case
def instance_numbers_all_the_same(folder: Path) -> Good:
    return good(plain(folder, attributes={"InstanceNumber": 1}), warnings="instance_numbers_incomplete")


@case
def instance_numbers_with_a_gap(folder: Path) -> Good:
    numbers = [1, 2, 3, 4, 6, 7, 8, 9]
    stack = plain(folder, attributes={"InstanceNumber": lambda k: numbers[k]})
    return good(stack, warnings="instance_numbers_incomplete")


@case
def names_and_numbers_shuffled(folder: Path) -> Good:
    return good(plain(folder, shuffle=11))


@case
def nothing_but_what_is_needed(folder: Path) -> Good:
    """No patient, study description, times, frame of reference or thickness."""
    removed = (
        "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
        "AccessionNumber", "SeriesNumber", "AcquisitionNumber", "InstanceNumber", "SliceThickness",
        "FrameOfReferenceUID", "PatientPosition", "ImageType", "Laterality", "KVP", "ConvolutionKernel",
    )  # fmt: skip
    return good(plain(folder, removed=removed))


@case
def derived_but_a_stack(folder: Path) -> Good:
    image_type = ["DERIVED", "SECONDARY", "REFORMATTED"]
    return good(plain(folder, attributes={"ImageType": image_type}), warnings="derived")


@case
def text_in_the_pixels(folder: Path) -> Good:
    return good(plain(folder, attributes={"BurnedInAnnotation": "YES"}), warnings="burned_in_annotation")


@case
def uids_that_are_none(folder: Path) -> Good:
    stack = plain(folder)
    for file in stack.files:
        overwrite(file, 0x0020000D, b"1.02.x.")
    return good(stack, warnings="invalid_uid")


@case
def hostile_text_everywhere(folder: Path) -> Good:
    """Paths, markup and line ends in header values: none of them may matter."""
    stack = plain(folder)
    for file in stack.files:
        overwrite(file, 0x00100020, b"../../../../etc/passwd")
        overwrite(file, 0x00100010, b"<script>alert(1)</script>\r\n[bold]")
        overwrite(file, 0x00081090, b"$(reboot)`reboot`\x1b[2J")
    return good(stack)


@case
def private_elements(folder: Path) -> Good:
    from pydicom import dcmread

    stack = plain(folder)
    for file in stack.files:
        dataset = dcmread(file)
        block = dataset.private_block(0x0029, "ACME", create=True)
        block.add_new(0x10, "OB", bytes(range(256)) * 8)
        block.add_new(0x11, "DS", ["1", "2", "3"])
        dataset.save_as(file)
    return good(stack)


@case
def modality_says_one_thing_and_the_class_another(folder: Path) -> Good:
    """CT Image Storage that calls itself OT: the class decides."""
    return good(plain(folder, attributes={"Modality": "OT"}))


@case
def acquisition_attributes_that_change_along_the_stack(folder: Path) -> Good:
    """Tube current, table position and times differ from slice to slice in every real CT."""
    return good(
        plain(
            folder,
            attributes={
                "XRayTubeCurrent": lambda k: str(100 + k),
                "TablePosition": lambda k: k * 2.5,
                "ContentTime": lambda k: f"1200{k:02d}",
                "AcquisitionTime": lambda k: f"1200{k:02d}.5",
                "WindowCenter": lambda k: str(40 + k),
            },
        )
    )

"""Slices so damaged that they can't be placed: the series that may lack them are refused, and only those.

At an end of a stack no gap tells; the damaged file beside it does. Under the policy repair the rest is built.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from tests.conformance.ingest_cases.case import (
    Bad,
    Good,
    Stack,
    Truth,
    bad,
    case,
    change,
    good,
    grid,
    noise,
    overwrite,
    place_of,
    plain,
)
from tomosurf.data.geometry import Geometry

STORAGE = "1.2.840.10008.5.1.4.1.1."
SERIES_UID = 0x0020000E


def _cut(file: Path, before: int = SERIES_UID) -> None:
    """End the file inside the element ``before``: what precedes it can be read."""
    data = file.read_bytes()
    file.write_bytes(data[: place_of(data, before)[1] + 3])


def _without(stack: Stack, *, first: int = 0, last: int = 0) -> Truth:
    """What is left of a stack of the default grid whose ends are damaged, as the policy repair builds it."""
    columns, rows, count = stack.geometry.shape
    affine = stack.geometry.affine.copy()
    affine[:3, 3] += first * affine[:3, 2]
    whole = stack.truth("possibly_incomplete")
    kept = Geometry((columns, rows, count - first - last), affine)
    return replace(whole, geometry=kept, values=whole.values[:, :, first : count - last])


def _unreadable(stack: Stack, *files: Path, repaired: Truth | None = None, source: Path | None = None) -> Bad:
    found = bad("possibly_incomplete", "", *files, source=source, also="truncated")
    return replace(found, repaired=(repaired,) if repaired else ())


@case
def a_damaged_first_slice(folder: Path) -> Bad:
    stack = plain(folder)
    _cut(stack.files[0])
    return _unreadable(stack, stack.files[0], repaired=_without(stack, first=1))


@case
def a_damaged_last_slice(folder: Path) -> Bad:
    stack = plain(folder)
    _cut(stack.files[-1])
    return _unreadable(stack, stack.files[-1], repaired=_without(stack, last=1))


@case
def a_damaged_slice_in_the_middle(folder: Path) -> Bad:
    stack = plain(folder)
    _cut(stack.files[4])
    return _unreadable(stack, stack.files[4])


@case
def a_last_slice_that_still_says_its_series(folder: Path) -> Good:
    """Two series in one folder: the one that the damaged file names is refused, the other isn't."""
    lost = plain(folder)
    other = Stack(grid(origin=(5, 5, 5)), noise(seed=9), {"series": "two", "file_name": "b{number}"})
    _cut(lost.files[-1], 0x00280010)
    return Good((other.write(folder).truth(),), refused=frozenset({"truncated", "possibly_incomplete"}))


@case
def a_damaged_slice_of_either_of_two_series(folder: Path) -> Bad:
    """It says neither: both may lack it."""
    one = plain(folder)
    two = Stack(grid(origin=(5, 5, 5)), noise(seed=9), {"series": "two", "file_name": "b{number}"}).write(
        folder
    )
    _cut(one.files[-1])
    found = _unreadable(one, one.files[-1])
    return replace(found, repaired=(_without(one, last=1), two.truth("possibly_incomplete")))


@case
def a_damaged_slice_in_a_folder_of_its_own(folder: Path) -> Good:
    """Nothing ties it to the stack in another folder."""
    stack = plain(folder / "stack")
    other = plain(folder / "other", series="two")
    for file in other.files[1:]:
        file.unlink()
    _cut(other.files[0])
    return good(stack, refused="truncated")


@case
def a_damaged_report_beside(folder: Path) -> Good:
    """Its File Meta Information says that it never held a slice."""
    stack = plain(folder)
    attributes = {"SOPClassUID": STORAGE + "88.33", "SOPInstanceUID": "1.2.5", "Modality": "SR"}
    options = {"attributes": attributes, "removed": ("PixelData",), "file_name": "report.dcm"}
    report = Stack(grid(shape=(24, 20, 1)), noise((24, 20, 1)), options).write(folder)
    _cut(report.files[0])
    return good(stack, refused="truncated")


@case
def a_damaged_slice_in_a_zip(folder: Path) -> Bad:
    stack = plain(folder / "slices" / "deep")
    _cut(stack.files[0])
    other = Stack(grid(origin=(5, 5, 5)), noise(seed=9), {"series": "two"}).write(folder / "slices" / "other")
    for file in other.files[2:]:
        file.unlink()
    archive = Path(shutil.make_archive(str(folder / "packed"), "zip", folder / "slices"))
    found = _unreadable(stack, stack.files[0], repaired=_without(stack, first=1), source=archive)
    return replace(found, also=found.also | {"too_few_slices"})


@case
def a_slice_that_ends_after_the_magic_word(folder: Path) -> Bad:
    stack = plain(folder)
    stack.files[-1].write_bytes(stack.files[-1].read_bytes()[:132])
    return _unreadable(stack, stack.files[-1], repaired=_without(stack, last=1))


@case
def a_slice_whose_preamble_lost_a_byte(folder: Path) -> Bad:
    """The magic word isn't where it belongs, so no reader knows the file; it is DICOM all the same."""
    stack = plain(folder)
    stack.files[0].write_bytes(stack.files[0].read_bytes()[1:])
    found = bad("possibly_incomplete", "", stack.files[0], also="unreadable_file")
    return replace(found, repaired=(_without(stack, first=1),))


@case
def a_slice_whose_sop_class_is_damaged(folder: Path) -> Bad:
    """The File Meta Information still says CT."""
    stack = plain(folder)
    overwrite(stack.files[-1], 0x00080016, b"1.2.840.10008.5.1.4.1\x8e1.2\0")
    return bad("possibly_incomplete", "", stack.files[-1], also="unreadable_file")


@case
def a_slice_whose_series_uid_is_damaged(folder: Path) -> Bad:
    """It is a series of its own now, of one slice, right where the stack's last one would lie."""
    stack = plain(folder)
    change(stack.files[-1], SeriesInstanceUID="2.25.1234")
    return replace(bad("possibly_incomplete", "", stack.files[-1]), also=frozenset({"too_few_slices"}))


@case
def a_slice_whose_study_uid_is_damaged(folder: Path) -> Bad:
    """A series lies in one study; this one seems to lie in two."""
    stack = plain(folder)
    change(stack.files[0], StudyInstanceUID="2.25.1234")
    return bad("mixed_series", "StudyInstanceUID", stack.files[0])


@case
def one_more_slice_elsewhere_in_the_study(folder: Path) -> Good:
    """A slice of another kernel where the next one would lie, as of a bolus watch, isn't the stack's."""
    stack = plain(folder)
    watch = grid(shape=(24, 20, 1), origin=(-63.5, 41.25, -310.0 + 8 * 2.5))
    options = {"series": "watch", "file_name": "watch{number}", "attributes": {"ConvolutionKernel": "other"}}
    Stack(watch, noise((24, 20, 1)), options).write(folder)
    return good(stack, refused="too_few_slices")


@case
def the_same_series_in_two_studies(folder: Path) -> Bad:
    """Filed under another study as well: their volumes would share a name, and nobody knows which one holds."""
    plain(folder / "one")
    two = plain(folder / "two")
    for file in two.files:
        change(file, StudyInstanceUID="2.25.1234")
    return bad("mixed_series", "StudyInstanceUID", *two.files)

"""Stacks that nobody can place in space without guessing: refused by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.conformance.ingest_cases.case import (
    Bad,
    Stack,
    bad,
    case,
    change,
    grid,
    noise,
    overwrite,
    plain,
)
from tests.conformance.ingest_cases.orientations import turned

POSITION, ORIENTATION, SPACING = "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"
POSITION_TAG, ORIENTATION_TAG, SPACING_TAG = 0x00200032, 0x00200037, 0x00280030


def _at(depths: list[float], folder: Path) -> Stack:
    """A stack whose slices lie at these z, mm."""
    return plain(folder, attributes={POSITION: lambda k: ["0", "0", f"{depths[k]:.4f}"]})


@case
def one_slice_missing(folder: Path) -> Bad:
    stack = plain(folder)
    stack.files[4].unlink()
    return bad("missing_slice", POSITION, stack.files[3], stack.files[5])


@case
def several_slices_missing(folder: Path) -> Bad:
    stack = plain(folder)
    for k in (2, 3, 5):
        stack.files[k].unlink()
    return bad("missing_slice", POSITION, *(stack.files[k] for k in (1, 4, 6)))


@case
def one_slice_missing_from_a_tilted_stack(folder: Path) -> Bad:
    stack = plain(folder, grid(lean=(0, 0.7)))
    stack.files[2].unlink()
    return bad("missing_slice", POSITION, stack.files[1], stack.files[3])


@case
def steps_that_differ(folder: Path) -> Bad:
    _at([0, 2.5, 5, 7.5, 10, 11.25, 12.5, 13.75], folder)
    return bad("nonuniform_spacing", POSITION)


@case
def one_slice_out_of_step(folder: Path) -> Bad:
    stack = _at([0, 2.5, 5, 7.9, 10, 12.5, 15, 17.5], folder)
    return bad("nonuniform_spacing", POSITION, stack.files[3])


@case
def steps_that_grow(folder: Path) -> Bad:
    _at([0, 2.5, 5.1, 7.8, 10.6, 13.5, 16.5, 19.6], folder)
    return bad("nonuniform_spacing", POSITION)


@case
def two_runs_that_meet_between_slices(folder: Path) -> Bad:
    _at([0, 2.5, 5, 7.5, 9.2, 11.7, 14.2, 16.7], folder)
    return bad("nonuniform_spacing", POSITION)


@case
def one_slice_shifted_in_its_plane(folder: Path) -> Bad:
    stack = plain(folder)
    geometry = stack.geometry
    x, y, z = geometry.to_world([[0, 0, 4]])[0]
    change(stack.files[4], ImagePositionPatient=[f"{x + 0.5:.4f}", f"{y:.4f}", f"{z:.4f}"])
    return bad("bad_geometry", POSITION, stack.files[4])


@case
def a_stack_that_bends(folder: Path) -> Bad:
    bend = {POSITION: lambda k: [f"{0.05 * k * k:.4f}", "0", f"{2.5 * k:.4f}"]}
    plain(folder, attributes=bend)
    return bad("bad_geometry", POSITION)


@case
def another_slice_at_the_same_place(folder: Path) -> Bad:
    stack = plain(folder)
    other = folder / "other.dcm"
    other.write_bytes(stack.files[3].read_bytes())
    change(other, SOPInstanceUID="1.2.3.4", PixelData=noise((24, 20, 1), seed=77).tobytes())
    return bad("overlapping_positions", POSITION, stack.files[3], other)


@case
def all_slices_at_one_place(folder: Path) -> Bad:
    plain(folder, attributes={POSITION: ["0", "0", "0"]})
    return bad("overlapping_positions", POSITION)


@case
def one_uid_with_two_contents(folder: Path) -> Bad:
    stack = plain(folder)
    other = folder / "other.dcm"
    other.write_bytes(stack.files[3].read_bytes())
    change(other, PixelData=noise((24, 20, 1), seed=77).tobytes())
    return bad("conflicting_duplicate", "SOPInstanceUID", stack.files[3], other)


@case
def one_slice_turned(folder: Path) -> Bad:
    odd = [f"{v:.6f}" for v in turned(0, 5, 0)[:, :2].T.ravel()]
    stack = plain(folder)
    change(stack.files[3], ImageOrientationPatient=odd)
    return bad("mixed_orientation", ORIENTATION, stack.files[3])


@case
def slices_that_fan_out(folder: Path) -> Bad:
    """A radial acquisition: every slice turned by 5 degrees more."""
    fan = {ORIENTATION: lambda k: [f"{v:.6f}" for v in turned(0, 0, 5 * k)[:, :2].T.ravel()]}
    plain(folder, attributes=fan)
    return bad("mixed_orientation", ORIENTATION)


@case
def a_slice_upside_down(folder: Path) -> Bad:
    stack = plain(folder)
    change(stack.files[5], ImageOrientationPatient=["-1", "0", "0", "0", "-1", "0"])
    return bad("mixed_orientation", ORIENTATION, stack.files[5])


def _lost(name: str, code: str, attribute: str, tag: int, value: bytes | None) -> None:
    """One slice's geometry is absent, empty or nonsense."""

    def function(folder: Path) -> Bad:
        stack = plain(folder)
        if value is None:
            change(stack.files[2], **{attribute: None})
        else:
            overwrite(stack.files[2], tag, value)
        return bad(code, attribute, stack.files[2])

    function.__name__ = name
    case(function)


_lost("no_position", "missing_position", POSITION, POSITION_TAG, None)
_lost("empty_position", "missing_position", POSITION, POSITION_TAG, b"")
_lost("position_of_two_numbers", "bad_geometry", POSITION, POSITION_TAG, b"0\\0")
_lost("position_not_a_number", "bad_geometry", POSITION, POSITION_TAG, b"0\\0\\nan")
_lost("position_infinite", "bad_geometry", POSITION, POSITION_TAG, b"0\\0\\1e400")
_lost("position_with_commas", "bad_geometry", POSITION, POSITION_TAG, b"0\\0\\2,5")
_lost("position_with_underscores", "bad_geometry", POSITION, POSITION_TAG, b"0\\0\\1_0")
_lost("no_orientation", "missing_position", ORIENTATION, ORIENTATION_TAG, None)
_lost("orientation_of_zeros", "bad_geometry", ORIENTATION, ORIENTATION_TAG, b"0\\0\\0\\0\\0\\0")
_lost("orientation_not_perpendicular", "bad_geometry", ORIENTATION, ORIENTATION_TAG, b"1\\0\\0\\0.6\\0.8\\0")
_lost("orientation_too_long", "bad_geometry", ORIENTATION, ORIENTATION_TAG, b"1.1\\0\\0\\0\\1\\0")
_lost("orientation_parallel", "bad_geometry", ORIENTATION, ORIENTATION_TAG, b"1\\0\\0\\1\\0\\0")
_lost("no_pixel_spacing", "missing_pixel_spacing", SPACING, SPACING_TAG, None)
_lost("pixel_spacing_zero", "bad_geometry", SPACING, SPACING_TAG, b"0.8\\0")
_lost("pixel_spacing_negative", "bad_geometry", SPACING, SPACING_TAG, b"-0.8\\0.7")
_lost("pixel_spacing_of_one_number", "bad_geometry", SPACING, SPACING_TAG, b"0.8")
_lost("pixel_spacing_not_a_number", "bad_geometry", SPACING, SPACING_TAG, b"NaN\\0.7")
_lost("pixel_spacing_differs", "inconsistent_matrix", SPACING, SPACING_TAG, b"0.81\\0.7")


def _everywhere(name: str, attribute: str, tag: int, value: Callable[[int], str]) -> None:
    """All slices' geometry is written in range of a number, and out of this world."""

    def function(folder: Path) -> Bad:
        stack = plain(folder)
        for k, file in enumerate(stack.files):
            overwrite(file, tag, value(k).encode())
        return bad("bad_geometry", attribute, *stack.files)

    function.__name__ = name
    case(function)


_everywhere("positions_beyond_the_galaxy", POSITION, POSITION_TAG, lambda k: f"0\\0\\{k + 1}e200")
_everywhere("positions_that_overflow", POSITION, POSITION_TAG, lambda k: f"0\\0\\{(k + 1) / 5:.1f}e308")
_everywhere("positions_too_far_to_be_exact", POSITION, POSITION_TAG, lambda k: f"1e15\\0\\{2.5 * k}")
_everywhere("pixels_of_a_galaxy", SPACING, SPACING_TAG, lambda k: "1e300\\1e300")
_everywhere("pixels_of_nothing", SPACING, SPACING_TAG, lambda k: "1e-320\\1e-320")


@case
def slices_beside_each_other(folder: Path) -> Bad:
    """They drift along the normal by 0.1 mm, and by 30 mm in the plane."""
    plain(folder, attributes={POSITION: lambda k: [str(30 * k), "0", f"{0.1 * k:.1f}"]})
    return bad("bad_geometry", POSITION)


@case
def imager_pixel_spacing_is_no_substitute(folder: Path) -> Bad:
    stack = plain(folder, removed=("PixelSpacing",), attributes={"ImagerPixelSpacing": ["0.8", "0.7"]})
    return bad("missing_pixel_spacing", SPACING, *stack.files)


@case
def one_slice_of_another_matrix(folder: Path) -> Bad:
    stack = plain(folder)
    change(stack.files[4], Rows=10, PixelData=np.zeros((10, 24), np.int16).tobytes())
    return bad("inconsistent_matrix", "Rows", stack.files[4])


@case
def two_slices(folder: Path) -> Bad:
    stack = plain(folder)
    for file in stack.files[2:]:
        file.unlink()
    return bad("too_few_slices", "", *stack.files[:2])


@case
def one_slice(folder: Path) -> Bad:
    stack = plain(folder)
    for file in stack.files[1:]:
        file.unlink()
    return bad("too_few_slices", "", stack.files[0])


@case
def one_file_as_the_input(folder: Path) -> Bad:
    stack = plain(folder)
    return bad("too_few_slices", "", stack.files[3], source=stack.files[3])


@case
def two_frames_of_reference_in_one_stack(folder: Path) -> Bad:
    stack = plain(folder)
    change(stack.files[4], FrameOfReferenceUID="1.2.3")
    return bad("mixed_series", "FrameOfReferenceUID")

"""Every way a stack can lie in space: all of them come out where they are, to 1e-3 mm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.conformance.ingest_cases.case import SHAPE, Good, case, good, grid, plain


def axes(row: Any, column: Any, *, against: bool = False) -> NDArray[np.float64]:
    """Columns: along a row, down the rows, through the stack; ``against`` the normal if asked."""
    normal = np.cross(row, column)
    return np.array([row, column, -normal if against else normal], float).T


def turned(*degrees: float) -> NDArray[np.float64]:
    """A rotation about x, then y, then z."""
    matrix = np.eye(3)
    for axis, angle in enumerate(np.radians(degrees)):
        a, b = [n for n in range(3) if n != axis]
        turn = np.eye(3)
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        matrix = turn @ matrix
    return matrix


PLAIN = {
    "head_first_supine": axes((1, 0, 0), (0, 1, 0)),
    "head_first_prone": axes((-1, 0, 0), (0, -1, 0)),
    "head_first_decubitus_left": axes((0, 1, 0), (-1, 0, 0)),
    "head_first_decubitus_right": axes((0, -1, 0), (1, 0, 0)),
    "feet_first_supine": axes((-1, 0, 0), (0, 1, 0)),
    "feet_first_prone": axes((1, 0, 0), (0, -1, 0)),
    "coronal": axes((1, 0, 0), (0, 0, -1)),
    "sagittal": axes((0, 1, 0), (0, 0, -1)),
    "sagittal_from_the_right": axes((0, -1, 0), (0, 0, -1)),
    "written_against_the_normal": axes((1, 0, 0), (0, 1, 0), against=True),
    "coronal_against_the_normal": axes((1, 0, 0), (0, 0, -1), against=True),
    "oblique": turned(17.0, -23.0, 41.0),
    "nearly_axial": turned(0.4, -0.3, 0.2),
    "between_two_planes": turned(45.0, 0.0, 0.0),
}


def _in_place(name: str, directions: NDArray[np.float64]) -> None:
    def function(folder: Path) -> Good:
        return good(plain(folder, grid(directions)))

    function.__name__ = name
    case(function)


for _name, _directions in PLAIN.items():
    _in_place(_name, _directions)


@case
def gantry_tilt_forwards(folder: Path) -> Good:
    """Only the positions say so: the header's tilt is silent."""
    lean = 2.5 * np.tan(np.radians(16.5))
    return good(plain(folder, grid(lean=(0, lean))), "gantry_tilt")


@case
def gantry_tilt_backwards_with_a_header(folder: Path) -> Good:
    lean = 2.5 * np.tan(np.radians(-12.0))
    stack = plain(folder, grid(lean=(0, lean)), attributes={"GantryDetectorTilt": "-12"})
    return good(stack, "gantry_tilt")


@case
def gantry_tilt_in_the_orientation(folder: Path) -> Good:
    """Slices lean by 20 degrees and the table moves along z, as scanners write it."""
    angle = np.radians(20.0)
    directions = axes((1, 0, 0), (0, np.cos(angle), -np.sin(angle)))
    geometry = grid(directions, lean=(0, -2.5 * np.tan(angle)))
    assert np.allclose(geometry.affine[:2, 2], 0)
    return good(plain(folder, geometry, attributes={"GantryDetectorTilt": "20"}), "gantry_tilt")


@case
def gantry_tilt_only_claimed(folder: Path) -> Good:
    """The header tells of a tilt that the positions don't have: positions decide, and the doubt is told."""
    return good(plain(folder, attributes={"GantryDetectorTilt": "15"}), "gantry_tilt")


@case
def leaning_both_ways_and_oblique(folder: Path) -> Good:
    return good(plain(folder, grid(turned(10, 20, 30), lean=(0.4, -0.9))), "gantry_tilt")


@case
def leaning_against_the_normal(folder: Path) -> Good:
    directions = axes((0, 1, 0), (0, 0, -1), against=True)
    return good(plain(folder, grid(directions, lean=(-0.7, 0.2))), "gantry_tilt")


@case
def leaning_by_a_hundredth_of_a_degree(folder: Path) -> Good:
    """Too little to be called a tilt, and still kept: 1.7e-4 of the step."""
    lean = 2.5 * np.tan(np.radians(0.01))
    return good(plain(folder, grid(lean=(0, lean))), "gantry_tilt")


@case
def pixels_that_are_not_square(folder: Path) -> Good:
    return good(plain(folder, grid(spacing=(0.4, 1.9, 3.0))))


@case
def thin_and_close(folder: Path) -> Good:
    return good(plain(folder, grid(spacing=(0.05, 0.05, 0.1))))


@case
def far_from_the_origin(folder: Path) -> Good:
    return good(plain(folder, grid(turned(3, 0, 0), origin=(-1999.875, 1500.5, 1234.0625))))


@case
def thicker_than_the_step(folder: Path) -> Good:
    return good(plain(folder, attributes={"SliceThickness": "5"}))


@case
def thinner_than_the_step(folder: Path) -> Good:
    return good(plain(folder, attributes={"SliceThickness": "0.625"}))


@case
def spacing_between_slices_lies(folder: Path) -> Good:
    return good(plain(folder, attributes={"SpacingBetweenSlices": "7.5", "SliceThickness": "7.5"}))


@case
def slice_location_lies(folder: Path) -> Good:
    return good(plain(folder, attributes={"SliceLocation": lambda k: str((k * 5) % 8)}))


@case
def patient_position_lies(folder: Path) -> Good:
    return good(plain(folder, attributes={"PatientPosition": "FFDL"}))


@case
def three_slices(folder: Path) -> Good:
    stack = plain(folder)
    for file in stack.files[3:]:
        file.unlink()
    stack.geometry = grid(shape=(24, 20, 3))
    stack.stored = stack.stored[:, :, :3]
    return good(stack)


@case
def orientation_noise(folder: Path) -> Good:
    """Direction cosines that differ by up to 5e-7 from slice to slice: a turn by less than 1e-5 mm here."""
    rng = np.random.default_rng(2)
    base = np.array([1.0, 0, 0, 0, 1, 0])
    wobble = {"ImageOrientationPatient": lambda _: [f"{v:.8f}" for v in base + rng.uniform(-5e-7, 5e-7, 6)]}
    return good(plain(folder, attributes=wobble))


@case
def orientation_noise_of_1e_5_as_scanners_write_it(folder: Path) -> Good:
    """One slice in the middle is off by 1e-5: the stack is where the other slices say."""
    values = ["1", "0", "0", "0", "1", "0"]
    noisy = ["1", "0.00001", "0", "-0.00001", "1", "0.00001"]
    wobble = {"ImageOrientationPatient": lambda k: noisy if k == 3 else values}
    return good(plain(folder, attributes=wobble))


@case
def positions_rounded(folder: Path) -> Good:
    """Steps of 2.5004 mm written with two decimals: off by up to 5e-3 mm, ends exact."""
    geometry = grid(spacing=(0.7, 0.8, 2.5 + 0.01 / 7))
    places = [geometry.to_world([[0, 0, k]])[0] for k in range(SHAPE[2])]
    rounded = {"ImagePositionPatient": lambda k: [f"{v:.2f}" for v in places[k]]}
    return good(plain(folder, geometry, attributes=rounded))

"""Several volumes under one Series Instance UID: each comes out on its own, or nothing does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.conformance.ingest_cases.case import Bad, Good, Stack, bad, case, change, good, grid, noise, plain
from tests.conformance.ingest_cases.orientations import PLAIN
from tomosurf.data.geometry import Geometry
from tomosurf.testing.dicom_writer import derived_uid


def parts(
    folder: Path, differences: Sequence[dict[str, Any]], grids: Sequence[Geometry] = (), **options: Any
) -> list[Stack]:
    """One stack for each entry of ``differences``, all of one series, written in turn."""
    stacks = []
    for n, attributes in enumerate(differences):
        own = {"SOPInstanceUID": lambda k, n=n: derived_uid("part", n, k), **attributes}
        geometry = grids[n] if grids else grid()
        stored = noise(geometry.shape, seed=n)
        choices = {"attributes": own, "file_name": f"{{number}}-{n}", **options}
        stacks.append(Stack(geometry, stored, choices).write(folder))
    return stacks


def _phases(name: str, differences: Sequence[dict[str, Any]], **options: Any) -> None:
    """The same places several times, told apart by an attribute."""

    def function(folder: Path) -> Good:
        unit = "" if options.get("modality") == "MR" else "HU"
        stacks = parts(folder, differences, **options)
        warnings = frozenset({"derived"} if unit == "" else ())
        return Good(tuple(s.truth(unit=unit) for s in stacks), warnings=warnings)

    function.__name__ = name
    case(function)


_phases("two_echoes", [{"EchoTime": "2.46"}, {"EchoTime": "4.92"}], modality="MR")
_phases("three_b_values", [{"DiffusionBValue": float(b)} for b in (0, 500, 1000)], modality="MR")
_phases("four_time_points", [{"TemporalPositionIdentifier": n + 1} for n in range(4)], modality="MR")
_phases("cardiac_phases", [{"TriggerTime": f"{100 * n}"} for n in range(5)])
_phases("two_kernels", [{"ConvolutionKernel": "B31f"}, {"ConvolutionKernel": "B70f"}])
_phases("two_acquisitions", [{"AcquisitionNumber": 1}, {"AcquisitionNumber": 2}])


@case
def two_planes_in_one_series(folder: Path) -> Good:
    grids = [grid(), grid(PLAIN["coronal"])]
    stacks = parts(folder, [{}, {}], grids)
    return Good(tuple(s.truth() for s in stacks))


@case
def two_matrices_in_one_series(folder: Path) -> Good:
    grids = [grid(), grid(shape=(30, 26, 8))]
    stacks = parts(folder, [{}, {}], grids)
    return Good(tuple(s.truth() for s in stacks))


@case
def two_echoes_of_which_one_lacks_a_slice(folder: Path) -> Good:
    whole, lacking = parts(folder, [{"EchoTime": "2.46"}, {"EchoTime": "4.92"}])
    lacking.files[3].unlink()
    return Good(
        (whole.truth(),),
        refused=frozenset({"missing_slice"}),
        warnings=frozenset({"instance_numbers_incomplete"}),
    )


@case
def two_stacks_that_nothing_tells_apart(folder: Path) -> Bad:
    parts(folder, [{}, {}])
    return bad("overlapping_positions", "ImagePositionPatient")


@case
def a_slice_twice_under_two_uids(folder: Path) -> Good:
    """The same pixels at the same place: an exporter sent it again."""
    stack = plain(folder)
    again = folder / "again.dcm"
    again.write_bytes(stack.files[3].read_bytes())
    change(again, SOPInstanceUID="1.2.3.4")
    return good(stack, skipped="duplicate_instance", warnings="instance_numbers_incomplete")


_phases("magnitude_and_phase", [{"ImageType": ["ORIGINAL", "PRIMARY", kind]} for kind in "MP"])
_phases("an_hour_apart", [{"AcquisitionTime": "120000"}, {"AcquisitionTime": "130000"}])


@case
def a_stack_whose_echo_alternates(folder: Path) -> Good:
    """Every second slice is another echo: two stacks of twice the step."""
    (stack,) = parts(folder, [{"EchoTime": lambda k: "2" if k % 2 else "4"}])
    halves = []
    for n in (0, 1):
        geometry = grid(shape=(24, 20, 4), spacing=(0.7, 0.8, 5.0), origin=(-63.5, 41.25, -310.0 + 2.5 * n))
        halves.append(Stack(geometry, stack.stored[:, :, n::2]).truth())
    return Good(tuple(halves))


@case
def two_stacks_apart_by_instance_number_alone(folder: Path) -> Bad:
    """Numbers are no proof: nothing says which run is which."""
    parts(folder, [{"InstanceNumber": lambda k: k + 1}, {"InstanceNumber": lambda k: k + 9}])
    return bad("overlapping_positions", "ImagePositionPatient")

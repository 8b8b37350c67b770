"""What MR scanners say in private elements alone: b-values that part volumes, and images of many tiles."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydicom import Dataset, dcmread

from tests.conformance.ingest_cases.case import Bad, Good, bad, case, plain
from tests.conformance.ingest_cases.splits import parts

Spoil = Callable[[Dataset], None]
BLOCKS = {
    "Siemens": (0x0019, "SIEMENS MR HEADER"),
    "CSA": (0x0029, "SIEMENS CSA HEADER"),
    "GE": (0x0043, "GEMS_PARM_01"),
    "Philips": (0x2001, "Philips Imaging DD 001"),
}


def put(file: Path, vendor: str, element: int, vr: str, value: Any, creator: str = "") -> None:
    """Add one private element to a file."""
    group, name = BLOCKS[vendor]
    dataset = dcmread(file)
    dataset.private_block(group, creator or name, create=True).add_new(element, vr, value)
    dataset.save_as(file)


def _b_values(name: str, vendor: str, element: int, vr: str, values: Sequence[Any], **options: Any) -> None:
    """Three volumes that nothing else tells apart."""

    def function(folder: Path) -> Good:
        stacks = parts(folder, [{}] * len(values), modality="MR", **options)
        for stack, value in zip(stacks, values, strict=True):
            for file in stack.files:
                put(file, vendor, element, vr, value)
        return Good(tuple(s.truth(unit="") for s in stacks), warnings=frozenset({"derived"}))

    function.__name__ = name
    case(function)


_b_values("b_values_of_siemens", "Siemens", 0x0C, "IS", ["0", "500", "1000"])
_b_values(
    "b_values_of_ge", "GE", 0x39, "IS", [["0", "8", "0", "0"], ["500", "8", "0", "0"], ["900", "8", "0", "0"]]
)
_b_values(
    "b_values_of_ge_with_a_mark",
    "GE",
    0x39,
    "IS",
    [["0", "8"], ["1000000500", "8"], ["1000001000", "8"]],
)
_b_values("b_values_of_philips", "Philips", 0x03, "FL", [0.0, 500.0, 1000.0])
_b_values("b_values_of_siemens_implicit", "Siemens", 0x0C, "IS", ["0", "500", "1000"], syntax="implicit-le")
_b_values("b_values_of_philips_big_endian", "Philips", 0x03, "FL", [0.0, 500.0, 1000.0], syntax="explicit-be")


@case
def a_b_value_that_alternates(folder: Path) -> Bad:
    """Two slices of a stack have another b-value than the rest: neither a stack of their own, nor of this one."""
    stack = plain(folder, modality="MR")
    for k, file in enumerate(stack.files):
        put(file, "Siemens", 0x0C, "IS", "800" if k in (3, 4) else "0")
    return bad("mixed_series", "DiffusionBValue", *stack.files[3:5])


@case
def inversion_times_alternate_in_two_slices(folder: Path) -> Bad:
    stack = plain(
        folder, modality="MR", attributes={"InversionTime": lambda k: "900" if k in (3, 4) else "300"}
    )
    return bad("mixed_series", "InversionTime", *stack.files[3:5])


@case
def inversion_times_of_one_series(folder: Path) -> Good:
    stacks = parts(folder, [{"InversionTime": time} for time in ("50", "400", "1100")], modality="MR")
    return Good(tuple(s.truth(unit="") for s in stacks), warnings=frozenset({"derived"}))


@case
def another_makers_element_in_that_place(folder: Path) -> Good:
    """Without the creator's name the same numbers mean anything."""
    stack = plain(folder, modality="MR")
    for k, file in enumerate(stack.files):
        put(file, "Siemens", 0x0C, "IS", str(100 * (k % 2)), "SOMEBODY ELSE")
        put(file, "Siemens", 0x0A, "US", 36, "SOMEBODY ELSE")
    return Good((stack.truth(unit=""),), warnings=frozenset({"derived"}))


@case
def a_ct_with_ge_s_element(folder: Path) -> Good:
    """In CT the element is no b-value."""
    stack = plain(folder)
    for k, file in enumerate(stack.files):
        put(file, "GE", 0x39, "IS", [str(k % 2), "8", "0", "0"])
    return Good((stack.truth(),))


def csa(images: str) -> bytes:
    """A CSA header ("SV10") with two elements, the second of them NumberOfImagesInMosaic; "" gives it no value."""

    def element(name: bytes, value: bytes) -> bytes:
        items = 6 if value else 0
        head = struct.pack("<64sL4sLLL", name, 1, b"US\0\0", 3, items, 77)
        stored = b""
        for n in range(items):
            own = value if n == 0 else b""
            stored += struct.pack("<4L", len(own), len(own), 77, len(own)) + own + b"\0" * (-len(own) % 4)
        return head + stored

    number = images.ljust(8).encode() + b"\0" if images else b""
    elements = element(b"EchoLinePosition", b"32\0") + element(b"NumberOfImagesInMosaic", number)
    data = b"SV10" + bytes([4, 3, 2, 1]) + struct.pack("<LL", 2, 77) + elements
    return data + b"\0" * (len(data) % 2)


def _mosaic(name: str, vendor: str, element: int, vr: str, value: Any, **options: Any) -> None:
    """The Image Type says nothing of a mosaic."""

    def function(folder: Path) -> Bad:
        stack = plain(folder, modality="MR", **options)
        for file in stack.files:
            put(file, vendor, element, vr, value)
        return bad("mosaic", "NumberOfImagesInMosaic", *stack.files)

    function.__name__ = name
    case(function)


_mosaic("a_mosaic_by_its_private_number", "Siemens", 0x0A, "US", 36)
_mosaic("a_mosaic_by_its_private_number_implicit", "Siemens", 0x0A, "US", 36, syntax="implicit-le")
_mosaic("a_mosaic_by_its_csa_header", "CSA", 0x10, "OB", csa("36"))


@case
def no_mosaic_by_its_csa_header(folder: Path) -> Good:
    stack = plain(folder, modality="MR")
    for k, file in enumerate(stack.files):
        put(file, "CSA", 0x10, "OB", csa("" if k % 2 else "1"))
        put(file, "Siemens", 0x0A, "US", 1)
    return Good((stack.truth(unit=""),), warnings=frozenset({"derived"}))

"""Stored values of every kind: modality values come out exactly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.conformance.ingest_cases.case import (
    INTERCEPT,
    SHAPE,
    Good,
    Stack,
    case,
    change,
    good,
    grid,
    noise,
    plain,
)


def _put(stack: Stack, cells: NDArray[Any], **attributes: Any) -> None:
    """Write other cells, (ni, nj, nk) of any dtype, into a series that is there."""
    for k, file in enumerate(stack.files):
        data = cells[:, :, k].T.tobytes()
        change(file, PixelData=data + bytes(len(data) % 2), **attributes)


@case
def unsigned_beyond_int16(folder: Path) -> Good:
    return good(Stack(stored=noise(high=65536, dtype=np.uint16)).write(folder))


@case
def signed_12_bits(folder: Path) -> Good:
    stored = noise(low=-2048, high=2048)
    return good(Stack(stored=stored, options={"bits_stored": 12, "rescale": (1.0, 0.0)}).write(folder))


@case
def garbage_above_12_bits_unsigned(folder: Path) -> Good:
    stack = Stack(stored=noise(high=4096, dtype=np.uint16), options={"bits_stored": 12}).write(folder)
    garbage = noise(high=16, dtype=np.uint16, seed=8) << 12
    _put(stack, stack.stored | garbage)
    return good(stack)


@case
def garbage_above_12_bits_signed(folder: Path) -> Good:
    """Overlay bits where the sign should have been extended."""
    stack = Stack(stored=noise(low=-2048, high=2048), options={"bits_stored": 12}).write(folder)
    garbage = noise(high=16, dtype=np.uint16, seed=8) << 12
    _put(stack, (stack.stored.view(np.uint16) & 0x0FFF) | garbage)
    return good(stack)


@case
def bits_at_the_top_of_the_cell(folder: Path) -> Good:
    """High Bit 15, Bits Stored 12: the lowest four bits hold no pixel."""
    stack = Stack(stored=noise(high=4096, dtype=np.uint16)).write(folder)
    cells = (stack.stored << 4) | noise(high=16, dtype=np.uint16, seed=8)
    _put(stack, cells, BitsStored=12, HighBit=15)
    return good(stack)


@case
def eight_bits_and_an_odd_number_of_pixels(folder: Path) -> Good:
    stored = noise((25, 21, 6), 0, 256)
    stack = Stack(grid(shape=(25, 21, 6)), stored).write(folder)
    _put(stack, stored.astype(np.uint8), BitsAllocated=8, BitsStored=8, HighBit=7, PixelRepresentation=0)
    return good(stack)


@case
def thirty_two_bits(folder: Path) -> Good:
    stack = Stack().write(folder)
    stored = noise(low=-(1 << 23), high=1 << 23, dtype=np.int32)
    _put(stack, stored, BitsAllocated=32, BitsStored=32, HighBit=31, PixelRepresentation=1)
    stack.stored = stored
    return good(stack)


@case
def intercept_by_slice(folder: Path) -> Good:
    return good(Stack(options={"rescale": tuple((1.0, -1000.0 - k) for k in range(SHAPE[2]))}).write(folder))


@case
def slope_by_slice_as_in_pet(folder: Path) -> Good:
    """PET Image Storage: the slope differs from slice to slice; unit is Bq/mL, not HU."""
    slopes = [0.25 * 1.37**k for k in range(SHAPE[2])]
    pairs = tuple((float(f"{slope:.10g}"), 0.0) for slope in slopes)
    stored = noise(low=0, high=32768)
    attributes = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.128", "Modality": "PT", "Units": "BQML"}
    options = {"rescale": pairs, "attributes": attributes, "removed": ("RescaleType", "KVP")}
    stack = Stack(stored=stored, options=options).write(folder)
    return Good((stack.truth(unit=""),))


@case
def slope_that_is_a_fraction(folder: Path) -> Good:
    return good(Stack(options={"rescale": (0.1, -0.7)}).write(folder))


@case
def slope_below_zero(folder: Path) -> Good:
    return good(Stack(options={"rescale": (-1.0, 24.0)}).write(folder))


@case
def mr_without_rescale(folder: Path) -> Good:
    stack = Stack(options={"modality": "MR", "rescale": None}).write(folder)
    return Good((stack.truth(unit=""),), warnings=frozenset({"derived"}))


@case
def a_unit_that_is_not_hounsfield(folder: Path) -> Good:
    stack = plain(folder, attributes={"RescaleType": "US"})
    return Good((stack.truth(unit=""),))


@case
def monochrome1(folder: Path) -> Good:
    return good(plain(folder, attributes={"PhotometricInterpretation": "MONOCHROME1"}), "monochrome1")


def _with_padding(folder: Path, low: int, high: int, **options: Any) -> Good:
    """Values from ``low`` to ``high`` are padding: their voxels are marked and their values kept."""
    stored = noise(low=-3000, high=3000)
    stored[:5, :, 2:] = low
    stack = Stack(stored=stored, options=options).write(folder)
    padding = (stored >= low) & (stored <= high)
    return Good((replace(stack.truth("pixel_padding"), padding=padding),))


@case
def padding_value(folder: Path) -> Good:
    return _with_padding(folder, -2000, -2000, padding=-2000)


@case
def padding_range(folder: Path) -> Good:
    limit = {"PixelPaddingRangeLimit": -1500}
    return _with_padding(folder, -2000, -1500, padding=-2000, attributes=limit)


@case
def padding_below_the_stored_bits(folder: Path) -> Good:
    """12 bits unsigned, and -2000 as a 16-bit pattern outside the image's circle."""
    options = {"bits_stored": 12, "padding": 63536}
    stack = Stack(stored=noise(high=4096, dtype=np.uint16), options=options).write(folder)
    cells = stack.stored.copy()
    cells[:4, :3] = 63536
    _put(stack, cells)
    truth = stack.truth("pixel_padding")
    padding = np.zeros(SHAPE, bool)
    padding[:4, :3] = True
    values = np.where(padding, (63536 & 0x0FFF) + INTERCEPT, truth.values)
    return Good((replace(truth, padding=padding, values=values),))


@case
def padding_that_no_voxel_has(folder: Path) -> Good:
    return good(Stack(stored=noise(high=1000), options={"padding": -2000}).write(folder))


@case
def one_slice_with_another_slope(folder: Path) -> Good:
    pairs = tuple((1.5 if k == 3 else 1.0, INTERCEPT) for k in range(SHAPE[2]))
    return good(Stack(options={"rescale": pairs}).write(folder))


@case
def compressed_with_loss_before(folder: Path) -> Good:
    """The values are what the file holds; that they aren't those acquired is told."""
    return good(plain(folder, attributes={"LossyImageCompression": "01"}), "lossy_compression")


@case
def one_slice_unsigned_among_signed(folder: Path) -> Good:
    stack = plain(folder)
    change(stack.files[3], PixelRepresentation=0)
    return good(stack)

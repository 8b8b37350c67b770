from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tomosurf.data.series import Instance, PixelLayout, Rescale
from tomosurf.data.transfer_syntax import EXPLICIT_LITTLE
from tomosurf.volume.values import IDENTITY, Assembly, padded, stays_int16, stored_values


def layout(allocated: int, stored: int, high_bit: int, signed: bool) -> PixelLayout:
    return PixelLayout(EXPLICIT_LITTLE, 1, 8, allocated, stored, high_bit, signed, "MONOCHROME2", 0, None)


def instance(pixels: PixelLayout, **changes: Any) -> Instance:
    axial = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    return Instance(Path("x"), "x", "", 0, "1", None, pixels, (0.0, 0.0, 0.0), axial, (1.0, 1.0), **changes)


@given(st.data())
def test_bits_outside_the_stored_ones_dont_matter(data: st.DataObject) -> None:
    allocated = data.draw(st.sampled_from([8, 16, 32]))
    stored = data.draw(st.integers(1, allocated))
    high_bit = data.draw(st.integers(stored - 1, allocated - 1))
    signed = data.draw(st.booleans())
    low = -(1 << (stored - 1)) if signed else 0
    values = data.draw(st.lists(st.integers(low, low + (1 << stored) - 1), min_size=8, max_size=8))
    garbage = data.draw(st.lists(st.integers(0, (1 << allocated) - 1), min_size=8, max_size=8))
    mask, shift = (1 << stored) - 1, high_bit + 1 - stored
    cells = [((v & mask) << shift) | (g & ~(mask << shift)) for v, g in zip(values, garbage, strict=True)]
    array = np.array([cells], f"<u{allocated // 8}")
    found = stored_values(array, layout(allocated, stored, high_bit, signed))
    assert found.tolist() == [values]


def test_read_only_cells_are_left_alone() -> None:
    cells = np.array([[0xF001]], np.uint16)
    cells.flags.writeable = False
    assert stored_values(cells, layout(16, 12, 11, False)).tolist() == [[1]]
    assert cells.tolist() == [[0xF001]]


def test_padding_as_stored_value_and_as_whole_cell() -> None:
    pixels = layout(16, 12, 11, True)
    cells = np.array([[0x8000, 0x0FF0, 5, 0xF830]], np.uint16)  # -32768 whole, -16, 5, -2000 in 12 bits
    values = stored_values(cells.copy(), pixels)
    assert values.tolist() == [[0, -16, 5, -2000]]
    mask = padded(cells, values, instance(pixels, padding=(-32768, -32768)))
    assert mask is not None
    assert mask.tolist() == [[True, False, False, False]]
    mask = padded(cells, values, instance(pixels, padding=(-2000, -1990)))
    assert mask is not None
    assert mask.tolist() == [[False, False, False, True]]
    assert padded(cells, values, instance(pixels, padding=(7, 7))) is None
    assert padded(cells, values, instance(pixels)) is None


@pytest.mark.parametrize(
    ("pixels", "rescale", "expected"),
    [
        (layout(16, 16, 15, True), None, True),
        (layout(16, 16, 15, False), Rescale(1.0, -1024.0), True),
        (layout(8, 8, 7, False), Rescale(1.0, 0.5), False),
        (layout(16, 12, 11, False), Rescale(2.0, 0.0), False),
        (layout(32, 16, 15, False), None, False),
    ],
)
def test_which_headers_promise_whole_numbers(
    pixels: PixelLayout, rescale: Rescale | None, expected: bool
) -> None:
    assert stays_int16((instance(pixels, rescale=rescale),)) is expected


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16])
@pytest.mark.parametrize("intercept", [-1024, 0, 40])
def test_int16_is_exact(dtype: Any, intercept: int) -> None:
    assembly = Assembly((1, 1, 3), whole_numbers=True)
    info = np.iinfo(dtype)
    values = np.array([[max(info.min, -30000), 7, min(info.max, 30000)]], dtype)
    assembly.put(0, values, Rescale(1.0, float(intercept)))
    assert assembly.array.dtype == np.int16
    assert assembly.array[0].tolist() == (values.astype(int) + intercept).tolist()


def test_what_doesnt_fit_turns_to_float32_and_keeps_what_was_there() -> None:
    assembly = Assembly((3, 1, 2), whole_numbers=True)
    assembly.put(0, np.array([[1, 2]], np.uint16), IDENTITY)
    cells = assembly.target(1, layout(16, 16, 15, False))
    assert cells is not None
    cells[:] = [[65535, 3]]
    assembly.put(1, cells, Rescale(1.0, -1024.0))
    assert assembly.target(2, layout(16, 16, 15, False)) is None
    assembly.put(2, np.array([[5, 6]], np.uint16), Rescale(0.5, 0.25))
    assert assembly.array.dtype == np.float32
    assert assembly.array.tolist() == [[[1, 2]], [[64511, -1021]], [[2.75, 3.25]]]


@given(st.data())
def test_bits_that_are_known_spare_a_look_and_change_nothing(data: st.DataObject) -> None:
    bits, signed = data.draw(st.integers(1, 16)), data.draw(st.booleans())
    low = -(1 << (bits - 1)) if signed else 0
    high = low + (1 << bits) - 1
    ends = [e + d for e in (-32768 - low, 32767 - high, -32768 - high, 32767 - low) for d in (-1, 0, 1)]
    intercept = data.draw(st.one_of(st.sampled_from(ends), st.integers(-70000, 70000)))
    values = data.draw(st.lists(st.one_of(st.sampled_from([low, high]), st.integers(low, high)), min_size=1))
    array = np.array([values], np.int16 if signed else np.uint16)
    assembly = Assembly((1, 1, len(values)), whole_numbers=True)
    assembly.put(0, array, Rescale(1.0, float(intercept)), bits)
    sums = [value + intercept for value in values]
    assert assembly.array[0].tolist() == [sums]
    assert (assembly.array.dtype == np.int16) == all(-32768 <= s <= 32767 for s in sums)

from __future__ import annotations

import struct

import numpy as np
import pytest

from tomosurf.volume.run_length import decoded_cells


def coded(*segments: bytes) -> bytes:
    offsets = [64 + sum(len(s) for s in segments[:n]) for n in range(len(segments))]
    header = struct.pack("<16L", len(segments), *offsets, *[0] * (15 - len(segments)))
    return header + b"".join(segments)


def test_literal_and_repeated_runs() -> None:
    stream = coded(b"\xfc\x01\0\0", b"\x01ab\x80\xfec")  # 5 x 1 and padding; "ab", nothing, 3 x "c"
    cells = decoded_cells(stream, 5, 2)
    assert cells.view("<u2").ravel().tolist() == [0x100 + c for c in b"abccc"]


@pytest.mark.parametrize(
    "segment",
    [b"", b"\x04abcd", b"\x04abcde\x01fg", b"\xfb\x01", b"\xfd\x01", b"\xfc", b"\x04abcde\x05"],
)
def test_any_other_length_is_refused(segment: bytes) -> None:
    assert decoded_cells(coded(b"\x04abcde"), 5, 1).tobytes() == b"abcde"
    with pytest.raises(ValueError, match="length"):
        decoded_cells(coded(segment), 5, 1)


def test_headers_that_lie() -> None:
    good = coded(b"\x04abcde")
    for spoilt in (good[:63], struct.pack("<L", 2) + good[4:], good[:4] + struct.pack("<L", 9999) + good[8:]):
        with pytest.raises(ValueError, match="RLE"):
            decoded_cells(spoilt, 5, 1)


def test_a_bomb_stops_at_the_cells_that_are_wanted() -> None:
    with pytest.raises(ValueError, match="length"):
        decoded_cells(coded(b"\x81\x01" * 1_000_000), 5, 1)


def test_random_values_by_the_encoder_of_another_project() -> None:
    from rle.utils import encode_pixel_data

    values = np.random.default_rng(4).integers(0, 3, (31, 17)).astype("<u2") * 300
    options = {"rows": 31, "columns": 17, "bits_allocated": 16, "samples_per_pixel": 1, "number_of_frames": 1}
    stream = encode_pixel_data(values.tobytes(), byteorder="<", **options)
    assert np.array_equal(decoded_cells(stream, values.size, 2).view("<u2").reshape(31, 17), values)

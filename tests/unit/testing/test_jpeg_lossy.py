"""The little lossy encoder, read back by an independent decoder."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from libjpeg import decode

from tomosurf.testing.jpeg_lossy import ZIGZAG, decoded, encode


@settings(max_examples=30, deadline=None)
@given(
    st.tuples(st.integers(1, 30), st.integers(1, 30)),
    st.sampled_from([8, 12]),
    st.integers(1, 60),
    st.integers(0, 2**32 - 1),
)
def test_the_decoder_is_within_two_counts(shape: tuple[int, int], bits: int, quantum: int, seed: int) -> None:
    """On noise; its transform in integers is one count off at 8 bits, two at 12."""
    samples = np.random.default_rng(seed).integers(0, 1 << bits, shape, dtype=np.uint16)
    found = decode(encode(samples, bits, quantum)).reshape(shape).astype(float)
    assert np.abs(found - np.round(decoded(samples, bits, quantum))).max() <= (1 if bits == 8 else 2)


@pytest.mark.parametrize("bits", [8, 12])
def test_a_flat_image_stays(bits: int) -> None:
    samples = np.full((13, 21), 1 << (bits - 2), np.uint16)
    assert np.array_equal(decode(encode(samples, bits, 1)).reshape(13, 21), samples)


def test_the_zigzag_is_the_standard_s() -> None:
    """ITU-T T.81 figure A.6, its first and last ten."""
    assert ZIGZAG[:10] == [0, 1, 8, 16, 9, 2, 3, 10, 17, 24]
    assert ZIGZAG[-10:] == [39, 46, 53, 60, 61, 54, 47, 55, 62, 63]
    assert sorted(ZIGZAG) == list(range(64))

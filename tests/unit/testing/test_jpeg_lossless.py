"""The little encoder, read back by an independent decoder."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from libjpeg import decode

from tomosurf.testing.jpeg_lossless import encode


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(st.integers(1, 20), st.integers(1, 20)),
    st.sampled_from([8, 10, 12, 16]),
    st.integers(1, 7),
    st.integers(0, 2**32 - 1),
)
def test_what_was_encoded_comes_back(shape: tuple[int, int], bits: int, selection: int, seed: int) -> None:
    samples = np.random.default_rng(seed).integers(0, 1 << bits, shape, dtype=np.uint16)
    assert np.array_equal(decode(encode(samples, bits, selection)).reshape(shape), samples)


@pytest.mark.parametrize("step", [1, 255, 32767, 32768, 32769, 65535])
def test_every_size_of_difference(step: int) -> None:
    samples = np.array([[0, step, 0], [step, 0, step]], np.uint16)
    assert np.array_equal(decode(encode(samples, 16)), samples)


def test_smooth_images_shrink() -> None:
    i, j = np.mgrid[:128, :128]
    samples = (1000 + 3 * i + 2 * j).astype(np.uint16)
    assert len(encode(samples, 16)) < samples.nbytes / 2

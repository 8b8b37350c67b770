"""Private elements say what they say, or nothing; never anything else."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conformance.ingest_cases.vendors import csa
from tomosurf.ingest.elements import Elements, Encoding
from tomosurf.ingest.private_tags import PrivateTag
from tomosurf.ingest.vendors import BLOCKS, b_value, is_mosaic

LITTLE = Encoding(implicit=False, little=True)


def private(tag: PrivateTag, value: bytes, creator: bytes | None = None) -> Elements:
    where, name = BLOCKS[tag]
    return Elements(LITTLE, {int(where): name if creator is None else creator, int(tag): value})


@pytest.mark.parametrize(
    ("tag", "value", "number"),
    [
        (PrivateTag.SiemensBValue, b"1000", 1000.0),
        (PrivateTag.SiemensBValue, b"0 ", 0.0),
        (PrivateTag.SiemensBValue, b"", None),
        (PrivateTag.SiemensBValue, b"-5", None),
        (PrivateTag.SiemensBValue, b"many", None),
        (PrivateTag.GEBValue, b"700\\8\\0\\0", 700.0),
        (PrivateTag.GEBValue, b"1000000700\\8\\0\\0", 700.0),
        (PrivateTag.GEBValue, b"700.00\\8", 700.0),
        (PrivateTag.GEBValue, b"\\8\\0\\0", None),
        (PrivateTag.PhilipsBValue, struct.pack("<f", 850), 850.0),
        (PrivateTag.PhilipsBValue, struct.pack("<f", float("nan")), None),
        (PrivateTag.PhilipsBValue, struct.pack("<f", -1), None),
        (PrivateTag.PhilipsBValue, b"800", None),
    ],
)
def test_b_values(tag: PrivateTag, value: bytes, number: float | None) -> None:
    assert b_value(private(tag, value)) == number
    assert b_value(private(tag, value, b"SOMEBODY ELSE")) is None


@pytest.mark.parametrize(
    ("images", "mosaic"), [("36", True), ("2", True), ("1", False), ("", False), ("x", False)]
)
def test_mosaics_by_the_csa_header(images: str, mosaic: bool) -> None:
    assert is_mosaic(private(PrivateTag.SiemensCSAImageHeader, csa(images))) is mosaic
    assert not is_mosaic(private(PrivateTag.SiemensCSAImageHeader, csa(images), b"X"))


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(list(BLOCKS)), st.binary(max_size=40), st.integers(0, 400))
def test_any_bytes_are_understood_or_not(tag: PrivateTag, value: bytes, cut: int) -> None:
    for raw in (value, csa("36")[:cut] + value):
        number = b_value(private(tag, raw))
        assert number is None or 0 <= number < 100_000
        assert is_mosaic(private(tag, raw)) in (True, False)

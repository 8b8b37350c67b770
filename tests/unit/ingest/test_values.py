from __future__ import annotations

import pytest

from tomosurf.errors import InputRefused
from tomosurf.ingest.elements import Elements, Encoding
from tomosurf.ingest.tags import Tag
from tomosurf.ingest.values import decimal, decimals


def header(written: str) -> Elements:
    return Elements(Encoding(implicit=False, little=True), {int(Tag.PixelSpacing): written.encode()})


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("1", 1.0),
        (" +1. ", 1.0),
        ("-.5", -0.5),
        ("12.50", 12.5),
        ("1e3", 1000.0),
        ("1.5E-1 ", 0.15),
        ("007", 7.0),
        *(
            (bad, None)
            for bad in ("", ".", "+", "1_0", "1e", "e1", "1.2.3", "1,5", "0x1", "nan", "inf", "1e999")
        ),
    ],
)
def test_decimal_strings_as_the_standard_writes_them(written: str, number: float | None) -> None:
    assert decimal(header(written), Tag.PixelSpacing) == number


@pytest.mark.parametrize("tail", ["x", "e", ".x", "1"])
def test_a_long_value_costs_no_more_than_its_length(tail: str) -> None:
    with pytest.raises(InputRefused, match="finite"):
        decimals(header("1" * (1 << 20) + tail), Tag.PixelSpacing, 1, "bad_geometry")

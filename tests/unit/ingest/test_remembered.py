from __future__ import annotations

import pytest

from tomosurf.data.codes import refusal
from tomosurf.errors import InputRefused
from tomosurf.ingest.elements import Elements, Encoding
from tomosurf.ingest.remembered import LONGEST, MOST, forget, remembered
from tomosurf.ingest.tags import Tag
from tomosurf.ingest.values import text, word

LITTLE, BIG = Encoding(implicit=False, little=True), Encoding(implicit=False, little=False)


def header(encoding: Encoding = LITTLE, pixel_offset: int | None = 1000, **values: bytes) -> Elements:
    return Elements(encoding, {int(Tag[name]): raw for name, raw in values.items()}, pixel_offset)


def test_the_same_raw_values_are_understood_once() -> None:
    asked: list[str] = []

    @remembered(Tag.Modality)
    def modality(elements: Elements, ending: str) -> str:
        asked.append(text(elements, Tag.Modality) + ending)
        return asked[-1]

    assert [modality(header(Modality=raw), "!") for raw in (b"CT", b"MR", b"CT", b"CT ", b"")] == [
        "CT!",
        "MR!",
        "CT!",
        "CT!",
        "!",
    ]
    assert modality(header(Modality=b"CT", Rows=b"\1\0"), "?") == "CT?"
    assert modality(header(), "!") == "!"
    assert asked == ["CT!", "MR!", "CT!", "!", "CT?", "!"]


def test_byte_order_counts() -> None:
    @remembered(Tag.Rows)
    def rows(elements: Elements) -> int | None:
        return word(elements, Tag.Rows, "size_mismatch")

    assert [rows(header(encoding, Rows=b"\1\0")) for encoding in (LITTLE, BIG, LITTLE)] == [1, 256, 1]


def test_what_isnt_compared_isnt_seen() -> None:
    @remembered(Tag.Modality)
    def series(elements: Elements) -> str:
        return text(elements, Tag.SeriesInstanceUID)

    assert series(header(SeriesInstanceUID=b"1.2")) == ""
    assert series(header(SeriesInstanceUID=b"1.2", pixel_offset=None)) == ""


def test_a_refusal_is_raised_every_time() -> None:
    @remembered(Tag.Modality)
    def never(elements: Elements) -> str:
        raise refusal("no_image", text(elements, Tag.Modality))

    raised = []
    for _ in range(2):
        with pytest.raises(InputRefused, match="CT") as caught:
            never(header(Modality=b"CT"))
        raised.append(caught.value)
    assert raised[0] is not raised[1]


def test_memory_is_bounded() -> None:
    asked: list[bytes] = []

    @remembered(Tag.Modality)
    def modality(elements: Elements) -> bytes:
        asked.append(elements.values[Tag.Modality])
        return asked[-1]

    for offset in (None, LONGEST + 1, LONGEST + 1):
        modality(header(Modality=b"CT", pixel_offset=offset))
    assert len(asked) == 3
    for number in (*range(MOST + 1), 0):
        modality(header(Modality=str(number).encode()))
    assert len(asked) == 3 + MOST + 2


def test_nothing_is_remembered_once_told_to_forget() -> None:
    """A worker that lives for days keeps no values of a patient's headers."""
    asked: list[bytes] = []

    @remembered(Tag.Modality)
    def modality(elements: Elements) -> bytes:
        asked.append(elements.values[Tag.Modality])
        return asked[-1]

    modality(header(Modality=b"CT"))
    modality(header(Modality=b"CT"))
    assert len(asked) == 1
    forget()
    modality(header(Modality=b"CT"))
    assert len(asked) == 2

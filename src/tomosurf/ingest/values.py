"""Values of elements, read strictly (PS3.5 section 6.2)."""

from __future__ import annotations

import math
import re
import struct
from typing import Any, Literal

from tomosurf.data.codes import refusal
from tomosurf.ingest.elements import Elements
from tomosurf.ingest.tags import Tag

DECIMAL = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
"""One way only to match any digit, so that a long value that is no number costs no more than its length."""


def text(elements: Elements, tag: int) -> str:
    """A text value without its padding; "" when absent. Bytes outside ASCII become backslash escapes."""
    raw = elements.values.get(tag)
    return raw.strip(b"\0 ").decode("ascii", "backslashreplace") if raw else ""


def texts(elements: Elements, tag: Tag) -> tuple[str, ...]:
    """The parts of a text value of several, each without its padding."""
    return tuple([part.strip() for part in text(elements, tag).split("\\")])


def _number(written: str) -> float:
    """A number as PS3.5 section 6.2 lets a Decimal String write it; float() alone would take "1_0".

    Raises:
        ValueError: it isn't one.
    """
    if not DECIMAL.fullmatch(written.strip(" ")):
        raise ValueError("no Decimal String")
    return float(written)


def decimals(elements: Elements, tag: Tag, count: int, code: str) -> tuple[float, ...] | None:
    """A Decimal String of ``count`` finite numbers; None when absent or empty.

    Raises:
        InputRefused: ``code``, for anything else.
    """
    value = text(elements, tag)
    if not value:
        return None
    try:
        numbers = tuple([_number(part) for part in value.split("\\")])
    except ValueError:
        numbers = ()
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        noun = "number" if count == 1 else "numbers"
        raise refusal(code, f"{tag.name} isn't {count} finite {noun}", attribute=tag.name)
    return numbers


def decimal(elements: Elements, tag: Tag) -> float | None:
    """A Decimal String of one number of no consequence: None when absent or unreadable."""
    written = text(elements, tag)
    if not written:
        return None
    try:
        number = _number(written)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def integer(elements: Elements, tag: Tag) -> int | None:
    """An Integer String of one number of no consequence: None when absent or unreadable."""
    number = decimal(elements, tag)
    return int(number) if number is not None and number.is_integer() else None


def word(elements: Elements, tag: Tag, code: str) -> int | None:
    """One unsigned 16-bit value (VR US; of an SS its bit pattern); None when absent or empty.

    Raises:
        InputRefused: ``code``, for another length.
    """
    raw = elements.values.get(tag, b"")
    if not raw:
        return None
    if len(raw) != 2:
        raise refusal(code, f"{tag.name} isn't one 16-bit number", attribute=tag.name)
    number: int = struct.unpack(elements.encoding.byte_order + "H", raw)[0]
    return number


def binaries(elements: Elements, tag: int, kind: Literal["H", "L", "d", "f"]) -> tuple[Any, ...]:
    """Binary values of no consequence (VR US, UL, FD, FL): () when absent or of an impossible length."""
    raw, size = elements.values.get(tag, b""), struct.calcsize(f"<{kind}")
    if len(raw) % size:
        return ()
    return struct.unpack(f"{elements.encoding.byte_order}{len(raw) // size}{kind}", raw)


def double(elements: Elements, tag: Tag) -> float | None:
    """One 64-bit binary value (VR FD) of no consequence: None when absent or of another length."""
    raw = elements.values.get(tag, b"")
    if len(raw) != 8:
        return None
    number: float = struct.unpack(elements.encoding.byte_order + "d", raw)[0]
    return number

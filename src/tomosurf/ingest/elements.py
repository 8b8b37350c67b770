"""A bounded scan over the elements of a DICOM data set (PS3.5 section 7).

Only the top level is looked at: values of wanted tags are kept, everything else is stepped over, sequences
without recursion. Nothing is decoded and nothing is allocated by a length that a file claims.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Container, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from tomosurf.ingest.passages import KEY, Passages, Walked

UNDEFINED = 0xFFFFFFFF
PIXEL_DATA = 0x7FE00010
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
DELIMITER_GROUP = 0xFFFE
MAX_DEPTH = 64
"""Deepest nesting of sequences that is followed; real objects stay below ten."""

LONG_VRS = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
SHORT_VRS = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
VRS = LONG_VRS | SHORT_VRS


class Malformed(Exception):
    """The bytes aren't a data set: an impossible value representation, nesting or order."""


class NeedsMore(Exception):
    """The bytes end before the data set does."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a data set is written: implicit or explicit VR, little or big endian."""

    implicit: bool
    little: bool

    @property
    def byte_order(self) -> str:
        """The :mod:`struct` character."""
        return "<" if self.little else ">"


@dataclass(slots=True)
class Elements:
    """What a scan found: raw values of wanted tags, and where the pixel data are.

    ``pixel_offset`` is where the value of Pixel Data starts, None when there is none; ``pixel_length`` is
    its declared length, ``UNDEFINED`` when encapsulated; ``pixel_vr`` is b"" when VRs are implicit.
    ``sequences`` are the raw values of sequences that were asked for, and how they are written.
    """

    encoding: Encoding
    values: dict[int, bytes] = field(default_factory=dict)
    pixel_offset: int | None = None
    pixel_length: int = 0
    pixel_vr: bytes = b""
    sequences: dict[int, tuple[bytes, Encoding]] = field(default_factory=dict)

    def add(self, more: Mapping[int, bytes]) -> None:
        """Take in more values.

        Raises:
            Malformed: one of them is there already.
        """
        before = len(self.values)
        self.values.update(more)
        if len(self.values) - before < len(more):
            raise Malformed("an element occurs twice")


STRUCTS = {
    little: (struct.Struct(order + "HH2sH"), struct.Struct(order + "L"))
    for little, order in ((True, "<"), (False, ">"))
}
"""Tag, VR and 16-bit length; and a 32-bit length: in little endian or not."""


class _Cursor:
    """Reads element headers one after the other; raises instead of reading past the end."""

    def __init__(self, data: bytes, encoding: Encoding) -> None:
        self.data = data
        self.size = len(data)
        self.short, self._long = STRUCTS[encoding.little]

    def header(self, at: int, implicit: bool) -> tuple[int, bytes, int, int]:
        """Tag, VR, length and where the value starts, of the element at ``at``."""
        if at + 8 > self.size:
            raise NeedsMore
        group, element, vr, length = self.short.unpack_from(self.data, at)
        tag = group << 16 | element
        if implicit or group == DELIMITER_GROUP:
            return tag, b"", self._long.unpack_from(self.data, at + 4)[0], at + 8
        if vr in SHORT_VRS:
            return tag, vr, length, at + 8
        if vr not in LONG_VRS:
            raise Malformed("value representation")
        if at + 12 > self.size:
            raise NeedsMore
        return tag, vr, self._long.unpack_from(self.data, at + 8)[0], at + 12


@dataclass(frozen=True, slots=True)
class Search:
    """What a scan looks for: the tags of elements, and of sequences, whose values it keeps.

    ``passages``, for each encoding, let it step over what it has met before; None: it looks at every element.
    """

    wanted: Container[int]
    sequences: Container[int] = frozenset()
    passages: defaultdict[Encoding, Passages] | None = None


def scan(data: bytes, start: int, encoding: Encoding, search: Search, end_of_file: bool) -> Elements:
    """Find the wanted elements and sequences of the data set that starts at ``start``, up to its pixel data.

    ``end_of_file`` says that ``data`` is all there is: a value that runs past its end is then reported by
    :class:`NeedsMore` as well, and the caller knows that the file was cut.

    Raises:
        Malformed: the bytes aren't a data set, or a wanted element occurs twice.
        NeedsMore: the bytes end inside an element.
    """
    found = Elements(encoding)
    cursor = _Cursor(data, encoding)
    short, size = cursor.short.unpack_from, cursor.size
    wanted, sequences = search.wanted, search.sequences
    plain = frozenset() if encoding.implicit else SHORT_VRS
    passages = Passages() if search.passages is None else search.passages[encoding]
    known, walked = passages.known, list[Walked]()
    at, last = start, size - 8
    while at < size or not end_of_file:
        if at > last:
            raise NeedsMore
        passage = known.get(data[at : at + KEY]) if known else None
        if passage is not None and data.startswith(passage.raw, at):
            found.add(passage.values)
            at += len(passage.raw)
            continue
        first = at
        group, element, vr, length = short(data, at)
        tag = group << 16 | element
        if vr in plain and tag < PIXEL_DATA and tag not in sequences:  # most elements: no call for them
            value, at = at + 8, at + 8 + length
        else:
            value, at = _special(cursor, at, found, sequences)
            if found.pixel_offset is not None:
                break
        if at > size:
            raise NeedsMore
        if tag in wanted:
            found.add({tag: data[value:at]})
        if tag not in sequences:
            walked.append((first, at, tag))
    if search.passages is not None:
        passages.learn(data, walked, found.values)
    return found


def _special(cursor: _Cursor, at: int, found: Elements, sequences: Container[int]) -> tuple[int, int]:
    """Where the value of the element at ``at`` starts and ends; of undefined length none is given.

    Pixel data and wanted sequences are put down in ``found``.
    """
    encoding = found.encoding
    tag, vr, length, value = cursor.header(at, encoding.implicit)
    if tag == PIXEL_DATA:
        found.pixel_offset, found.pixel_length, found.pixel_vr = value, length, vr
        return value, value
    if tag >> 16 == DELIMITER_GROUP:
        raise Malformed("delimiter outside a sequence")
    unread = encoding.implicit or vr == b"UN"
    end = _after_undefined(cursor, value, unread) if length == UNDEFINED else value + length
    if tag in sequences and end <= cursor.size:
        if tag in found.sequences:
            raise Malformed("an element occurs twice")
        found.sequences[tag] = cursor.data[value:end], Encoding(unread, encoding.little)
    return end if length == UNDEFINED else value, end


def items(data: bytes, encoding: Encoding) -> Iterator[bytes]:
    """The data sets of the items in the value of a sequence, one after the other (PS3.5 section 7.5).

    Raises:
        Malformed: something else than items.
        NeedsMore: the value ends inside an item.
    """
    cursor = _Cursor(data, encoding)
    at = 0
    while at < cursor.size:
        tag, _, length, value = cursor.header(at, encoding.implicit)
        if tag == SEQUENCE_END:
            return
        if tag != ITEM:
            raise Malformed("something else than an item in a sequence")
        if length == UNDEFINED:
            at = _after_undefined(cursor, value, encoding.implicit)
            yield data[value : at - 8]
        else:
            at = value + length
            if at > cursor.size:
                raise NeedsMore
            yield data[value:at]


def scan_meta(data: bytes, start: int, wanted: Container[int]) -> tuple[dict[int, bytes], int]:
    """The wanted elements of the File Meta Information (group 0002, explicit VR little endian), and its end.

    Raises:
        Malformed: the bytes aren't File Meta Information.
        NeedsMore: the bytes end inside an element.
    """
    cursor = _Cursor(data, Encoding(implicit=False, little=True))
    short, size = cursor.short.unpack_from, cursor.size
    values: dict[int, bytes] = {}
    at = start
    while at < size:
        if at + 8 > size:
            raise NeedsMore
        group, element, vr, length = short(data, at)
        if group != 2:
            break
        tag, value = group << 16 | element, at + 8
        if vr not in SHORT_VRS:
            tag, _, length, value = cursor.header(at, implicit=False)
        if value + length > size:
            raise NeedsMore
        at = value + length
        if tag in wanted:
            values[tag] = data[value:at]
    return values, at


def leftovers(
    data: bytes, start: int, encoding: Encoding, groups: Container[int]
) -> tuple[dict[int, bytes], int]:
    """The elements of ``groups`` from ``start`` on that a damaged data set still has, and where they end.

    It ends at the first tag of another group or that doesn't ascend, and where anything is wrong; nothing is
    raised.
    """
    cursor = _Cursor(data, encoding)
    values: dict[int, bytes] = {}
    at, last = start, -1
    with suppress(Malformed, NeedsMore):
        while at < cursor.size:
            tag, vr, length, value = cursor.header(at, encoding.implicit)
            if tag <= last or tag >> 16 not in groups:
                break
            undefined = length == UNDEFINED
            end = (
                _after_undefined(cursor, value, encoding.implicit or vr == b"UN")
                if undefined
                else value + length
            )
            if end > cursor.size:
                break
            values[tag] = b"" if undefined else data[value:end]
            at, last = end, tag
    return values, at


def _after_undefined(cursor: _Cursor, at: int, implicit: bool) -> int:
    """Where an element of undefined length ends, whose value starts at ``at``.

    One loop serves items and sequences: a stack remembers, for each open one, whether VRs are implicit in
    it. Inside an element of VR UN they are (PS3.5 section 6.2.2, note 2).
    """
    open_ones = [implicit]
    while open_ones:
        if len(open_ones) > 2 * MAX_DEPTH:
            raise Malformed("sequences nested too deep")
        tag, vr, length, value = cursor.header(at, open_ones[-1])
        at = value
        if tag in (ITEM_END, SEQUENCE_END):
            open_ones.pop()
        elif length == UNDEFINED:
            open_ones.append(open_ones[-1] or vr == b"UN")
        else:
            at += length
    return at

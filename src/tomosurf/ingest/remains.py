"""What a damaged file still says: whether it is DICOM at all, of which series, and of what kind."""

from __future__ import annotations

import re
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tomosurf.data.transfer_syntax import DEFLATED
from tomosurf.ingest.classify import FRAMES_CLASSES, SLICE_CLASSES
from tomosurf.ingest.elements import Encoding, leftovers
from tomosurf.ingest.header import PREAMBLE
from tomosurf.ingest.tags import Tag

WRITTEN = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+", re.ASCII)
"""How a UID is written (PS3.5 section 9.1); at most 64 characters."""
READ = 1 << 20
"""Bytes of a damaged file that are looked at."""
NEAR = 30
"""Bytes by which the magic word may have moved; what is farther away belongs to a file that holds another."""
MAGIC, META_START = b"DICM", b"\x02\0\0\0UL\x04\0"
"""The magic word, and the first element of the File Meta Information (PS3.10 section 7.1)."""
META_LENGTH = 0x00020000
FIRST_GROUP = (b"\x08\0", b"\0\x08")
"""How a data set without File Meta Information starts, in little and big endian."""
META, DATA_SET = range(2, 3), range(4, 0x7FE0)
"""The groups of the File Meta Information, and of a data set before its pixels."""
BLANK, FAR, ROOT = 64, 1024, b"1.2.840.10008."
"""Zeros at the start of a file, and the root of the standard's UIDs so near that they are File Meta Information."""
ENCODINGS = (Encoding(False, True), Encoding(True, True), Encoding(False, False))
PIECE = 64
"""Bytes of a deflated data set that are inflated at once: those before the damage are kept."""


@dataclass(frozen=True, slots=True)
class Remains:
    """What could be read before the damage.

    ``series_uid`` is as it stands there, perhaps damaged too; "" where the damage comes first. ``classes`` are
    the SOP classes that the File Meta Information and the data set name, at most two.
    """

    series_uid: str = ""
    classes: frozenset[str] = frozenset()

    @property
    def is_no_slice(self) -> bool:
        """Whether the SOP class is known, and its objects hold no stack of slices."""
        return bool(self.classes) and all(_is_known(c) and not is_slice(c) for c in self.classes)


def remains_of(path: Path) -> Remains | None:
    """What the file at ``path`` still says; None when nothing shows that it is, or was, DICOM.

    It is when DICM or the first element of File Meta Information follows a preamble (even where bytes before
    them were lost or added), when a blank preamble is followed by UIDs of the standard, when a damaged preamble is
    all there is, or when elements can be read from its start; and a file that can't be read may be anything.
    Nothing is raised for what a file holds.
    """
    try:
        with path.open("rb") as file:
            data = file.read(READ)
    except OSError:
        return Remains()
    start = _start(data)
    if start is None and data[:2] not in FIRST_GROUP:
        looks_so = not data[:BLANK].strip(b"\0") and ROOT in data[:FAR]
        return Remains() if looks_so or _ends_in_preamble(data) else None
    meta: dict[int, bytes] = {}
    ends = {0}
    if start is not None:
        meta, end = leftovers(data, start, ENCODINGS[0], META)
        ends = {end, start + 12 + int.from_bytes(meta.get(META_LENGTH, b""), "little")}
    deflated = _text(meta, Tag.TransferSyntaxUID) == DEFLATED
    bodies = [_inflated(data, end) if deflated else data[end:] for end in sorted(ends)]
    values = max((leftovers(body, 0, e, DATA_SET)[0] for body in bodies for e in ENCODINGS), key=len)
    if start is None and not values:
        return None
    classes = {_text(meta, Tag.MediaStorageSOPClassUID), _text(values, Tag.SOPClassUID)} - {""}
    return Remains(_text(values, Tag.SeriesInstanceUID), frozenset(classes))


def _ends_in_preamble(data: bytes) -> bool:
    """Whether this is all that is left of a file: a preamble, zeros but for a byte or two of damage."""
    return any(data) and 32 <= len(data) <= PREAMBLE and data.count(0) >= len(data) - len(data) // 16


def is_uid(text: str) -> bool:
    """Whether ``text`` is written as a UID is."""
    return len(text) <= 64 and WRITTEN.fullmatch(text) is not None


def _is_known(sop_class: str) -> bool:
    """Whether the standard has a SOP class of that UID."""
    from pydicom.uid import UID_dictionary

    return sop_class in UID_dictionary and UID_dictionary[sop_class][1] == "SOP Class"


def is_slice(sop_class: str) -> bool:
    """Whether objects of that SOP class are slices."""
    return sop_class in SLICE_CLASSES or sop_class in FRAMES_CLASSES


def _start(data: bytes) -> int | None:
    """Where the File Meta Information starts; None when no trace of it is found."""
    if data.startswith(META_START):
        return 0
    if data[PREAMBLE : PREAMBLE + 4] == MAGIC:
        return PREAMBLE + 4
    first = PREAMBLE - NEAR
    for word, length in ((MAGIC + META_START[:2], len(MAGIC)), (META_START, 0)):
        at = data.find(word, first, PREAMBLE + 4 + NEAR)
        if at >= 0:
            return at + length
    return None


def _inflated(data: bytes, start: int) -> bytes:
    """What can be inflated of the deflated data set at ``start``, at most ``READ`` bytes of it."""
    engine = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    inflated = bytearray()
    with suppress(zlib.error):
        for at in range(start, len(data), PIECE):
            inflated += engine.decompress(data[at : at + PIECE], READ - len(inflated))
            if engine.eof or len(inflated) >= READ:
                break
    return bytes(inflated)


def _text(values: dict[int, bytes], tag: int) -> str:
    return values.get(tag, b"").strip(b"\0 ").decode("ascii", "backslashreplace")

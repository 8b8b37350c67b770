"""The header of one file, whatever its transfer syntax, without ever trusting a length in it."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections import defaultdict
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from tomosurf.data.codes import refusal
from tomosurf.data.transfer_syntax import (
    DEFLATED,
    DEFLATED_REFERENCES,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
)
from tomosurf.ingest.elements import (
    UNDEFINED,
    VRS,
    Elements,
    Encoding,
    Malformed,
    NeedsMore,
    Search,
    scan,
    scan_meta,
)
from tomosurf.ingest.passages import Passages
from tomosurf.ingest.tags import GROUPS, WANTED, Tag

PREAMBLE = 128
FIRST_READ = 1 << 13
"""Bytes read at first; most headers of slices fit."""
NATIVE_SYNTAX = {
    Encoding(implicit=True, little=True): IMPLICIT_LITTLE,
    Encoding(implicit=False, little=True): EXPLICIT_LITTLE,
    Encoding(implicit=False, little=False): EXPLICIT_BIG,
}
"""The transfer syntax of plain pixel data in a file that names none."""
HEADER_LIMIT = 1 << 26
"""Bytes that a header may have before its pixel data, default of ``read_header``."""

SEARCH = Search(WANTED, GROUPS)
"""What is looked for in a single file, default of ``read_header``."""

DEFLATED_RATIO, DEFLATED_FROM = 50, 1 << 22
"""Beyond ``DEFLATED_FROM`` bytes a header may inflate to this many times what was read of the file: text packs by
ten, and every byte of a bomb would have to be scanned."""


class NotDicom(Exception):
    """The file isn't DICOM at all."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """What the first bytes of a file give; ``deflated_at`` is where its deflated data set starts, or None.

    ``storage`` is the Media Storage SOP Class UID, "" when absent; ``elements`` may name another SOP class.
    """

    transfer_syntax: str
    elements: Elements
    nonzero_preamble: bool
    deflated_at: int | None
    storage: str = ""


@dataclass(frozen=True, slots=True)
class Header:
    """Raw values of the wanted elements of one file, and what else must be known to read its pixels.

    ``size`` is the file's in bytes; ``sha256`` is "" when not asked for.
    """

    parsed: Parsed
    size: int
    sha256: str

    @property
    def elements(self) -> Elements:
        """The elements that were found."""
        return self.parsed.elements

    @property
    def transfer_syntax(self) -> str:
        """Transfer Syntax UID, "" when absent."""
        return self.parsed.transfer_syntax


def new_search() -> Search:
    """A search for what ingest looks at, that learns from every header in which it is used."""
    return Search(WANTED, GROUPS, defaultdict(Passages))


def read_header(
    path: Path, *, hashed: bool = True, limit: int = HEADER_LIMIT, search: Search = SEARCH
) -> Header:
    """Read the header of the file at ``path``, and digest the whole file if ``hashed``.

    ``search`` makes no difference but in time: :func:`new_search` gives one for many files.

    Memory is bounded by ``limit`` whatever the file claims; deflated headers are inflated no further.

    Raises:
        NotDicom: the file isn't DICOM.
        InputRefused: unreadable_file, truncated or too_large.
    """
    try:
        with FileIO(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size == 0:
                raise refusal("unreadable_file", "the file is empty")
            parsed = _grow(file, size, limit, search)
            sha256 = _digest(file) if hashed else ""
    except OSError as error:
        raise refusal("unreadable_file", f"the file can't be read ({error.strerror})") from error
    return Header(parsed, size, sha256)


def _digest(file: FileIO) -> str:
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()


def _grow(file: FileIO, size: int, limit: int, search: Search) -> Parsed:
    """Parse the first bytes of the file, and more of them until the header is complete."""
    room = FIRST_READ
    while True:
        file.seek(0)
        data = file.read(min(room, size))
        try:
            parsed = _parse(data, search, whole=len(data) == size, room=room)
        except NeedsMore:
            raise refusal("truncated", "the file ends inside its header") from None
        except Malformed as error:
            raise refusal("unreadable_file", f"the header breaks the rules of DICOM ({error})") from None
        if parsed is not None:
            return parsed
        if room >= limit:
            raise refusal("too_large", f"the header is larger than {limit} bytes")
        room = min(room * 8, limit)


def _parse(data: bytes, search: Search, *, whole: bool, room: int) -> Parsed | None:
    """The header in ``data``; None when more bytes are needed.

    Raises:
        NotDicom: no DICOM.
        Malformed: DICOM that breaks the rules.
        NeedsMore: there are no more bytes.
    """
    start = _start(data)
    nonzero = start > PREAMBLE and data[:PREAMBLE].strip(b"\0") != b""
    try:
        meta, start = scan_meta(data, start, WANTED)
        syntax = meta.get(Tag.TransferSyntaxUID, b"").rstrip(b"\0 ").decode("ascii", "replace")
        deflated_at = start if syntax == DEFLATED or syntax in DEFLATED_REFERENCES else None
        if deflated_at is not None:
            data, whole = _inflate(memoryview(data)[start:], room, whole)
            start = 0
        elements = scan(data, start, _encoding(data, start, syntax), search, whole)
    except NeedsMore:
        if whole:
            raise
        return None
    storage = meta.get(Tag.MediaStorageSOPClassUID, b"")
    elements.values.setdefault(Tag.SOPClassUID, storage)
    if not elements.values[Tag.SOPClassUID] and Tag.SeriesInstanceUID not in elements.values:
        raise NotDicom("neither a SOP class nor a series")
    if not syntax and elements.pixel_length != UNDEFINED:
        syntax = NATIVE_SYNTAX[elements.encoding]  # nothing else is possible for plain pixel data
    named = storage.strip(b"\0 ").decode("ascii", "backslashreplace")
    return Parsed(syntax, elements, nonzero, deflated_at, named)


def _start(data: bytes) -> int:
    """Where the first element is: after preamble and DICM, or at once when a file has neither."""
    if data[PREAMBLE : PREAMBLE + 4] == b"DICM":
        return PREAMBLE + 4
    if not data.strip(b"\0"):
        raise refusal("unreadable_file", "the file holds nothing but zeros")
    if data[:2] in (b"\x02\0", b"\x08\0", b"\0\x08") and len(data) > 8:
        return 0
    raise NotDicom("no DICM after the preamble and no element at the start")


def _encoding(data: bytes, at: int, syntax: str) -> Encoding:
    """How the data set at ``at`` is written.

    In little endian the first element decides, not the transfer syntax: there are files that say implicit
    and write explicit VRs, or say nothing.
    """
    if syntax == EXPLICIT_BIG or (not syntax and data[at : at + 2] == b"\0\x08"):
        return Encoding(implicit=False, little=False)
    if len(data) < at + 8:
        raise NeedsMore
    return Encoding(implicit=data[at + 4 : at + 6] not in VRS, little=True)


def _inflate(data: memoryview, room: int, whole: bool) -> tuple[bytes, bool]:
    """At most ``room`` bytes of a deflated data set (PS3.5 A.5), and whether that is all there is.

    Fed in pieces, so that what isn't inflated isn't copied either.

    Raises:
        Malformed: no deflated stream.
        InputRefused: too_large.
    """
    if room > max(DEFLATED_FROM, DEFLATED_RATIO * len(data)):
        raise refusal("too_large", f"{len(data)} bytes inflate to a header of more than {room // 8}")
    engine = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    inflated = bytearray()
    try:
        for at in range(0, len(data), FIRST_READ):
            inflated += engine.decompress(data[at : at + FIRST_READ], room - len(inflated))
            if engine.eof or len(inflated) >= room:
                break
    except zlib.error:
        raise Malformed("deflated stream") from None
    return bytes(inflated), engine.eof or (whole and len(inflated) < room)

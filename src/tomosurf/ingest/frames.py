"""Multi-frame objects: every frame with the attributes that its functional groups give it.

Functional groups (PS3.3 C.7.6.16) are sequences in sequences. Only those named here are looked into, each at
a depth that is known beforehand, so that nesting costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tomosurf.data.codes import refusal
from tomosurf.data.series import PixelLayout
from tomosurf.data.transfer_syntax import ENCAPSULATED
from tomosurf.errors import InputRefused
from tomosurf.ingest.elements import Elements, Encoding, Malformed, NeedsMore, Search, items, scan
from tomosurf.ingest.spans import spans_of
from tomosurf.ingest.tags import GROUPS, OF_FRAMES, Sequence, Tag
from tomosurf.ingest.values import integer

MAX_FRAMES = 1 << 16
"""Frames that one object may have."""
NESTED = frozenset({int(Sequence.DiffusionGradientDirectionSequence)})
"""Sequences inside functional groups that are looked into."""
OF_SEVERAL_ITEMS = frozenset({int(Sequence.CTAcquisitionDetailsSequence)})
"""Functional groups with an item for every tube and detector (PS3.3 C.8.15.3.2)."""
MACROS = frozenset(map(int, Sequence)) - GROUPS - NESTED
"""Functional groups that are looked into."""


def frame_count(elements: Elements) -> int:
    """How many frames an object has.

    Raises:
        InputRefused: multi_frame or too_large.
    """
    count = integer(elements, Tag.NumberOfFrames)
    if count is None or count < 1:
        raise refusal("multi_frame", "no number of frames", attribute=Tag.NumberOfFrames.name)
    if count > MAX_FRAMES:
        raise refusal("too_large", f"{count} frames", attribute=Tag.NumberOfFrames.name)
    return count


def elements_of_frames(elements: Elements) -> list[Elements]:
    """The header as it stands for every frame: its own elements, those of all frames, those of the frame.

    Raises:
        InputRefused: multi_frame, size_mismatch, bad_geometry, unreadable_file.
    """
    count = frame_count(elements)
    where = Sequence.PerFrameFunctionalGroupsSequence
    if where not in elements.sequences:
        raise refusal("multi_frame", "a multi-frame object without functional groups", attribute=where.name)
    try:
        shared = _groups(elements, Sequence.SharedFunctionalGroupsSequence)
        each = _groups(elements, where, count)
    except (Malformed, NeedsMore):
        what = "the functional groups break the rules of DICOM"
        raise refusal("unreadable_file", what, attribute=where.name) from None
    if len(shared) > 1 or len(each) != count:
        what = f"{count} frames, but functional groups of {len(each)}"
        raise refusal("size_mismatch", what, attribute=where.name)
    common = shared[0] if shared else {}
    for own in each:
        torn = [tag for tag in own.keys() & common.keys() if own[tag] != common[tag]]
        if torn:
            what = "functional groups of a frame and of all frames contradict each other"
            raise refusal("bad_geometry", what, attribute=Tag(min(torn)).name)
    return [replace(elements, values=elements.values | common | own, sequences={}) for own in each]


def _groups(elements: Elements, which: Sequence, most: int = 1) -> list[dict[int, bytes]]:
    """The wanted elements in the functional groups of every item of a sequence."""
    if which not in elements.sequences:
        return []
    found: list[dict[int, bytes]] = []
    for item, encoding in _items(elements, which):
        if len(found) > most:
            raise Malformed("more items than frames")
        macros = scan(item, 0, encoding, Search(frozenset(), MACROS), True)
        values: dict[int, bytes] = {}
        for macro in macros.sequences:
            for tag, value in _only(macros, macro).items():
                if values.setdefault(tag, value) != value:
                    raise Malformed("a frame says two things")
        found.append(values)
    return found


def _items(elements: Elements, tag: int) -> Iterator[tuple[bytes, Encoding]]:
    """The items of a sequence, and how they are written."""
    data, encoding = elements.sequences[tag]
    for item in items(data, encoding):
        yield item, encoding


def _only(elements: Elements, tag: int, deeper: frozenset[int] = NESTED) -> dict[int, bytes]:
    """The wanted elements of a sequence's one item, and of the gradient direction's in it.

    Of several items, where there may be several, what they all say.
    """
    values: dict[int, bytes] = {}
    for number, (item, encoding) in enumerate(_items(elements, tag)):
        found = scan(item, 0, encoding, Search(OF_FRAMES, deeper), True)
        if number:
            if tag not in OF_SEVERAL_ITEMS:
                raise Malformed("a functional group of several items")
            values = dict(values.items() & found.values.items())
            continue
        values |= found.values
        for nested in found.sequences:
            values |= _only(Elements(encoding, sequences=found.sequences), nested, frozenset())
    return values


def layouts_of_frames(whole: PixelLayout, path: Path, elements: Elements) -> list[PixelLayout]:
    """Where every frame's pixels lie, given the layout of all of them.

    Raises:
        InputRefused: the frames of encapsulated pixel data can't be told apart, or the file can't be read.
    """
    count = whole.frames
    if whole.transfer_syntax not in ENCAPSULATED:
        size = whole.slice_bytes
        return [replace(whole, offset=whole.offset + k * size, length=size) for k in range(count)]
    try:
        with path.open("rb") as file:
            table = elements.values.get(Tag.ExtendedOffsetTable, b"")
            spans = spans_of(file, whole.offset, count, table)
    except OSError as error:
        raise refusal("unreadable_file", f"the file can't be read ({error.strerror})") from error
    except InputRefused as error:
        error.attribute = "PixelData"
        raise
    return [replace(whole, offset=offset, span=span) for offset, span in spans]

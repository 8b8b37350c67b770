"""What a header says about the purpose of a series: words to choose by, never to write out."""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType

from tomosurf.data.series import SeriesHints
from tomosurf.ingest.elements import Elements
from tomosurf.ingest.tags import Tag
from tomosurf.ingest.values import text, texts

LONGEST = 64
"""Characters that are kept of a text (VR LO, PS3.5 section 6.2): matching patterns against more isn't safe."""
CHARACTER_SETS = MappingProxyType({"ISO_IR 100": "latin-1", "ISO_IR 192": "utf-8"})
"""Character sets other than ASCII in which a text is read; of others, bytes outside ASCII become escapes."""
NO_AGENT = frozenset({"", "NO", "NONE", "N", "W/O", "WITHOUT", "NATIVE"})
"""What stands in Contrast/Bolus Agent when none was given."""


OF_HINTS = (
    Tag.SpecificCharacterSet,
    Tag.BodyPartExamined,
    Tag.SeriesDescription,
    Tag.ProtocolName,
    Tag.ContrastBolusAgent,
    Tag.ImageType,
)
"""What :func:`hints_of` looks at."""


def hints_of(elements: Elements) -> SeriesHints:
    """The hints of one image."""
    return SeriesHints(
        body_part=text(elements, Tag.BodyPartExamined)[:LONGEST].upper(),
        description=_words(elements, Tag.SeriesDescription),
        protocol=_words(elements, Tag.ProtocolName),
        contrast=text(elements, Tag.ContrastBolusAgent).upper() not in NO_AGENT,
        derived="DERIVED" in texts(elements, Tag.ImageType),
    )


def joined_hints(each: Iterable[SeriesHints]) -> SeriesHints:
    """The hints of a series: what its images agree on, and contrast or derived when any of them says so."""
    hints = list(each)

    def common(values: Iterable[str]) -> str:
        distinct = set(values)
        return distinct.pop() if len(distinct) == 1 else ""

    return SeriesHints(
        body_part=common(h.body_part for h in hints),
        description=common(h.description for h in hints),
        protocol=common(h.protocol for h in hints),
        contrast=any(h.contrast for h in hints),
        derived=any(h.derived for h in hints),
    )


def _words(elements: Elements, tag: Tag) -> str:
    """A text value, read in the character set that the header names."""
    encoding = CHARACTER_SETS.get(text(elements, Tag.SpecificCharacterSet), "ascii")
    raw = elements.values.get(tag, b"")[: 4 * LONGEST]
    return raw.decode(encoding, "backslashreplace").strip("\0 ")[:LONGEST]

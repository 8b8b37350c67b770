"""The values of an input that point to a patient, and whether some bytes hold one of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tomosurf.deidentify.options import DeidentifyOptions
from tomosurf.deidentify.profile import KEPT, action_of

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.dataelem import DataElement

TEXT_VRS = frozenset({"AE", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
SEARCHED_VRS = TEXT_VRS | {"AS", "CS", "UN", "OB"}
"""Where a value is looked for element by element; numbers and UIDs are checked as what they are."""
CODECS = ("utf-8", "latin-1", "iso2022_jp", "iso2022_kr", "shift_jis", "euc_jp", "euc_kr", "gb18030", "big5")
LEAST_WORD, LEAST_NUMBER, ANYWHERE = 3, 6, 8
"""Least characters of a word, least digits of a number; bytes from which a word may stand inside another."""
DESCRIPTIONS = frozenset({"SeriesDescription", "ProtocolName"})
"""Free text of which words may stay."""
DESCRIPTIVE = re.compile(r"Description|Comment|ProtocolName|Reason|Meaning")
_OWN_WORDS = """
    anonymous contrast unknown none yes no removed modified original derived primary secondary axial localizer
    monochrome1 monochrome2 dcm tomosurf basic application confidentiality profile clean descriptors option retain
    longitudinal temporal information dates patient characteristics uids ps3.15 listed all 20000101
"""
OWN_WORDS = frozenset(_OWN_WORDS.split())
"""What the output says of itself or needs as a defined term: never looked for."""
NUMERIC = re.compile(r"[0-9.]+")
UID_LIKE = re.compile(rb"[0-9][0-9.]{9,63}")
LONGEST = 1024
"""Characters: longer texts are looked for line by line only."""


class Identifiers:
    """Identifying values of all files of an input, each with the keyword of one attribute that holds it.

    Looked for are: names and their components, dates, UIDs, and every text that the output may not keep. Of texts
    that only describe (descriptions, comments, private elements), those that also stand in a kept attribute are
    left out; so are words under three characters, numbers under six digits and :data:`OWN_WORDS`.
    """

    def __init__(self) -> None:
        self.uids: set[str] = set()
        self._strong: dict[str, str] = {}
        self._weak: dict[str, str] = {}
        self._raw: dict[bytes, str] = {}
        self._kept: set[str] = set()
        self._words: re.Pattern[bytes] | None = None
        self._anywhere: dict[bytes, str] = {}
        self._attributes: dict[bytes, str] = {}

    def collect(self, dataset: Dataset, options: DeidentifyOptions) -> None:
        """Take the values of one header, at every depth of its sequences."""
        self._words = None
        for element, raw in elements_of(dataset):
            name = element.keyword or (
                "a private element" if element.tag.is_private else "an unknown element"
            )
            if element.VR == "UI":
                self.uids.update(uid for uid in values_of(element) if not well_known(uid))
            elif element.VR in ("DA", "DT"):
                for value in values_of(element):
                    self._put(self._strong, value[:8], name)
            elif element.VR == "PN":
                self._person(element, raw, name)
            elif element.keyword in KEPT and not action_of(element.tag):
                self._kept.update(v.casefold() for v in values_of(element) if element.VR in SEARCHED_VRS)
            elif options.clean_descriptors and element.keyword in DESCRIPTIONS:
                continue  # its words stay
            elif element.VR in TEXT_VRS or (element.VR in ("UN", "OB") and element.tag.is_private):
                self._text(element, raw, name)

    def _person(self, element: DataElement, raw: bytes, name: str) -> None:
        for value in values_of(element):
            for part in (value, *re.split(r"[\^=\s,]+", value)):
                self._put(self._strong, part, name)
        self._raw_put(raw, name)

    def _text(self, element: DataElement, raw: bytes, name: str) -> None:
        strong = bool(action_of(element.tag)) and not DESCRIPTIVE.search(name)
        target = self._strong if strong else self._weak
        for value in values_of(element):
            for line in value.splitlines():
                if line.isprintable() and len(line) <= LONGEST:
                    self._put(target, line, name)
        if strong:
            self._raw_put(raw, name)

    def _put(self, target: dict[str, str], text: str, name: str) -> None:
        text = text.strip("\0 ")
        least = LEAST_NUMBER if NUMERIC.fullmatch(text) else LEAST_WORD if text.isascii() else LEAST_WORD - 1
        if len(text) >= least and text.casefold() not in OWN_WORDS and not well_known(text):
            target.setdefault(text, name)

    def _raw_put(self, raw: bytes, name: str) -> None:
        raw = raw.strip(b"\0 ")
        if not raw.isascii() or b"\x1b" in raw:
            self._raw.setdefault(raw, name)

    def _prepare(self) -> re.Pattern[bytes]:
        """Everything in all its encodings, ready to be looked for."""
        if self._words is not None:
            return self._words
        kept = " ".join(sorted(self._kept))
        texts = {
            text: name for text, name in self._weak.items() if text.casefold() not in kept
        } | self._strong
        known = dict(self._raw)
        for text, name in texts.items():
            known |= {encoded: name for encoded in _encoded(text) if len(encoded) >= LEAST_WORD}
        self._attributes = {encoded.lower(): name for encoded, name in known.items()}
        self._anywhere = {e: n for e, n in known.items() if len(e) >= ANYWHERE and not e.isdigit()}
        ordered = sorted(known, key=lambda encoded: (-len(encoded), encoded))
        self._words = re.compile(b"|".join(map(_bounded, ordered)) or rb"(?!)", re.IGNORECASE)
        return self._words

    def in_text(self, text: bytes) -> str:
        """The keyword of an attribute whose value stands in ``text``, the value of one element; else ""."""
        found = self._prepare().search(text)
        return self._attributes.get(found.group().lower(), "an attribute") if found else ""

    def in_file(self, content: bytes, header: int, *, uids: bool) -> str:
        """The same for a whole file, with ``uids`` for UIDs as well; its pixel data start near byte ``header``."""
        self._prepare()
        for encoded, name in self._anywhere.items():
            if encoded in content:
                return name
        for found in UID_LIKE.findall(content[:header]) if uids else ():
            if found.decode().rstrip(".") in self.uids:
                return "a UID"
        return ""


def elements_of(dataset: Dataset) -> Iterator[tuple[DataElement, bytes]]:
    """Every element at every depth but Pixel Data, decoded, and its bytes as they stood in the file."""
    for tag in sorted(dataset.keys()):
        if tag == 0x7FE00010:
            continue
        raw = getattr(dataset.get_item(tag), "value", b"")
        element = dataset[tag]
        if element.VR == "SQ":
            for item in element.value:
                yield from elements_of(item)
        else:
            yield element, raw if isinstance(raw, bytes) else b""


def values_of(element: DataElement) -> list[str]:
    """The values of an element as text; bytes as far as they are text."""
    value: Any = element.value
    if isinstance(value, bytes):
        value = value.strip(b"\0 ")
        return [value.decode("utf-8", "replace")] if 0 < len(value) <= LONGEST else []
    many = value if isinstance(value, list | tuple) or element.VM > 1 else [value]
    return [str(one) for one in many if one is not None and str(one)]


def well_known(uid: str) -> bool:
    """Whether a UID is one of the standard's own (PS3.6 annex A), which point to nobody."""
    from pydicom.uid import UID_dictionary

    return uid in UID_dictionary


def _encoded(text: str) -> set[bytes]:
    """``text`` in every encoding that can write it; UTF-16 in both byte orders."""
    found = set()
    for codec in ("ascii",) if text.isascii() else CODECS:
        try:
            found.add(text.encode(codec))
        except UnicodeEncodeError:
            continue
    return found | {text.encode("utf-16-le", "replace"), text.encode("utf-16-be", "replace")}


def _bounded(encoded: bytes) -> bytes:
    """The pattern of one value: numbers not inside longer ones, short words not inside longer ones."""
    escaped = re.escape(encoded)
    if encoded.isdigit():
        return rb"(?<![0-9.])" + escaped + rb"(?![0-9.])"
    if len(encoded) < ANYWHERE and encoded.isascii():
        return rb"(?<![0-9A-Za-z])" + escaped + rb"(?![0-9A-Za-z])"
    return escaped

"""One data set without its patient: what table E.1-1 and the list of kept attributes make of each element."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from tomosurf.deidentify.identifiers import DESCRIPTIONS, Identifiers, values_of, well_known
from tomosurf.deidentify.key import Key
from tomosurf.deidentify.options import DeidentifyOptions
from tomosurf.deidentify.profile import KEPT, action_of
from tomosurf.deidentify.vocabulary import cleaned

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.dataelem import DataElement

NUMBER = re.compile(r" *[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)? *", re.ASCII)
TIME = re.compile(r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?", re.ASCII)
DATE_TIME = re.compile(r"(\d{8})((?:\d{2}){0,3}(?:\.\d{1,6})?(?:[+-]\d{4})?)", re.ASCII)
AGE = re.compile(r"\d{3}[DWMY]", re.ASCII)
OLDEST = "090Y"
"""Ages above are written as this: few people are older, and so can be told."""
CHARACTERISTICS = frozenset({"PatientSex", "PatientAge", "PatientSize", "PatientWeight"})
DUMMY = {"DA": "20000101", "TM": "000000", "DT": "20000101000000"}
SCHEMES = frozenset({"SCT", "SRT", "SNM3", "DCM", "UCUM", "FMA"})
"""Coding schemes whose codes may stay; others may be a hospital's own."""


@dataclass(frozen=True, slots=True)
class Rules:
    """All that decides what becomes of an element; ``shift`` is in days, 0 when dates don't stay.

    ``dated``: keywords of dates and times that the object must have a value of, and that so get a dummy;
    ``emptied``: those that it must have, be it empty.
    """

    options: DeidentifyOptions
    key: Key
    identifiers: Identifiers
    shift: int
    dated: frozenset[str]
    emptied: frozenset[str]


def without_patient(dataset: Dataset, rules: Rules, *, nested: bool = False) -> Dataset:
    """A new data set with what may stay of ``dataset``, at every depth; pixel data are the same bytes."""
    from pydicom import Dataset as NewDataset

    result = NewDataset()
    for tag in sorted(dataset.keys()):
        if tag.is_private or tag.element == 0:
            continue
        element = dataset[tag]
        if element.keyword in KEPT and _sound(element) and not (nested and element.keyword == "PixelData"):
            _keep(element, rules, result)
    return result


def _sound(element: DataElement) -> bool:
    """Whether the element has the value representation that the standard gives it, so that no text hides in it."""
    from pydicom.datadict import dictionary_VR

    return element.VR in dictionary_VR(element.tag).split(" or ")


def _keep(element: DataElement, rules: Rules, result: Dataset) -> None:
    """Put into ``result`` what may stay of one element."""
    keyword, vr = element.keyword, element.VR
    if vr == "SQ":
        items = [without_patient(item, rules, nested=True) for item in element.value]
        items = [item for item in items if item.get("CodingSchemeDesignator", "DCM") in SCHEMES]
        if items or not element.value:
            result.add_new(element.tag, "SQ", items)
    elif vr in ("OB", "OW"):
        result.add(element)
    elif vr in ("DA", "TM", "DT"):
        _put_date(element, rules, result)
    else:
        action = action_of(element.tag)
        values = _texts(element, rules) if written_in_characters(vr) else None
        if values is not None:
            if values or (keyword not in CHARACTERISTICS and not action):
                result.add_new(element.tag, vr, values)
        elif not action:
            result.add(element)


def written_in_characters(vr: str) -> bool:
    """Whether values of this representation are written as characters."""
    return vr in ("AE", "AS", "CS", "DS", "IS", "LO", "LT", "PN", "SH", "ST", "UC", "UI", "UR", "UT")


def _texts(element: DataElement, rules: Rules) -> list[str]:
    """The values of an element of characters that may stay; none when one of them may not."""
    keyword, vr = element.keyword, element.VR
    values = _stored(element)
    if vr == "UI":
        return [uid if rules.options.retain_uids or well_known(uid) else rules.key.uid(uid) for uid in values]
    if vr in ("DS", "IS"):
        wanted = keyword not in CHARACTERISTICS or rules.options.retain_patient_characteristics
        return values if wanted and all(not v or NUMBER.fullmatch(v) for v in values) else []
    if keyword in CHARACTERISTICS:
        return _characteristic(keyword, values, rules)
    if keyword in DESCRIPTIONS:
        values = [cleaned(value) for value in values] if rules.options.clean_descriptors else []
    elif keyword == "ContrastBolusAgent":
        values = ["CONTRAST"] if any(values) else []
    elif action_of(element.tag):
        return []
    safe = all(v.isascii() and v.isprintable() and len(v) <= 64 for v in values)
    safe = safe and not any(rules.identifiers.in_text(v.encode()) for v in values)
    return values if safe else []


def _stored(element: DataElement) -> list[str]:
    """The values as they were written: a Decimal String keeps its digits."""
    value = element.value
    many = value if element.VM > 1 else [] if value is None or value == "" else [value]
    return [str(getattr(one, "original_string", one)) if one is not None else "" for one in many]


def _characteristic(keyword: str, values: list[str], rules: Rules) -> list[str]:
    if not rules.options.retain_patient_characteristics or len(values) != 1:
        return []
    if keyword == "PatientSex":
        return values if values[0] in ("M", "F", "O") else []
    if not AGE.fullmatch(values[0]):
        return []
    return [min(values[0], OLDEST)] if values[0].endswith("Y") else values


def _put_date(element: DataElement, rules: Rules, result: Dataset) -> None:
    """A date or time: moved, a dummy, empty or gone."""
    keyword, vr = element.keyword, element.VR
    values = values_of(element)
    moved = [_moved(value, vr, rules.shift) for value in values] if rules.shift else []
    if moved and all(moved):
        result.add_new(element.tag, vr, moved)
    elif keyword in rules.dated:
        result.add_new(element.tag, vr, DUMMY[vr])
    elif keyword in rules.emptied:
        result.add_new(element.tag, vr, "")


def _moved(value: str, vr: str, days: int) -> str:
    """A date ``days`` earlier, a time as it is; "" when it can't be read."""
    if vr == "TM":
        return value if TIME.fullmatch(value) else ""
    found = DATE_TIME.fullmatch(value)
    if found is None or (vr == "DA" and found[2]):
        return ""
    try:
        day = datetime.strptime(found[1], "%Y%m%d") - timedelta(days=days)  # a day of the calendar, nowhere
    except (ValueError, OverflowError):
        return ""
    return f"{day.year:04d}{day.month:02d}{day.day:02d}{found[2]}"

"""Which of a model's segments is which of a data set's structures: by name, never by a silent guess."""

from __future__ import annotations

import re
from collections.abc import Mapping

from tomosurf.data.finding import Finding
from tomosurf.errors import ConfigError

Labels = Mapping[str, tuple[int, ...]]
"""Name to label values."""


def match(
    structures: Labels, offered: Labels, chosen: Mapping[str, str], named: bool
) -> tuple[dict[str, str], tuple[Finding, ...]]:
    """Structure to segment, in the order of the structures, and what has no partner.

    In this order: what was ``chosen``; equal names, whatever their case and punctuation; a structure all of whose
    words are in one segment's name only, and no other structure's, where the label values agree too ("Anterior"
    and "hippocampus_anterior"); and, only for a data set that names none of its labels, equal label values.

    Args:
        structures: of the data set.
        offered: of the model or the predictions.
        chosen: structure to segment, as the caller says.
        named: False when the data set gives its labels no names.

    Raises:
        ConfigError: a chosen name doesn't exist, or nothing matches.
    """
    unknown = [name for name in chosen if name not in structures]
    unknown += [name for name in chosen.values() if name not in offered]
    if unknown:
        raise ConfigError(
            f"--map: {', '.join(unknown)} is neither a structure nor a segment; {_both(structures, offered)}"
        )
    pairs: dict[str, str] = {}
    findings: list[Finding] = []
    for name, values in structures.items():
        partner, how = _partner(name, values, offered, named)
        partner, how = (chosen[name], "") if name in chosen else (partner, how)
        if partner is None or partner in pairs.values():
            text = f"{name} isn't predicted under this name and wasn't scored; --map {name}=SEGMENT says by which."
            findings.append(Finding("unmatched_structure", "warning", text, name))
            continue
        pairs[name] = partner
        if how:
            findings.append(Finding("matched_names", "info", f"{name} was taken for {partner}: {how}.", name))
    if not pairs:
        raise ConfigError(
            f"no structure of the data set is predicted; {_both(structures, offered)}; use --map"
        )
    left = [name for name in offered if name not in pairs.values()]
    if left:
        text = f"Predicted, but not in the data set, and not scored: {', '.join(left)}."
        findings.append(Finding("unmatched_segment", "info", text))
    return pairs, tuple(findings)


def _partner(name: str, values: tuple[int, ...], offered: Labels, named: bool) -> tuple[str | None, str]:
    for other in offered:
        if _words(other) == _words(name):
            return other, ""
    same = [other for other, own in offered.items() if own == values and values]
    if not named:
        return (same[0], f"the data set names no label, and both have {values[0]}") if same else (None, "")
    holding = [other for other in offered if set(_words(name)) <= set(_words(other))]
    if len(holding) == 1 and holding == same:
        return holding[0], "its name holds all the words, and the label is the same"
    return None, ""


def _words(name: str) -> tuple[str, ...]:
    return tuple(re.findall(r"[a-z]+|[0-9]+", name.lower()))


def _both(structures: Labels, offered: Labels) -> str:
    return f"the data set has {', '.join(structures)}; predicted are {', '.join(offered)}"

"""Names of reconstruction kernels, which every maker of scanners chooses differently."""

from __future__ import annotations

import re
from typing import Literal

Kind = Literal["soft", "hard", ""]

NAMED: tuple[tuple[Kind, frozenset[str]], ...] = (
    ("soft", frozenset({"SOFT", "STANDARD", "STND", "CHST", "A", "B"})),
    ("hard", frozenset({"BONE", "BONEPLUS", "LUNG", "EDGE", "ULTRA", "D", "E", "L"})),
)
"""Kernels with names of their own: GE's words, Philips' letters."""
NUMBERED = re.compile(r"[A-Z][A-Z]?(\d\d)[A-Z]?(?:[\\ ].*)?")
"""Siemens: one or two letters, the sharpness from 10 to 80, and letters for the algorithm ("B31f", "Br40d")."""
HARD_FROM = 50
FILTER = re.compile(r"FC(\d\d)[A-Z]?")
"""Canon and Toshiba: FC and a number whose first digit is the family."""


def kind_of(kernel: str) -> Kind:
    """ "soft" or "hard" by a Convolution Kernel's name; "" when the name doesn't say.

    A guess by convention, good for a preference among series that are all usable: nothing but the choice
    of a series may hang on it.

    >>> kind_of("B31f"), kind_of("BONEPLUS"), kind_of("FC51"), kind_of("my own")
    ('soft', 'hard', 'hard', '')
    """
    name = kernel.strip().upper()
    for kind, names in NAMED:
        if name in names:
            return kind
    if filtered := FILTER.fullmatch(name):
        family = int(filtered.group(1)) // 10
        return "soft" if family <= 2 else "hard" if family in (3, 5, 8) else ""
    if numbered := NUMBERED.fullmatch(name):
        return "hard" if int(numbered.group(1)) >= HARD_FROM else "soft"
    return ""

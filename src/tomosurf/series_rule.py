"""Which series a protocol takes: what it requires, and what it prefers by how much."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from tomosurf.frozen import Frozen

MAX_REPEATS = 4
"""Quantifiers that a pattern may have, and groups."""
_ATOMS = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?[:=!]|\)?[*+?{][?+]?|.", re.DOTALL)
_REPEAT = re.compile(r"\)?[*+?{][+?]?")


def bounded_pattern(pattern: str) -> str:
    """``pattern`` itself, when no text of 64 characters can make it slow.

    Header text is hostile: in `(a+)+$` a repeat inside a repeat takes time exponential in the text's length. So
    a group can't be repeated, and there are at most ``MAX_REPEATS`` quantifiers and groups: time is then a
    polynomial of the text's length, which is at most 64 characters for these attributes (VR LO, PS3.5 section
    6.2) and is cut there.

    Raises:
        ValueError: it isn't a regular expression, or of another kind.
    """
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"no regular expression ({error})") from None
    atoms = _ATOMS.findall(pattern)
    if any(re.match(r"\\[1-9]", atom) for atom in atoms) or any(
        atom == "(" and follower.startswith("?") for atom, follower in pairwise(atoms)
    ):
        raise ValueError("groups are plain, (?:...), (?=...) or (?!...), and aren't referred to")
    repeats = [atom for atom in atoms if _REPEAT.fullmatch(atom)]
    if any(atom.startswith(")") and atom[1] != "?" for atom in repeats):
        raise ValueError("a group can't be repeated: hostile text would take forever to match")
    if max(len(repeats), sum(atom.startswith("(") for atom in atoms)) > MAX_REPEATS:
        raise ValueError(
            f"more than {MAX_REPEATS} quantifiers or groups: hostile text would take long to match"
        )
    return pattern


Pattern = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(bounded_pattern)]
"""A regular expression, searched without regard to case."""
Words = Annotated[tuple[Annotated[str, Field(min_length=1, max_length=64)], ...], Field(min_length=1)]


class Span(Frozen):
    """An interval, both ends included; an end that isn't given is open."""

    lowest: float | None = None
    highest: float | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Span:
        if self.lowest is None and self.highest is None:
            raise ValueError("lowest or highest is needed")
        if self.lowest is not None and self.highest is not None and self.lowest > self.highest:
            raise ValueError("lowest must not be above highest")
        return self


class Criteria(Frozen):
    """What can be asked of a series; what isn't given isn't asked.

    Args:
        body_part, exclude_body_part: values of Body Part Examined, any of them, or none of them.
        description, exclude_description: patterns that Series Description must, or mustn't, match.
        phase: words, any of them, whole, in Series Description or Protocol Name: "arterial", "portal venous".
        kernel: values of Convolution Kernel, any of them.
        kernel_pattern: a pattern that Convolution Kernel must match.
        kernel_kind: "soft" or "hard", as :func:`tomosurf.kernels.kind_of` reads the kernel's name.
        contrast: whether a Contrast/Bolus Agent is named. A header that says nothing counts as no.
        derived: whether Image Type may (must) say DERIVED: true or false.
        orientation: the plane that slices are closest to, less than 45 degrees from it.
        slice_thickness_mm: Slice Thickness of every slice.
        slice_step_mm: distance between neighbouring slices, from their positions.
        pixel_spacing_mm: distance between voxels in the slice, both of them.
        slices: how many.
        extent_mm: the longest edge of the volume's box.
        stack_mm: first to last slice, along the normal.
    """

    body_part: Words | None = None
    exclude_body_part: Words | None = None
    description: Pattern | None = None
    exclude_description: Pattern | None = None
    phase: Words | None = None
    kernel: Words | None = None
    kernel_pattern: Pattern | None = None
    kernel_kind: Literal["soft", "hard"] | None = None
    contrast: bool | None = None
    derived: bool | None = None
    orientation: Literal["axial", "coronal", "sagittal", "any"] | None = None
    slice_thickness_mm: Span | None = None
    slice_step_mm: Span | None = None
    pixel_spacing_mm: Span | None = None
    slices: Span | None = None
    extent_mm: Span | None = None
    stack_mm: Span | None = None


class Preference(Criteria):
    """Criteria that, all met, add ``weight`` to a series' score."""

    weight: float = Field(default=1.0, gt=0, le=1000)

    @model_validator(mode="after")
    def _asks_something(self) -> Preference:
        if self.model_fields_set <= {"weight"}:
            raise ValueError("a preference asks for something")
        return self


class SeriesRule(Frozen):
    """Which series a protocol takes: modality, least number of slices, largest box in mm (sorted edges), and more.

    ``require`` must be met; ``prefer`` gives a series that meets it a higher score. ``take`` "best" uses the
    one with the highest score, and of those the one with the most voxels; "all" builds every series that fits.
    """

    modality: str
    min_slices: int = Field(default=3, ge=2)
    max_extent_mm: float | None = Field(default=None, gt=0)
    take: Literal["best", "all"] = "best"
    require: Criteria = Criteria()
    prefer: tuple[Preference, ...] = ()

    @model_serializer(mode="wrap")
    def _without_what_is_not_asked(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A rule that asks for nothing new keeps the digest that its protocol always had."""
        content: dict[str, Any] = handler(self)
        content["require"] = {key: v for key, v in content["require"].items() if v is not None}
        content["prefer"] = [
            {key: v for key, v in entry.items() if v is not None} for entry in content["prefer"]
        ]
        return {key: v for key, v in content.items() if key not in ("require", "prefer") or v}

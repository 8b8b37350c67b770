"""Which series of a study a protocol takes, and why: from headers and geometry, before any pixel is read.

Reasons name the rule and numbers of the geometry, never a header's text: a description can name a patient.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import prod, sqrt
from types import MappingProxyType
from typing import Any

from tomosurf.data.geometry import Geometry
from tomosurf.data.series import Series
from tomosurf.kernels import kind_of
from tomosurf.series_rule import Criteria, Preference, SeriesRule, Span

PLANES = ("sagittal", "coronal", "axial")
"""The plane whose normal is the LPS axis of that number."""
WITHIN_45_DEGREES = sqrt(0.5)
LONGEST_TEXT = 64
"""Characters of a header's text that a pattern sees; see :func:`tomosurf.series_rule.bounded_pattern`."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a series was taken; its score, None when it doesn't fit; why, in plain words."""

    series: str
    taken: bool
    score: float | None
    reasons: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for ``--json``."""
        return {
            "series": self.series,
            "taken": self.taken,
            "score": self.score,
            "reasons": list(self.reasons),
        }


@dataclass(frozen=True, slots=True)
class Choice:
    """The series that are taken, best first, and a verdict on every one, in the order of their digests."""

    taken: tuple[Series, ...]
    considered: tuple[Verdict, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Candidate:
    series: Series
    geometry: Geometry
    score: float
    reasons: tuple[str, ...]

    @property
    def rank(self) -> tuple[float, int, str]:
        """Ascending from the best; the digest makes a tie come out the same every time."""
        return -self.score, -prod(self.geometry.shape), self.series.digest


def choose(candidates: Iterable[tuple[Series, Geometry]], rule: SeriesRule) -> Choice:
    """Apply ``rule`` to series and the geometries that they would have as volumes.

    Their order doesn't matter. A series that meets every requirement is scored by the sum of the weights of
    the preferences that it meets; of equal scores the one with more voxels is better.
    """
    fitting: list[_Candidate] = []
    verdicts: list[Verdict] = []
    for series, geometry in candidates:
        if faults := _faults(series, geometry, rule):
            verdicts.append(Verdict(series.digest, taken=False, score=None, reasons=faults))
        else:
            score, reasons = _score(series, geometry, rule.prefer)
            fitting.append(_Candidate(series, geometry, score, reasons))
    fitting.sort(key=lambda candidate: candidate.rank)
    taken = fitting if rule.take == "all" else fitting[:1]
    verdicts += [Verdict(c.series.digest, True, c.score, ("fits", *c.reasons)) for c in taken]
    verdicts += [
        Verdict(c.series.digest, False, c.score, ("fits", *c.reasons, _lost(c, fitting[0])))
        for c in fitting[len(taken) :]
    ]
    return Choice(tuple(c.series for c in taken), tuple(sorted(verdicts, key=lambda v: v.series)))


def _faults(series: Series, geometry: Geometry, rule: SeriesRule) -> tuple[str, ...]:
    """Every requirement that isn't met."""
    faults = []
    if series.modality != rule.modality:
        faults.append(f"modality isn't {rule.modality}")
    if geometry.shape[2] < rule.min_slices:
        faults.append(f"{geometry.shape[2]} slices, at least {rule.min_slices} are needed")
    if rule.max_extent_mm is not None and max(geometry.extent) > rule.max_extent_mm:
        faults.append(f"extent of {max(geometry.extent):.4g} mm is above {rule.max_extent_mm:g} mm")
    return (*faults, *_unmet(series, geometry, rule.require))


def _score(
    series: Series, geometry: Geometry, preferences: Iterable[Preference]
) -> tuple[float, tuple[str, ...]]:
    """The sum of the weights of met preferences, and a reason for each preference."""
    score = 0.0
    reasons = []
    for preference in preferences:
        unmet = _unmet(series, geometry, preference)
        if unmet:
            reasons.append(f"+0 of {preference.weight:g}: {'; '.join(unmet)}")
        else:
            score += preference.weight
            asked = (name.replace("_", " ") for name in Criteria.model_fields if _asked(preference, name))
            reasons.append(f"+{preference.weight:g}: preferred {', '.join(asked)}")
    return score, tuple(reasons)


def _lost(candidate: _Candidate, best: _Candidate) -> str:
    """Why another series was taken instead."""
    if candidate.score < best.score:
        return f"another series scores higher ({best.score:g})"
    if prod(candidate.geometry.shape) < prod(best.geometry.shape):
        return "another series of the same score has more voxels"
    return "another series is as good; the digest decided"


def _asked(criteria: Criteria, name: str) -> bool:
    return getattr(criteria, name) is not None


def _unmet(series: Series, geometry: Geometry, criteria: Criteria) -> tuple[str, ...]:
    """What is asked and isn't so, in plain words."""
    return tuple(
        fault
        for name, test in TESTS.items()
        if _asked(criteria, name) and (fault := test(series, geometry, getattr(criteria, name)))
    )


Test = Callable[[Series, Geometry, Any], str]
"""What is wrong with a series by one criterion's value; "" when nothing is."""


def _body_part(series: Series, _: Geometry, parts: tuple[str, ...]) -> str:
    fits = series.hints.body_part in {part.upper() for part in parts}
    return "" if fits else f"body part isn't {' or '.join(parts)}"


def _exclude_body_part(series: Series, _: Geometry, parts: tuple[str, ...]) -> str:
    other = series.hints.body_part in {part.upper() for part in parts}
    return "body part is one of those that are excluded" if other else ""


def _description(series: Series, _: Geometry, pattern: str) -> str:
    return "" if _matches(pattern, series.hints.description) else "description doesn't match"


def _exclude_description(series: Series, _: Geometry, pattern: str) -> str:
    return "description matches what is excluded" if _matches(pattern, series.hints.description) else ""


def _phase(series: Series, _: Geometry, words: tuple[str, ...]) -> str:
    said = (series.hints.description, series.hints.protocol)
    patterns = [rf"(?<![^\W_]){re.escape(word)}(?![^\W_])" for word in words]
    if any(_matches(pattern, text) for pattern in patterns for text in said):
        return ""
    return f"no word says that the phase is {' or '.join(words)}"


def _kernels(series: Series) -> set[str]:
    """Every value of Convolution Kernel; "" for a slice without one."""
    return {instance.acquisition.kernel[:LONGEST_TEXT] for instance in series.instances}


def _kernel(series: Series, _: Geometry, names: tuple[str, ...]) -> str:
    wanted = {name.upper() for name in names}
    fits = all(wanted & {part.strip().upper() for part in k.split("\\")} for k in _kernels(series))
    return "" if fits else f"kernel isn't {' or '.join(names)}"


def _kernel_pattern(series: Series, _: Geometry, pattern: str) -> str:
    fits = all(_matches(pattern, kernel) for kernel in _kernels(series))
    return "" if fits else "kernel doesn't match"


def _kernel_kind(series: Series, _: Geometry, kind: str) -> str:
    fits = all(kind_of(kernel) == kind for kernel in _kernels(series))
    return "" if fits else f"kernel isn't known to be {kind}"


def _contrast(series: Series, _: Geometry, wanted: bool) -> str:
    if series.hints.contrast == wanted:
        return ""
    return "no contrast agent is named" if wanted else "a contrast agent is named"


def _derived(series: Series, _: Geometry, wanted: bool) -> str:
    if series.hints.derived == wanted:
        return ""
    return "images aren't derived" if wanted else "images are derived"


def _orientation(_: Series, geometry: Geometry, plane: str) -> str:
    if plane == "any":
        return ""
    along = abs(float(geometry.slice_normal[PLANES.index(plane)]))
    return "" if along > WITHIN_45_DEGREES else f"slices aren't {plane}"


def _slice_thickness(series: Series, _: Geometry, span: Span) -> str:
    each = [instance.slice_thickness for instance in series.instances]
    known = [thickness for thickness in each if thickness is not None]
    if len(known) < len(each):
        return "slice thickness isn't given"
    return _outside("slice thickness", known, span, " mm")


def _slice_step(_: Series, geometry: Geometry, span: Span) -> str:
    return _outside("slice step", [geometry.slice_step], span, " mm")


def _pixel_spacing(_: Series, geometry: Geometry, span: Span) -> str:
    return _outside("pixel spacing", geometry.spacing[:2], span, " mm")


def _slices(_: Series, geometry: Geometry, span: Span) -> str:
    return _outside("number of slices", [geometry.shape[2]], span, "")


def _extent(_: Series, geometry: Geometry, span: Span) -> str:
    return _outside("extent", [max(geometry.extent)], span, " mm")


def _stack(_: Series, geometry: Geometry, span: Span) -> str:
    return _outside("length of the stack", [(geometry.shape[2] - 1) * geometry.slice_step], span, " mm")


def _matches(pattern: str, text: str) -> bool:
    """Whether ``text`` has the pattern in it; patterns were found harmless when the protocol was read."""
    return re.search(pattern, text[:LONGEST_TEXT], re.IGNORECASE) is not None


def _outside(what: str, values: Iterable[float], span: Span, unit: str) -> str:
    """What is wrong with values that aren't all in ``span``; 1e-6 of an end is rounding."""
    for value in values:
        if span.lowest is not None and value < span.lowest - 1e-6 * abs(span.lowest):
            return f"{what} of {value:.4g}{unit} is below {span.lowest:g}{unit}"
        if span.highest is not None and value > span.highest + 1e-6 * abs(span.highest):
            return f"{what} of {value:.4g}{unit} is above {span.highest:g}{unit}"
    return ""


TESTS: Mapping[str, Test] = MappingProxyType(
    {
        "body_part": _body_part,
        "exclude_body_part": _exclude_body_part,
        "description": _description,
        "exclude_description": _exclude_description,
        "phase": _phase,
        "kernel": _kernel,
        "kernel_pattern": _kernel_pattern,
        "kernel_kind": _kernel_kind,
        "contrast": _contrast,
        "derived": _derived,
        "orientation": _orientation,
        "slice_thickness_mm": _slice_thickness,
        "slice_step_mm": _slice_step,
        "pixel_spacing_mm": _pixel_spacing,
        "slices": _slices,
        "extent_mm": _extent,
        "stack_mm": _stack,
    }
)
"""One test for every field of ``Criteria``."""

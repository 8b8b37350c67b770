"""All checks, in one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from tomosurf.data.case import Case
from tomosurf.data.finding import Finding
from tomosurf.registry import CHECKS

ORDER: Mapping[str, int] = MappingProxyType({"error": 0, "warning": 1, "info": 2})
"""Severities, the worst first."""


def run_checks(case: Case, names: Sequence[str] | None = None) -> tuple[Finding, ...]:
    """Everything that the checks have to say about ``case``, the worst first.

    Args:
        case: with label maps, scene and measurements.
        names: checks to run (``tomosurf.registry.CHECKS``); all of them, when None.

    Raises:
        UnknownNameError: a check isn't registered.
    """
    findings: list[Finding] = []
    for name in CHECKS.names() if names is None else names:
        findings += CHECKS.load(name)(case)
    return tuple(sorted(findings, key=lambda finding: ORDER[finding.severity]))

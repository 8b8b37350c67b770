"""What a check has to say about a case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

Severity = Literal["info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One result of one check; severity "error" marks the whole case *not for use* (exit code 4).

    ``segment`` names the structure concerned, or "" for the case. ``data`` holds the numbers behind it.
    """

    check: str
    severity: Severity
    message: str
    segment: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", MappingProxyType(dict(self.data)))

    def as_dict(self) -> dict[str, Any]:
        """Plain values for ``--json`` and the manifest."""
        return {
            "check": self.check,
            "severity": self.severity,
            "message": self.message,
            "segment": self.segment,
            "data": dict(self.data),
        }

"""Whether a surface shows a person's face, and what was done about it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

FacePolicy = Literal["refuse", "blunt", "keep"]
"""What happens to a surface that shows a face: it isn't written, is written without features, or as it is."""

FaceAction = Literal["withheld", "blunted", "kept"]
"""What was done to one surface."""


@dataclass(frozen=True, slots=True)
class Face:
    """One structure whose surface shows a face, or may: its name, what was done, and what speaks for a head."""

    segment: str
    action: FaceAction
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """Plain values for files and findings."""
        return asdict(self)

"""Which structures touch each other."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Adjacency:
    """Two segments that share a wall, by name, and the area of the wall in mm2."""

    first: str
    second: str
    area_mm2: float

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

"""The six standard views of a patient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

DIRECTIONS: Mapping[str, tuple[Sequence[float], Sequence[float]]] = MappingProxyType(
    {
        "anterior": ((0, 1, 0), (0, 0, 1)),
        "posterior": ((0, -1, 0), (0, 0, 1)),
        "left": ((-1, 0, 0), (0, 0, 1)),
        "right": ((1, 0, 0), (0, 0, 1)),
        "superior": ((0, 0, -1), (0, -1, 0)),
        "inferior": ((0, 0, 1), (0, -1, 0)),
    }
)
"""View to the direction of sight and the direction that is up, both LPS."""

"""How far a surface is from what it was made of, step by step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tomosurf.errors import DataError


@dataclass(frozen=True, slots=True)
class Distances:
    """Distances between two surfaces in mm; ``mean_mm`` and ``p95_mm`` weigh by area.

    Of two meshes they are taken both ways, the larger each time, and ``max_mm`` bounds every point of either.
    """

    mean_mm: float
    p95_mm: float
    max_mm: float

    def __post_init__(self) -> None:
        if not self.mean_mm >= 0 or not self.p95_mm >= 0 or not 0 <= self.max_mm < float("inf"):
            raise DataError("distances are finite and not below zero")

    def __add__(self, other: Distances) -> Distances:
        """What two steps, one after the other, can add up to."""
        return Distances(self.mean_mm + other.mean_mm, self.p95_mm + other.p95_mm, self.max_mm + other.max_mm)


NOWHERE = Distances(0.0, 0.0, 0.0)
"""The distances of a surface from itself."""


@dataclass(frozen=True, slots=True)
class ErrorStep:
    """What one step did to a surface: its name, the distances, and the change of the enclosed volume in mm3."""

    step: str
    distances: Distances
    volume_change_mm3: float = 0.0


@dataclass(frozen=True, slots=True)
class ErrorBudget:
    """The error of one structure's surface.

    ``steps`` are what was done to it, in order, each measured against what it was before; the first one against
    the boundary that the segmentation describes. ``sampling`` bounds what the segmentation itself can't know of the
    structure's true boundary, because it only knows it at voxels.
    """

    steps: tuple[ErrorStep, ...]
    sampling: Distances = NOWHERE

    @property
    def total(self) -> Distances:
        """From the surface to the segmentation's boundary, all steps together: distances add up at most."""
        return sum((step.distances for step in self.steps), NOWHERE)

    @property
    def bound(self) -> Distances:
        """From the surface to the structure's true boundary, if the segmentation is right at every voxel."""
        return self.total + self.sampling

    @property
    def volume_change_mm3(self) -> float:
        """Of all steps together."""
        return sum(step.volume_change_mm3 for step in self.steps)

    def after(self, step: ErrorStep) -> ErrorBudget:
        """The same with one more step at its end."""
        return ErrorBudget((*self.steps, step), self.sampling)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for the manifest and ``--json``."""
        return {
            "steps": tuple(
                {"step": s.step, **asdict(s.distances), "volume_change_mm3": s.volume_change_mm3}
                for s in self.steps
            ),
            "sampling": asdict(self.sampling),
            "total": {**asdict(self.total), "volume_change_mm3": self.volume_change_mm3},
            "bound": asdict(self.bound),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> ErrorBudget:
        """What :meth:`as_dict` gave."""
        steps = (
            ErrorStep(s["step"], Distances(s["mean_mm"], s["p95_mm"], s["max_mm"]), s["volume_change_mm3"])
            for s in content["steps"]
        )
        return cls(tuple(steps), Distances(**content["sampling"]))

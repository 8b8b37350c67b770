"""A placement held against its bounds: what fails is told, with the number and the bound."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tomosurf.data.codes import refusal
from tomosurf.data.geometry import Geometry
from tomosurf.errors import InputRefused
from tomosurf.localise_rule import Gates
from tomosurf.segment.localise.quality import Quality

_CONTRAST = "the tissues don't have T1's contrast"
_LEAST = (
    ("information", "nats", "no such head"),
    ("coverage", "", "most of the brain isn't in the image"),
    ("agreement", "", "no two ways led to one place"),
    ("white_over_grey", "sd", _CONTRAST),
    ("grey_over_fluid", "sd", _CONTRAST),
    ("overlap", "", "the brain's outline isn't there"),
)
"""What of a placement's quality has a least value, its unit, and what less of it means."""

_MOST = (
    ("tilt_degrees", "degrees", "turned too far"),
    ("shear", "", "the head would be leaning"),
)
"""The same with a greatest value."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One gate that didn't hold: its name, what was measured, in which unit, and what that means."""

    gate: str
    value: float
    bound: float
    unit: str
    meaning: str

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        return f"{self.meaning} ({self.gate}: {self.value:.3g}{unit}, bound {self.bound:g})"


def refused(failures: tuple[Failure, ...], series: str) -> InputRefused:
    """The refusal of a series that fails some gates, every one of them told."""
    told = "; ".join(str(failure) for failure in failures)
    return refusal("not_localised", f"no structure was looked for: {told}", series=series)


def resolution_failures(grid: Geometry, gates: Gates) -> tuple[Failure, ...]:
    """What is wrong with an image before anything is looked for in it."""
    longest = max(*grid.spacing, grid.slice_step)
    if longest <= gates.largest_voxel_mm:
        return ()
    meaning = "slices this thick don't show the structure; use a scan of about 1 mm"
    return (Failure("largest_voxel_mm", longest, gates.largest_voxel_mm, "mm", meaning),)


def placement_failures(quality: Quality, boxes: Mapping[str, float], gates: Gates) -> tuple[Failure, ...]:
    """Every bound that a placement doesn't keep; ``boxes``: for each side the share of its box in the image."""
    return tuple(_failures(quality, boxes, gates))


def _failures(quality: Quality, boxes: Mapping[str, float], gates: Gates) -> Iterator[Failure]:
    """A value that isn't a number keeps no bound."""
    for name, unit, meaning in _LEAST:
        gate = f"least_{name}{'_nats' if unit == 'nats' else ''}"
        value, bound = getattr(quality, name), getattr(gates, gate)
        if not value >= bound:
            yield Failure(gate, value, bound, unit, meaning)
    for name, unit, meaning in _MOST:
        value, bound = getattr(quality, name), getattr(gates, f"most_{name}")
        if not value <= bound:
            yield Failure(f"most_{name}", value, bound, unit, meaning)
    low, high = gates.scale
    if not quality.scales[2] >= low:
        yield Failure("scale", quality.scales[2], low, "", "the head would be too small")
    if not quality.scales[0] <= high:
        yield Failure("scale", quality.scales[0], high, "", "the head would be too large")
    for side, share in boxes.items():
        if not share >= gates.least_box_coverage:
            meaning = f"the {side} side isn't in the image"
            yield Failure("least_box_coverage", share, gates.least_box_coverage, "", meaning)

"""A placement held against its bounds: what fails is told, with the number and the bound."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tomosurf.data.geometry import Geometry
from tomosurf.localise_rule import Gates
from tomosurf.segment.localise.quality import Quality


@dataclass(frozen=True, slots=True)
class Failure:
    """One gate that didn't hold: its name, what was measured, in which unit, and what that means."""

    gate: str
    value: float
    bound: float
    unit: str
    meaning: str

    def as_dict(self) -> dict[str, str | float]:
        """Plain values for a manifest."""
        return {
            "gate": self.gate,
            "value": round(self.value, 4),
            "bound": self.bound,
            "unit": self.unit,
            "meaning": self.meaning,
        }


def resolution_failures(grid: Geometry, gates: Gates) -> tuple[Failure, ...]:
    """What is wrong with an image before anything is looked for in it."""
    longest = max(*grid.spacing, grid.slice_step)
    meaning = "slices this thick don't show the structure; use a scan of about 1 mm"
    return _beyond([("largest_voxel_mm", longest, gates.largest_voxel_mm, "mm", meaning)], largest=True)


def placement_failures(quality: Quality, boxes: Mapping[str, float], gates: Gates) -> tuple[Failure, ...]:
    """Every bound that a placement doesn't keep; ``boxes``: for each side the share of its box in the image."""
    low, high = quality.scales[2], quality.scales[0]
    contrast = "the tissues don't have T1's contrast"
    return (
        *_beyond(
            [
                (
                    "least_information_nats",
                    quality.information,
                    gates.least_information_nats,
                    "nats",
                    "no such head",
                ),
                (
                    "least_coverage",
                    quality.coverage,
                    gates.least_coverage,
                    "",
                    "most of the brain isn't in the image",
                ),
                (
                    "least_agreement",
                    quality.agreement,
                    gates.least_agreement,
                    "",
                    "no two ways led to one place",
                ),
                ("scale", low, gates.scale[0], "", "the head would be too small"),
                (
                    "least_white_over_grey",
                    quality.white_over_grey,
                    gates.least_white_over_grey,
                    "sd",
                    contrast,
                ),
                (
                    "least_grey_over_fluid",
                    quality.grey_over_fluid,
                    gates.least_grey_over_fluid,
                    "sd",
                    contrast,
                ),
                (
                    "least_overlap",
                    quality.overlap,
                    gates.least_overlap,
                    "",
                    "the brain's outline isn't there",
                ),
                *(
                    (
                        "least_box_coverage",
                        share,
                        gates.least_box_coverage,
                        "",
                        f"the {side} side isn't in the image",
                    )
                    for side, share in boxes.items()
                ),
            ],
            largest=False,
        ),
        *_beyond(
            [
                (
                    "most_tilt_degrees",
                    quality.tilt_degrees,
                    gates.most_tilt_degrees,
                    "degrees",
                    "turned too far",
                ),
                ("scale", high, gates.scale[1], "", "the head would be too large"),
                ("most_shear", quality.shear, gates.most_shear, "", "the head would be leaning"),
            ],
            largest=True,
        ),
    )


def _beyond(measured: Iterable[tuple[str, float, float, str, str]], *, largest: bool) -> tuple[Failure, ...]:
    return tuple(Failure(*one) for one in measured if (one[1] > one[2] if largest else not one[1] >= one[2]))

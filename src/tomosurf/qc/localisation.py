"""Is what was found in a whole head plausible?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tomosurf.data.case import Case
from tomosurf.data.finding import Finding
from tomosurf.data.segmentation import Segmentation
from tomosurf.qc.voxels import voxel_counts


def check(case: Case) -> list[Finding]:
    """Report every gate that a structure localised in a whole head fails, as an error.

    The gates and their bounds come from the protocol. A head that the atlas doesn't fit is refused where it is laid
    out; volumes, their symmetry, positions and sides are judged here, after clean-up. Other segmentations aren't
    looked at.

    What a surgeon should make of it: the surfaces may show something else than their names say, or a hippocampus so
    ill that the network wasn't trained for it. Look at them on the images.
    """
    findings = []
    for segmentation in case.segmentations:
        told = segmentation.provenance.get("localise")
        if told is not None:
            findings += _plausibility(told, segmentation)
    return findings


def _plausibility(told: Mapping[str, Any], segmentation: Segmentation) -> list[Finding]:
    """What is odd about what was found."""
    gates, found = told["gates"], told["found"]
    counts = voxel_counts(segmentation)
    volumes = {
        side: sum(counts[segmentation.segments[n].label] for n in told["sides"][side])
        * segmentation.geometry.voxel_volume
        for side in found
    }
    low, high = gates["volume_mm3"]
    faults = [
        (
            f"the {side} side has {volume:.0f} mm3, from {low:g} to {high:g} mm3 is plausible",
            "volume_mm3",
            volume,
        )
        for side, volume in volumes.items()
        if not low <= volume <= high
    ]
    larger = max(volumes.values())
    symmetry = min(volumes.values()) / larger if larger else 0.0
    if symmetry < gates["least_symmetry"]:
        faults.append(
            (f"one side is {symmetry:.0%} of the other, at least {gates['least_symmetry']:.0%} is plausible",
             "least_symmetry", symmetry)
        )  # fmt: skip
    for side, one in found.items():
        if one["shift_mm"] > gates["most_shift_mm"]:
            faults.append(
                (f"the {side} side lies {one['shift_mm']:.1f} mm from where the atlas expects it", "most_shift_mm",
                 one["shift_mm"])
            )  # fmt: skip
        if one["reaches_box_end"]:
            faults.append((f"the {side} side reaches the end of the box it was looked for in", "box", 1.0))
    middles = [found[side]["middle_lps_mm"] for side in ("left", "right")]
    if None not in middles and not middles[0][0] > middles[1][0]:
        faults.append(("left and right are swapped against the patient's frame", "sides", 1.0))
    return [
        Finding(
            "localisation",
            "error",
            f"Not plausible: {fault}. Compare the surfaces with the images before any use.",
            data={"gate": gate, "value": value, "protocol": segmentation.protocol},
        )
        for fault, gate, value in faults
    ]

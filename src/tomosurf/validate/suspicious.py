"""Cases in which the reference may be what is wrong: listed apart, never averaged away, never taken out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tomosurf.validate.calibration import sure_share
from tomosurf.validate.record import Record
from tomosurf.validate.summary import figures_of

LEAST_CASES = 8
"""Fewer have no distribution to lie outside of."""

ROBUST_Z = 3.5
"""Iglewicz and Hoaglin, How to detect and handle outliers, 1993: beyond it a value is called an outlier."""

LEAST_GAP = 0.05
"""A Dice nearer to the median than this is never suspicious."""

SURE = 0.5
"""Of the wrong voxels, the share that the model must have held for right with 90 % or more."""

RULE = (
    f"With one prediction a case, a reference is suspicious when its Dice lies more than {ROBUST_Z:g} robust "
    f"standard deviations (1.4826 times the median absolute deviation) and more than {LEAST_GAP:g} below the "
    f"structure's median over at least {LEAST_CASES} cases; and, where the model gives doubt, when it was sure "
    "(at least 90 %) of at least half of the voxels in which they differ near the reference's boundary. "
    "Such a case may as well be a failure of the model: look at it."
)


def suspicious(records: Sequence[Record], structures: Sequence[str]) -> list[dict[str, Any]]:
    """Case, structure, Dice and the median of those that :data:`RULE` names, lowest first."""
    bins = {record.case: record.bins for record in records}
    found = []
    for structure in structures:
        cases, dice = figures_of(records, structure, "dice")
        if len(dice) < LEAST_CASES:
            continue
        median = float(np.median(dice))
        scale = 1.4826 * float(np.median(np.abs(dice - median)))
        for case, value in zip(cases, dice.tolist(), strict=True):
            gap = median - value
            counted = bins[case]
            sure = None if counted is None else sure_share(counted)
            if gap > LEAST_GAP and gap > ROBUST_Z * scale and (sure is None or sure >= SURE):
                found.append(
                    {
                        "case": case,
                        "structure": structure,
                        "dice": value,
                        "median": round(median, 5),
                        "sure": None if sure is None else round(sure, 3),
                    }
                )
    return sorted(found, key=lambda entry: (entry["dice"], entry["case"]))

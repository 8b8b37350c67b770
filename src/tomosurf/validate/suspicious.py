"""Cases in which the reference may be what is wrong: listed apart, never averaged away, never taken out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tomosurf.validate.calibration import sure_share
from tomosurf.validate.compare import open_earlier
from tomosurf.validate.record import Record
from tomosurf.validate.summary import figures_of
from tomosurf.validate.table import FILE, read_table

LEAST_CASES = 8
"""Fewer have no distribution to lie outside of."""

ROBUST_Z = 3.5
"""Iglewicz and Hoaglin, How to detect and handle outliers, 1993: beyond it a value is called an outlier."""

LEAST_GAP = 0.05
"""A Dice nearer to the median than this is never suspicious."""

SURE = 0.5
"""Of the wrong voxels, the share that the model must have held for right with 90 % or more."""

ONE = (
    f"With one prediction a case, a reference is suspicious when its Dice lies more than {ROBUST_Z:g} robust "
    f"standard deviations (1.4826 times the median absolute deviation) and more than {LEAST_GAP:g} below the "
    f"structure's median over at least {LEAST_CASES} cases; and, where the model gives doubt, when it was sure "
    "(at least 90 %) of at least half of the voxels in which they differ near the reference's boundary. "
    "Such a case may as well be a failure of the model: look at it."
)
SEVERAL = (
    "With {number} networks, a reference is suspicious when every one of them is far off it, each by its own "
    f"measure: a Dice more than {ROBUST_Z:g} robust standard deviations (1.4826 times the median absolute "
    f"deviation) and more than {LEAST_GAP:g} below that network's median of the structure over at least "
    f"{LEAST_CASES} cases; and, where this run's model gives doubt, when it was sure (at least 90 %) of at least "
    "half of the voxels in which they differ near the reference's boundary. What one network gets right, or has "
    "no figure for, isn't listed."
)


def rule(folds: Sequence[Path]) -> str:
    """When a reference is called suspicious, in words."""
    return SEVERAL.format(number=len(folds) + 1) if folds else ONE


def suspicious(
    records: Sequence[Record], structures: Sequence[str], folds: Sequence[Path] = ()
) -> list[dict[str, Any]]:
    """Case, structure, Dice and the median of those that :func:`rule` names, lowest first.

    Args:
        records: of this run.
        structures: to look at.
        folds: output folders of other networks' validations on the same cases; figures against another reference
            than this run's don't count.

    Raises:
        ConfigError: a folder is none of a finished validation.
    """
    bins = {record.case: record.bins for record in records}
    others = [_dice_of(folder, records) for folder in folds]
    found = []
    for structure in structures:
        cases, dice = figures_of(records, structure, "dice")
        own = _far(dict(zip(cases, dice.tolist(), strict=True)))
        agreeing = [_far(told.get(structure, {})) for told in others]
        for case, (value, median) in own.items():
            counted = bins[case]
            sure = None if counted is None else sure_share(counted)
            if all(case in far for far in agreeing) and (sure is None or sure >= SURE):
                found.append(
                    {
                        "case": case,
                        "structure": structure,
                        "dice": value,
                        "median": round(median, 5),
                        "sure": None if sure is None else round(sure, 3),
                        "other_dice": [far[case][0] for far in agreeing],
                    }
                )
    return sorted(found, key=lambda entry: (entry["dice"], entry["case"]))


def _far(dice: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    """The cases whose Dice lies far below the others', with it and the median of all."""
    if len(dice) < LEAST_CASES:
        return {}
    values = np.array(list(dice.values()))
    median = float(np.median(values))
    least = max(LEAST_GAP, ROBUST_Z * 1.4826 * float(np.median(np.abs(values - median))))
    return {case: (value, median) for case, value in dice.items() if median - value > least}


def _dice_of(folder: Path, records: Sequence[Record]) -> dict[str, dict[str, float]]:
    """Structure and case to Dice in another run, of the references that this run has too."""
    _, references = open_earlier(folder)
    same = {record.case for record in records if references.get(record.case) == record.reference_sha256}
    found: dict[str, dict[str, float]] = {}
    for (case, structure), figures in read_table(folder / FILE).items():
        if case in same and "dice" in figures:
            found.setdefault(structure, {})[case] = figures["dice"]
    return found

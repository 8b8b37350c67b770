"""The steps between slices along the normal: whether they are even, and a uniform grid for those that aren't."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.volume import LedgerEntry
from tomosurf.volume.tolerances import Tolerances

ON_GRID = 0.1
"""Largest part of a step by which a slice may be off the repaired grid and still count as on it; with
``Tolerances.min_step`` above twice as much, two slices never claim one place."""
Depths = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Unevenness:
    """What keeps slices from being a uniform stack.

    ``code`` is missing_slice or nonuniform_spacing, ``odd`` (n,) says at which slices, ``step`` is the usual
    step in mm. ``whole`` (n - 1,) counts the steps between neighbours where slices are missing, else None.
    """

    code: str
    message: str
    odd: NDArray[np.bool_]
    step: float
    whole: Depths | None = None


def unevenness(depths: Depths, tolerances: Tolerances) -> Unevenness | None:
    """What is uneven about slices at ``depths`` (mm along the normal, ascending); None when nothing is."""
    steps = np.diff(depths)
    step = float(np.sort(steps)[(len(steps) - 1) // 2])
    tolerance = tolerances.of(step)
    odd = np.abs(steps - step) > tolerance
    if not odd.any():
        return _drift(depths, step, tolerances)
    slices = np.append(odd, False) | np.append(False, odd)
    multiples = np.round(steps / step)
    if (multiples[odd] >= 2).all() and (np.abs(steps - multiples * step) <= tolerance * multiples).all():
        count = int((multiples[odd] - 1).sum())
        what = f"{count} missing between slices {step:.4g} mm apart"
        return Unevenness("missing_slice", what, slices, step, np.maximum(multiples, 1))
    what = f"steps from {steps.min():.4g} to {steps.max():.4g} mm"
    return Unevenness("nonuniform_spacing", what, slices, step)


def _drift(depths: Depths, step: float, tolerances: Tolerances) -> Unevenness | None:
    """Steps that differ too little to be odd each, but add up."""
    mean = (depths[-1] - depths[0]) / (len(depths) - 1)
    off = np.abs(depths - depths[0] - np.arange(len(depths)) * mean)
    odd = off > tolerances.of(mean)
    if not odd.any():
        return None
    what = f"slices are up to {off.max():.4g} mm off a uniform, straight stack"
    return Unevenness("nonuniform_spacing", what, odd, step)


def regular(depths: Depths, uneven: Unevenness, tolerances: Tolerances) -> Depths:
    """Where the slices lie on a uniform grid of the same extent: (n,) k, whole where one is on the grid.

    Missing slices leave the step as it is. For uneven steps, the grid has as few equal steps from the first to
    the last slice as keep it from being coarser than the median of the acquired steps (within the tolerance).
    """
    extent = depths[-1] - depths[0]
    if uneven.whole is not None:
        places = np.append(0.0, np.cumsum(uneven.whole))
        step = extent / places[-1]
        if (np.abs(depths - depths[0] - places * step) <= tolerances.of(step)).all():
            return places
    count = math.ceil(extent / (uneven.step + tolerances.of(uneven.step)) - 1e-9)
    step = extent / count
    places = (depths - depths[0]) / step
    nearest = np.round(places)
    kept = np.abs(places - nearest) * step <= min(tolerances.of(step), ON_GRID * step)
    snapped: Depths = np.where(kept, nearest, places)
    return snapped


def excess(depths: Depths, places: Depths, uneven: Unevenness, tolerances: Tolerances) -> Iterator[str]:
    """In what a repair would go beyond the tolerances, one phrase each; nothing when it stays within."""
    steps = np.diff(depths)
    if steps.min() < tolerances.min_step * uneven.step:
        least = tolerances.min_step * uneven.step
        yield f"slices at least {least:.4g} mm apart, here {steps.min():.4g} mm"
    row = math.ceil(float(np.diff(places).max()) - 1 - 1e-6)
    if row > tolerances.max_missing:
        yield f"at most {tolerances.max_missing} slices in a row, here {row}"
    wide = steps[steps > uneven.step + tolerances.of(uneven.step)]
    if wide.size and wide.max() > tolerances.max_gap_mm:
        yield f"gaps of at most {tolerances.max_gap_mm:g} mm, here {wide.max():.4g} mm"
    total = int(places[-1]) + 1
    added = total - len(places)
    if added > tolerances.max_added * total + 1e-9:
        yield f"at most {tolerances.max_added:.0%} more slices, here {added} of {total}"


def record(depths: Depths, places: Depths, uneven: Unevenness) -> tuple[LedgerEntry, ...]:
    """The ledger of a repair: what was found, and which slices of the volume weren't acquired."""
    total = int(places[-1]) + 1
    made = synthesised(places)
    kept = total - len(made)
    step = (depths[-1] - depths[0]) / (total - 1)
    unused = len(places) - kept
    found = uneven.message
    if unused:
        found += (
            f"; {unused} of {len(places)} acquired slices lie off the volume's and only lend their values"
        )
    how = (
        f"{len(made)} of {total} slices, {step:.4g} mm apart, weren't acquired: interpolated along the stack "
        "between acquired ones"
    )
    return (LedgerEntry(uneven.code, found, made), LedgerEntry("interpolated_slice", how, made))


def synthesised(places: Depths) -> tuple[int, ...]:
    """The k of the grid at which no acquired slice lies."""
    return tuple(sorted(set(range(int(places[-1]) + 1)) - {int(p) for p in places if p == int(p)}))


def carried(places: Depths, slices: list[int]) -> tuple[int, ...]:
    """The k of the grid whose values come from one of these acquired slices: itself, or a neighbour in depth."""
    found: set[int] = set()
    for n in slices:
        low, high = places[max(n - 1, 0)], places[min(n + 1, len(places) - 1)]
        inside = range(math.ceil(low), math.floor(high) + 1)
        found |= {k for k in inside if low < k < high or k == places[n]}
    return tuple(sorted(found))

"""Where slices lie along the normal of their stack, and whether they make one: from headers alone."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.series import Instance

MIN_SLICES = 3
"""Slices below which nobody can say that steps are uniform."""
DIRECTION_APART = 0.02
"""Difference of a direction cosine above which orientations are two; about one degree (unitless)."""
SAME_PLACE_MM = 0.01
"""Distance along the normal in mm below which two slices lie at the same place."""
STEP_FRACTION = 0.01
"""How far, as a fraction of the step, steps may differ (never less than ``SAME_PLACE_MM``)."""
NEAR_FRACTION = 0.1
"""How near, as a fraction of the step, a slice is to a place where a stack's next or missing one would lie."""


def normal_of(instances: Sequence[Instance]) -> NDArray[np.float64]:
    """The direction across the slices: row x column direction of the median orientation."""
    row, column = np.median([i.orientation for i in instances], axis=0).reshape(2, 3)
    return np.cross(row, column)


def depths_of(instances: Sequence[Instance], normal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Positions along ``normal`` in mm, in the order of ``instances``."""
    positions = np.array([i.position for i in instances])
    # summed product by product, so that a slice's depth doesn't depend on how many others there are
    depths: NDArray[np.float64] = (positions * normal).sum(axis=1)
    return depths


def places_of(instances: Sequence[Instance]) -> list[list[int]]:
    """Indices of slices that share a place, place by place along the normal."""
    depths = depths_of(instances, normal_of(instances))
    order = np.argsort(depths, kind="stable")
    starts = np.flatnonzero(np.diff(depths[order]) > SAME_PLACE_MM) + 1
    ordered: list[int] = order.tolist()
    return [ordered[a:b] for a, b in pairwise([0, *starts.tolist(), len(ordered)])]


def coincides(instances: Sequence[Instance]) -> bool:
    """Whether two of the slices lie at the same place."""
    return len(places_of(instances)) < len(instances)


def is_uniform(instances: Sequence[Instance]) -> bool:
    """Whether the slices, three at least, follow each other in equal steps."""
    if len(instances) < MIN_SLICES:
        return False
    steps = np.diff(np.sort(depths_of(instances, normal_of(instances))))
    step = float(np.median(steps))
    tolerance = max(STEP_FRACTION * step, SAME_PLACE_MM)
    return step > SAME_PLACE_MM and bool((np.abs(steps - step) <= tolerance).all())


def steps_are_multiples(instances: Sequence[Instance]) -> bool:
    """Whether all steps are whole multiples of the smallest: one stack, perhaps with slices missing."""
    steps = np.diff(np.sort(depths_of(instances, normal_of(instances))))
    least = float(steps.min()) if len(steps) else 0.0
    if least <= SAME_PLACE_MM:
        return True
    counts = np.round(steps / least)
    tolerance = np.maximum(STEP_FRACTION * least, SAME_PLACE_MM) * counts
    return bool((np.abs(steps - counts * least) <= tolerance).all())


def run_side_by_side(stacks: Sequence[Sequence[Instance]]) -> bool:
    """Whether every two of the stacks have more than half of the shorter one's extent in common."""
    normal = normal_of(stacks[0])
    depths = [depths_of(stack, normal) for stack in stacks]
    ranges = sorted((float(d.min()), float(d.max())) for d in depths)
    shortest = min(high - low for low, high in ranges)
    return max(low for low, _ in ranges) + shortest / 2 < min(high for _, high in ranges)


def continues(stack: Sequence[Instance], others: Sequence[Instance]) -> bool:
    """Whether one of ``others`` lies where a slice of ``stack`` is missing, or would come next.

    Such a slice belongs there, however it differs: without it the rest might pass for complete.
    """
    normal = normal_of(stack)
    depths = depths_of(stack, normal)
    order = np.argsort(depths, kind="stable")
    steps = np.diff(depths[order])
    steps = steps[steps > SAME_PLACE_MM]
    if not len(steps):
        return False
    step = float(np.median(steps))
    extent = float(depths.max() - depths.min())
    step = extent / max(1, round(extent / step))
    first = np.array(stack[int(order[0])].position)
    last = np.array(stack[int(order[-1])].position)
    line = (last - first) / extent
    for other in others:
        away = np.array(other.position) - first
        depth = float((away * normal).sum())
        nearest = round(depth / step) * step
        inside = -1.5 * step < depth < extent + 1.5 * step
        free = float(np.abs(depths - depths.min() - depth).min()) > NEAR_FRACTION * step
        parallel = np.abs(np.subtract(other.orientation, stack[0].orientation)).max() <= DIRECTION_APART
        aligned = parallel or float(np.linalg.norm(away - depth * line)) < step
        if inside and free and aligned and abs(depth - nearest) <= NEAR_FRACTION * step:
            return True
    return False

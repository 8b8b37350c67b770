"""One side's structures: a box, the network in it, and the box moved to where the structure was found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tomosurf import components
from tomosurf.data.geometry import Geometry
from tomosurf.data.segmentation import Margin
from tomosurf.data.volume import Volume
from tomosurf.errors import DataError
from tomosurf.progress import silent
from tomosurf.segment.inference import Inference, Inferred
from tomosurf.segment.localise.crops import box_around, reaching, seen_in

PASSES = 3
"""How often a box is laid at most; mostly the second one is where the structure is."""


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """What one side gave: ``inferred``, its labels on ``near``'s voxels, its ``middle`` (LPS mm; None: nothing).

    ``shift_mm`` is the way from where it was expected to its middle. ``touching``: it reaches the end of its box,
    so that more of it may lie beyond.
    """

    name: str
    box: Geometry
    near: Volume
    inferred: Inferred
    middle: NDArray[np.float64] | None
    shift_mm: float
    touching: bool
    passes: int = 1


def share_seen(volume: Volume, box: Geometry) -> float:
    """The share of ``box`` that lies in ``volume`` and was measured there."""
    padding = seen_in(volume, box).padding
    return 1.0 if padding is None else float(1 - padding.mean())


def look(
    volume: Volume, box: Geometry, lattice: Geometry, inference: Inference, name: str, most_shift_mm: float
) -> Side:
    """Run the network in ``box`` of ``lattice``, move it around what was found, and again, until it rests.

    A box isn't moved to what lies more than ``most_shift_mm`` from where it was expected. Its outermost voxels, and
    those across the middle (node 0 of ``lattice`` along left-right), count as not measured: what is found ends
    within its box, and no place is claimed by both sides.
    """
    expected = box.to_world([(np.array(box.shape) - 1) / 2])[0]
    size = box.extent
    side = _found_in(volume, box, lattice, inference, name)
    for number in range(1, PASSES):
        side = replace(side, shift_mm=_distance(side.middle, expected), passes=number)
        if side.middle is None or side.shift_mm > most_shift_mm:
            return side
        better = box_around(lattice, side.middle, size)
        if better.coincides(side.box):
            return side
        side = _found_in(volume, better, lattice, inference, name)
    return replace(side, shift_mm=_distance(side.middle, expected), passes=PASSES)


def _found_in(volume: Volume, box: Geometry, lattice: Geometry, inference: Inference, name: str) -> Side:
    near = reaching(volume, box)
    if near is None:
        raise DataError(f"the box around the {name} side lies outside of the image")
    crop = _closed(seen_in(volume, box), lattice, name)
    inferred = inference.run((crop,), near, silent)
    index = _main_body(inferred.found.margins.values(), box)
    if not len(index):
        return Side(name, box, near, inferred, None, 0.0, False)
    touching = bool((index <= 1).any() or (index >= np.array(box.shape) - 2).any())
    return Side(name, box, near, inferred, box.to_world([index.mean(axis=0)])[0], 0.0, touching)


def _closed(crop: Volume, lattice: Geometry, name: str) -> Volume:
    """``crop`` with its outermost voxels, and those across the middle, as padding."""
    padding = np.ones(crop.array.shape, bool)
    padding[1:-1, 1:-1, 1:-1] = False if crop.padding is None else crop.padding[1:-1, 1:-1, 1:-1]
    first = round(float(lattice.to_index([crop.geometry.origin])[0, 0]))
    across = np.arange(first, first + crop.array.shape[0])
    padding[across <= 0 if name == "left" else across >= 0] = True
    return replace(crop, padding=padding)


def _main_body(margins: Iterable[Margin], box: Geometry) -> NDArray[np.int_]:
    """(n, 3) voxels of ``box`` in the largest piece of all structures together; crumbs move no box."""
    mask = np.zeros(box.shape, bool, order="F")
    for margin in margins:
        inside = margin.geometry.to_world(np.argwhere(margin.values > 0))
        mask[tuple(np.rint(box.to_index(inside)).astype(int).T)] = True
    numbered = components.label_components(mask)
    sizes = components.component_sizes(numbered)
    sizes[0] = 0
    return np.argwhere(numbered == sizes.argmax()) if sizes.any() else np.empty((0, 3), int)


def _distance(middle: NDArray[np.float64] | None, expected: NDArray[np.float64]) -> float:
    return 0.0 if middle is None else float(np.linalg.norm(middle - expected))

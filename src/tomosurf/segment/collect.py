"""Slabs of a network's outputs, one after the other, to labels, margins and doubt."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray

from tomosurf.data.segmentation import Doubt, Margin
from tomosurf.data.volume import Volume
from tomosurf.segment.grids import turn
from tomosurf.segment.margins import (
    labels_from_logits,
    labels_from_margins,
    margins_of,
    on_voxels_of,
    without_unmeasured,
)
from tomosurf.segment.prepare import Prepared
from tomosurf.segment.slab import Slab
from tomosurf.segment.spec import ModelSpec


@dataclass(frozen=True, slots=True, eq=False)
class Collected:
    """What a network found: a label map on the volume's grid, margins and doubt on the network's."""

    labels: NDArray[Any]
    margins: dict[int, Margin]
    doubt: Doubt | None


def collect(slabs: Iterable[Slab], seen: Prepared, volume: Volume, spec: ModelSpec) -> Collected:
    """Labels, margins and doubt of all slabs."""
    parts = list(slabs)
    scores = torch.cat([slab.values for slab in parts], dim=1 + parts[0].axis)
    if seen.measured is not None:
        scores = without_unmeasured(scores, torch.from_numpy(seen.measured).to(scores.device))
    margins = margins_of(scores, seen.grid, spec.segments)
    if turn(seen.grid, volume.geometry) is not None:
        margins = {label: on_voxels_of(volume.geometry, margin) for label, margin in margins.items()}
        return Collected(labels_from_margins(margins, volume.geometry), margins, None)
    labels = labels_from_logits(scores, seen.grid, margins, volume.geometry)
    if volume.padding is not None:
        labels[volume.padding] = 0
    return Collected(labels, margins, None)

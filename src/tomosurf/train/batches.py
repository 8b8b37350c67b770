"""Cases as the network sees them, padded to one window and kept together on the device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from tomosurf.errors import DataError
from tomosurf.segment.grids import resample, turn, turned
from tomosurf.segment.prepare import prepare
from tomosurf.segment.spec import ModelDescription
from tomosurf.train.decathlon import LabelledCase


@dataclass(frozen=True, slots=True)
class CaseStack:
    """Cases of one part of the split.

    ``images`` and ``inside`` are (n, 1, x, y, z) float32, ``labels`` (n, x, y, z) uint8.
    """

    images: torch.Tensor
    inside: torch.Tensor
    labels: torch.Tensor

    def batches(
        self, size: int, generator: torch.Generator
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        """Batches for ever; every case once before any comes again."""
        waiting = torch.empty(0, dtype=torch.int64)
        while True:
            while len(waiting) < size:
                waiting = torch.cat([waiting, torch.randperm(len(self.images), generator=generator)])
            chosen, waiting = waiting[:size].to(self.images.device), waiting[size:]
            yield self.images[chosen], self.inside[chosen], self.labels[chosen].long()


def stack_cases(cases: Sequence[LabelledCase], model: ModelDescription, device: torch.device) -> CaseStack:
    """Cases on the network's grid, normalised as in use, centred in the window as in use.

    What doesn't fit into the window is cut off at both ends alike.

    Raises:
        DataError: a case holds a label that the model has no channel for.
    """
    if model.window is None:
        raise DataError("training needs a window")
    roi = model.window.roi
    images: list[torch.Tensor] = []
    insides: list[torch.Tensor] = []
    labels: list[torch.Tensor] = []
    for case in cases:
        if int(case.labels.max()) >= model.channels:
            raise DataError(f"{case.name} holds a label that is no channel of the model")
        seen = prepare((case.volume,), model.input)
        same = turn(case.volume.geometry, seen.grid)
        if same is None:
            drawn = torch.from_numpy(np.ascontiguousarray(case.labels, np.float32))[None]
            drawn = resample(drawn, case.volume.geometry, seen.grid, "nearest")[0]
        else:
            drawn = torch.from_numpy(np.ascontiguousarray(turned(case.labels, same), np.float32))
        for stack, tensor in (
            (images, torch.from_numpy(seen.image)),
            (insides, torch.ones(seen.image.shape)),
            (labels, drawn),
        ):
            stack.append(_centred(tensor, roi))
    return CaseStack(
        torch.stack(images).to(device),
        torch.stack(insides).to(device),
        torch.stack(labels).to(torch.uint8).to(device),
    )


def _centred(tensor: torch.Tensor, roi: tuple[int, int, int]) -> torch.Tensor:
    """Padded with 0 or cut to ``roi``, the smaller half first, as MONAI's sliding window pads."""
    edges: list[int] = []
    for size, wanted in zip(reversed(tensor.shape[-3:]), reversed(roi), strict=True):
        first = (wanted - size) // 2 if wanted >= size else -((size - wanted) // 2)
        edges += [first, wanted - size - first]
    return torch.nn.functional.pad(tensor, edges)

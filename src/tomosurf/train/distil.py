"""What trained networks say of cases: what another network is then trained towards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from tomosurf.train.batches import CaseStack
from tomosurf.train.precision import half_precision

OVERLAP = 0.5
WINDOWS = 4
"""At a time."""


def answers(network: Any, cases: CaseStack, mirror_axis: int | None = None) -> tuple[torch.Tensor, ...]:
    """For each case (channels - 1, x, y, z) float16: the probability of every channel but the background.

    Windows are laid and blended as in use (MONAI's sliding window). With ``mirror_axis`` the mean of what the
    network says of the image and of its mirror image.
    """
    from monai.inferers import sliding_window_inference

    network.eval()
    said = []
    with torch.inference_mode(), half_precision(cases.device):
        for image in cases.images:
            flips: tuple[tuple[int, ...], ...] = ((),) if mirror_axis is None else ((), (mirror_axis + 2,))
            total: Any = 0
            for axes in flips:
                seen = image[None, None].flip(axes) if axes else image[None, None]
                found = sliding_window_inference(seen, cases.roi, WINDOWS, network, OVERLAP, mode="gaussian")
                chances = torch.as_tensor(found).float().softmax(dim=1)
                total = total + (chances.flip(axes) if axes else chances)
            said.append((total[0, 1:] / len(flips)).half())
    return tuple(said)


def agreed(said: Sequence[Sequence[torch.Tensor]]) -> tuple[torch.Tensor, ...]:
    """The mean of what several networks say of the same cases."""
    return tuple(
        torch.stack([one.float() for one in of_case]).mean(dim=0).half()
        for of_case in zip(*said, strict=True)
    )

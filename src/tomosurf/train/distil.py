"""What trained networks say of cases: what another network is then trained towards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from tomosurf.train.batches import CaseStack, overlap
from tomosurf.train.precision import half_precision

Ask = Callable[[torch.Tensor], torch.Tensor]

OVERLAP = 0.5
WINDOWS = 16
"""At a time."""


def answers(network: Any, cases: CaseStack, mirror_axis: int | None = None) -> tuple[torch.Tensor, ...]:
    """For each case (channels - 1, x, y, z) float16: the probability of every channel but the background.

    Windows are laid and blended as in use: a case that fits into one has it around its middle, and many such cases
    are asked about together; others go through MONAI's sliding window. With ``mirror_axis`` the mean of what the
    network says of the image and of its mirror image.
    """
    from monai.inferers import sliding_window_inference

    def chances(images: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(network(images)).float().softmax(dim=1)

    def blended(images: torch.Tensor) -> torch.Tensor:
        found = sliding_window_inference(images, cases.roi, WINDOWS, network, OVERLAP, mode="gaussian")
        return torch.as_tensor(found).float().softmax(dim=1)

    network.eval()
    said: dict[int, torch.Tensor] = {}
    with torch.inference_mode(), half_precision(cases.device):
        whole = [window for window in cases.middles() if _fits(cases, window[0])]
        for start in range(0, len(whole), WINDOWS):
            windows = whole[start : start + WINDOWS]
            found = _both_ways(chances, cases.batch(windows).images, mirror_axis)
            for (case, corner), own in zip(windows, found, strict=True):
                said[case] = own[
                    (slice(1, None), *overlap(corner, cases.roi, cases.images[case].shape)[0])
                ].half()
        for case, image in enumerate(cases.images):
            if case not in said:
                said[case] = _both_ways(blended, image[None, None], mirror_axis)[0, 1:].half()
    return tuple(said[case] for case in range(len(cases)))


def _fits(cases: CaseStack, case: int) -> bool:
    return all(size <= edge for size, edge in zip(cases.images[case].shape, cases.roi, strict=True))


def _both_ways(ask: Ask, images: torch.Tensor, mirror_axis: int | None) -> torch.Tensor:
    """What is said of images (n, inputs, x, y, z); the mean of that and what is said of their mirror images."""
    if mirror_axis is None:
        return ask(images)
    axes = (mirror_axis + 2,)
    return (ask(images) + ask(images.flip(axes)).flip(axes)) / 2

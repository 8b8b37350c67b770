"""What a network is trained to make small."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn.functional import cross_entropy, max_pool3d

from tomosurf.train.config import TrainingConfig

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def loss_of(config: TrainingConfig) -> Loss:
    """MONAI's Dice and cross-entropy loss over all heads, each coarser one at half the weight of the one before.

    The loss takes outputs (n, channels, x, y, z), or (n, heads, channels, x, y, z) with training heads, and
    targets (n, channels, x, y, z), the probability of every channel. Dice is over the whole batch, without the
    background, with its own weight: where targets are fractions it is least for labels that are more probable than
    half the Dice coefficient, cross-entropy for the fractions themselves.
    """
    from monai.losses import DiceCELoss

    single = DiceCELoss(include_background=False, softmax=True, batch=True, lambda_dice=config.dice_weight)
    weights = [0.5**n for n in range(config.deep_heads + 1)]

    def of_one(output: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        total = torch.as_tensor(single(output, targets))
        if config.boundary_weight:
            band = near_boundary(targets)
            surprise = cross_entropy(output, targets, reduction="none")
            total = total + config.boundary_weight * (surprise * band).sum() / band.sum().clamp_min(1)
        return total

    def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        if not config.deep_heads:
            return of_one(outputs.float(), targets)
        heads = zip(weights, outputs.float().unbind(dim=1), strict=True)
        return torch.stack([weight * of_one(head, targets) for weight, head in heads]).sum() / sum(weights)

    return loss


def near_boundary(targets: torch.Tensor) -> torch.Tensor:
    """(n, x, y, z) of 1 and 0: voxels with a neighbour (26) whose channels are others by half or more."""
    most, least = max_pool3d(targets, 3, 1, 1), -max_pool3d(-targets, 3, 1, 1)
    return ((most - least).amax(dim=1) >= 0.5).to(targets.dtype)

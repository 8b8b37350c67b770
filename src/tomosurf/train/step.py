"""What changes from one step of training to the next: the network, its moving average, its optimiser."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch.optim.swa_utils import get_ema_multi_avg_fn

from tomosurf.segment.architectures import build
from tomosurf.train.augment import Augmenter
from tomosurf.train.batches import Batch
from tomosurf.train.config import TrainingConfig
from tomosurf.train.draws import seed_of
from tomosurf.train.losses import loss_of
from tomosurf.train.precision import half_precision
from tomosurf.train.ranks import Ranks
from tomosurf.train.recorded import Recorded, Work

FASTEST = torch.channels_last_3d
"""The order in memory in which a GPU's matrix units take a convolution's channels."""

LONGEST_GRADIENT = 12.0
"""Gradients are scaled down to this norm."""


class Learner:
    """A network that learns from one batch after another; ``average`` is the moving average of its weights.

    MONAI's Dice and cross-entropy loss, AdamW, bfloat16 on a GPU, where one process alone records its step as a
    CUDA graph if ``config.compiled``. ``total`` is the sum of all losses since it was last set to 0.
    """

    def __init__(self, config: TrainingConfig, device: torch.device, ranks: Ranks) -> None:
        self.config, self.device = config, device
        torch.manual_seed(seed_of(config.seed, "weights"))
        network = build(
            config.model.architecture, config.model.input.channels, config.model.channels, config.deep_heads
        ).to(device)
        self.network = network
        self.average = deepcopy(network).requires_grad_(False)
        self.total = torch.zeros((), device=device)
        self._rate: Any = torch.zeros((), device=device) if device.type == "cuda" else 0.0
        self._optimiser = torch.optim.AdamW(
            network.parameters(),
            lr=self._rate,
            weight_decay=config.weight_decay,
            fused=device.type == "cuda",
            capturable=device.type == "cuda",
        )
        self._augment = Augmenter(config.augmentation, device)
        self._loss_of = loss_of(config)
        self._forward = _forward(network, config, ranks, device)
        self._towards = get_ema_multi_avg_fn(config.average)
        self._step: Work = self._learn
        if device.type == "cuda" and config.compiled and ranks.count == 1:
            self._step = Recorded(self._learn, self._augment.generator)

    def step(self, batch: Batch, seed: int, rate: float) -> None:
        """Learn from ``batch``, changed as ``seed`` says, at the learning rate ``rate``."""
        if isinstance(self._rate, torch.Tensor):
            self._rate.fill_(rate)
        else:
            self._rate = rate
        for group in self._optimiser.param_groups:
            group["lr"] = self._rate
        self._augment.seed(seed)
        self._step((batch.images, batch.inside, batch.targets))

    def follow(self) -> None:
        """Set the average to the network as it is."""
        with torch.no_grad():
            for own, new in zip(self.average.parameters(), self.network.parameters(), strict=True):
                own.copy_(new)

    def state(self, done: bool) -> dict[str, Any]:
        """All of it; when ``done`` only what is still needed."""
        return {
            "average": self.average.state_dict(),
            "network": None if done else self.network.state_dict(),
            "optimiser": None if done else self._optimiser.state_dict(),
            "total": self.total,
        }

    def take_up(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state` gave."""
        self.average.load_state_dict(state["average"])
        if state["optimiser"] is not None:
            self.network.load_state_dict(state["network"])
            self._optimiser.load_state_dict(state["optimiser"])
            self.total.copy_(state["total"])

    def _learn(self, given: Sequence[torch.Tensor]) -> None:
        images, targets = self._augment(*given)
        if not self.config.soft_labels:
            targets = torch.zeros_like(targets).scatter_(1, targets.argmax(dim=1, keepdim=True), 1)
        if images.is_cuda:
            images = images.contiguous(memory_format=FASTEST)
        with half_precision(images.device):
            outputs = self._forward(images)
        loss = self._loss_of(outputs, targets)
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), LONGEST_GRADIENT)
        self._optimiser.step()
        with torch.no_grad():
            self._towards(list(self.average.parameters()), list(self.network.parameters()), 0)
            for own, new in zip(self.average.buffers(), self.network.buffers(), strict=True):
                own.copy_(new)
        self.total += loss.detach()


def _forward(
    network: Any, config: TrainingConfig, ranks: Ranks, device: torch.device
) -> Callable[[torch.Tensor], torch.Tensor]:
    """The network as it is called in training: over all processes, compiled on a GPU."""
    module = network
    if ranks.count > 1:
        ids = [device.index] if device.type == "cuda" else None
        module = torch.nn.parallel.DistributedDataParallel(network, device_ids=ids)
    if config.compiled and device.type == "cuda":
        module = torch.compile(module)
    called: Callable[[torch.Tensor], torch.Tensor] = module
    return called

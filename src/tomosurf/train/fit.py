"""The training loop."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from tomosurf.progress import Progress
from tomosurf.segment.architectures import build
from tomosurf.train.augment import Augmenter
from tomosurf.train.batches import CaseStack
from tomosurf.train.config import TrainingConfig


@dataclass(frozen=True, slots=True)
class Point:
    """One point of the training curve: mean loss since the last, soft-window Dice per segment held out."""

    step: int
    loss: float
    dice: tuple[float, ...]


def fit(
    config: TrainingConfig, training: CaseStack, held_out: CaseStack, progress: Progress
) -> tuple[Any, tuple[Point, ...]]:
    """The trained network, without its training heads, and its curve.

    Deep supervision by MONAI's Dice and cross-entropy loss, AdamW with a cosine schedule, bfloat16 on a GPU.
    A seed fixes everything but the order of a GPU's additions.
    """
    device = training.images.device
    torch.manual_seed(config.seed)
    network = build(
        config.model.architecture, config.model.input.channels, config.model.channels, config.deep_heads
    ).to(device)
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(config.average))
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, config))
    loss_of = _loss(config)
    curve: list[Point] = []
    total = torch.zeros((), device=device)
    for step, (images, labels) in enumerate(_changed(config, training), start=1):
        with _half_precision(device):
            loss = loss_of(network(images), labels[:, None])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 12.0)
        optimiser.step()
        schedule.step()
        average.update_parameters(network)
        total += loss.detach()
        if step % config.score_every == 0 or step == config.steps:
            since = step - (curve[-1].step if curve else 0)
            curve.append(Point(step, float(total) / since, held_out_dice(average.module, held_out, config)))
            total.zero_()
        progress("train", step / config.steps)
    return _without_heads(average.module, config), tuple(curve)


def held_out_dice(network: Any, cases: CaseStack, config: TrainingConfig) -> tuple[float, ...]:
    """Mean Dice per channel but the first, over cases, within the window; to watch a run by."""
    network.eval()
    counts = torch.zeros(config.model.channels - 1, device=cases.images.device)
    with torch.inference_mode(), _half_precision(cases.images.device):
        for start in range(0, len(cases.images), config.batch_size):
            part = slice(start, start + config.batch_size)
            found = network(cases.images[part]).argmax(dim=1)
            for channel in range(1, config.model.channels):
                ours, theirs = found == channel, cases.labels[part] == channel
                both = (ours & theirs).sum(dim=(1, 2, 3))
                either = ours.sum(dim=(1, 2, 3)) + theirs.sum(dim=(1, 2, 3))
                counts[channel - 1] += (2 * both / either.clamp_min(1)).sum()
    network.train()
    return tuple(round(float(dice), 4) for dice in counts / len(cases.images))


def _changed(config: TrainingConfig, training: CaseStack) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    device = training.images.device
    augment = Augmenter(config.augmentation, config.model.channels, device, config.seed)
    order = torch.Generator().manual_seed(config.seed)
    batches = training.batches(config.batch_size, order)
    for _ in range(config.steps):
        yield augment(*next(batches))


def _loss(config: TrainingConfig) -> Any:
    """The loss over all heads, each coarser one at half the weight of the one before."""
    from monai.losses import DiceCELoss

    single = DiceCELoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)
    weights = [0.5**n for n in range(config.deep_heads + 1)]

    def loss(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        if not config.deep_heads:
            return torch.as_tensor(single(outputs.float(), labels))
        heads = zip(weights, outputs.float().unbind(dim=1), strict=True)
        return torch.stack([weight * single(head, labels) for weight, head in heads]).sum() / sum(weights)

    return loss


def _rate(step: int, config: TrainingConfig) -> float:
    """Linear warm-up, then half a cosine down to a hundredth."""
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    done = (step - config.warmup_steps) / (config.steps - config.warmup_steps)
    return 0.01 + 0.99 * (1 + math.cos(math.pi * min(done, 1.0))) / 2


def _half_precision(device: torch.device) -> Any:
    return torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()


def _without_heads(network: Any, config: TrainingConfig) -> Any:
    plain = build(config.model.architecture, config.model.input.channels, config.model.channels)
    trained = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    with torch.no_grad():
        for name, tensor in (*plain.named_parameters(), *plain.named_buffers()):
            tensor.copy_(trained[name])
    return plain.eval()

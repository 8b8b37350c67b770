"""The training loop of one network."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from tomosurf.progress import Progress
from tomosurf.segment.architectures import build
from tomosurf.train.augment import Augmenter
from tomosurf.train.batches import CaseStack
from tomosurf.train.checkpoint import keep, kept, seal_of
from tomosurf.train.config import TrainingConfig
from tomosurf.train.draws import seed_of
from tomosurf.train.losses import loss_of
from tomosurf.train.precision import half_precision
from tomosurf.train.ranks import Ranks

FASTEST = torch.channels_last_3d
"""The order in memory in which a GPU's matrix units take a convolution's channels."""


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a curve: mean loss since the last, Dice per segment of watched windows, seconds so far."""

    step: int
    loss: float
    dice: tuple[float, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Run:
    """One network's training: ``folder`` keeps its checkpoint, ``watched`` cases only show how it fares."""

    config: TrainingConfig
    training: CaseStack
    watched: CaseStack
    folder: Path
    ranks: Ranks = Ranks()  # noqa: RUF009  (frozen)


def fit(run: Run, progress: Progress) -> tuple[Any, tuple[Point, ...]]:
    """The trained network, without its training heads, and its curve; goes on where a kill left it.

    MONAI's Dice and cross-entropy loss, AdamW with a cosine schedule, bfloat16 on a GPU. A seed fixes everything
    but the order of a GPU's additions; a resumed run gives what an undisturbed one gives.

    Raises:
        ConfigError: the folder holds another run.
    """
    seal = seal_of(run.config, run.training.names, bool(run.training.soft))
    state = kept(run.folder, seal, run.training.device)
    loop = _Loop(run, state)
    if loop.step < run.config.steps:
        loop.go(seal, progress)
    return _without_heads(loop.average.module, run.config), tuple(loop.curve)


class _Loop:
    """What changes during a run."""

    def __init__(self, run: Run, state: dict[str, Any] | None) -> None:
        config, device = run.config, run.training.device
        self.run = run
        torch.manual_seed(seed_of(config.seed, "weights"))
        network = build(
            config.model.architecture, config.model.input.channels, config.model.channels, config.deep_heads
        ).to(device)
        if device.type == "cuda":
            network = network.to(memory_format=FASTEST)
        self.network = network
        self.average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(config.average))
        self.optimiser = torch.optim.AdamW(
            network.parameters(),
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            fused=device.type == "cuda",
        )
        self.augment = Augmenter(config.augmentation, device)
        self.loss_of = loss_of(config)
        self.step, self.curve, self.spent = 0, list[Point](), 0.0
        self.total = torch.zeros((), device=device)
        if state is not None:
            self._take_up(state)

    def _take_up(self, state: dict[str, Any]) -> None:
        self.step, self.spent = state["step"], state["spent"]
        self.curve = [Point(**{**point, "dice": tuple(point["dice"])}) for point in state["curve"]]
        self.average.load_state_dict(state["average"])
        if state["optimiser"] is not None:
            self.network.load_state_dict(state["network"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.total.copy_(state["total"])

    def go(self, seal: str, progress: Progress) -> None:
        """To the end, keeping the state now and then."""
        config, began = self.run.config, time.perf_counter() - self.spent
        forward = _forward(self.network, config, self.run)
        while self.step < config.steps:
            self._one_step(forward)
            self.step += 1
            self.spent = time.perf_counter() - began
            if self.step % config.score_every == 0 or self.step == config.steps:
                self._note()
            if self.step % config.keep_every == 0 or self.step == config.steps:
                if self.run.ranks.writes:
                    keep(self.run.folder, seal, self._state())
                self.run.ranks.wait()
            progress("train", self.step / config.steps)

    def _one_step(self, forward: Callable[[torch.Tensor], torch.Tensor]) -> None:
        config, run = self.run.config, self.run
        windows = run.training.draw(self.step, config.batch_size, config.seed, config.foreground)
        batch = run.training.batch(windows[run.ranks.share(config.batch_size)])
        self.augment.seed(seed_of(config.seed, "change", self.step, run.ranks.own))
        images, targets = self.augment(batch.images, batch.inside, batch.targets)
        if not config.soft_labels:
            targets = torch.zeros_like(targets).scatter_(1, targets.argmax(dim=1, keepdim=True), 1)
        if images.is_cuda:
            images = images.contiguous(memory_format=FASTEST)
        with half_precision(images.device):
            outputs = forward(images)
        loss = self.loss_of(outputs, targets)
        rate = config.learning_rate * rate_at(self.step, config)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 12.0)
        self.optimiser.step()
        self.average.update_parameters(self.network)
        self.total += loss.detach()

    def _note(self) -> None:
        since = self.step - (self.curve[-1].step if self.curve else 0)
        dice = watched_dice(self.average.module, self.run.watched, self.run.config)
        self.curve.append(Point(self.step, float(self.total) / since, dice, self.spent))
        self.total.zero_()

    def _state(self) -> dict[str, Any]:
        """All of it; at the end only what is still needed."""
        done = self.step == self.run.config.steps
        return {
            "step": self.step,
            "spent": self.spent,
            "curve": [asdict(point) for point in self.curve],
            "average": self.average.state_dict(),
            "network": None if done else self.network.state_dict(),
            "optimiser": None if done else self.optimiser.state_dict(),
            "total": self.total,
        }


def watched_dice(network: Any, cases: CaseStack, config: TrainingConfig) -> tuple[float, ...]:
    """Mean Dice per channel but the first, over one window a case; to watch a run by."""
    if not len(cases):
        return ()
    network.eval()
    total = torch.zeros(config.model.channels - 1, device=cases.device)
    windows = cases.middles()
    with torch.inference_mode(), half_precision(cases.device):
        for start in range(0, len(windows), config.batch_size):
            batch = cases.batch(windows[start : start + config.batch_size])
            found = network(batch.images).argmax(dim=1)
            for channel in range(1, config.model.channels):
                ours, theirs = found == channel, batch.targets[:, channel] > 0.5
                both = (ours & theirs).sum(dim=(1, 2, 3))
                either = ours.sum(dim=(1, 2, 3)) + theirs.sum(dim=(1, 2, 3))
                total[channel - 1] += (2 * both / either.clamp_min(1)).sum()
    network.train()
    return tuple(round(float(dice), 4) for dice in total / len(cases))


def rate_at(step: int, config: TrainingConfig) -> float:
    """Linear warm-up, then half a cosine down to a hundredth."""
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    done = (step - config.warmup_steps) / (config.steps - config.warmup_steps)
    return 0.01 + 0.99 * (1 + math.cos(math.pi * min(done, 1.0))) / 2


def _forward(network: Any, config: TrainingConfig, run: Run) -> Callable[[torch.Tensor], torch.Tensor]:
    """The network as it is called in training: over all processes, compiled on a GPU."""
    device = run.training.device
    module = network
    if run.ranks.count > 1:
        ids = [device.index] if device.type == "cuda" else None
        module = torch.nn.parallel.DistributedDataParallel(network, device_ids=ids)
    if config.compiled and device.type == "cuda":
        module = torch.compile(module)
    called: Callable[[torch.Tensor], torch.Tensor] = module
    return called


def _without_heads(network: Any, config: TrainingConfig) -> Any:
    plain = build(config.model.architecture, config.model.input.channels, config.model.channels)
    trained = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    with torch.no_grad():
        for name, tensor in (*plain.named_parameters(), *plain.named_buffers()):
            tensor.copy_(trained[name])
    return plain.to(next(iter(trained.values())).device).eval()

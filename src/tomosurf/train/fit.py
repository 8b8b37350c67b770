"""The training loop of one network."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from tomosurf.progress import Progress
from tomosurf.segment.architectures import build
from tomosurf.train.batches import CaseStack
from tomosurf.train.checkpoint import keep, kept, seal_of
from tomosurf.train.config import TrainingConfig
from tomosurf.train.draws import seed_of
from tomosurf.train.precision import half_precision
from tomosurf.train.ranks import Ranks
from tomosurf.train.step import Learner


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

    A cosine schedule after a warm-up (:func:`rate_at`). A seed fixes everything but a GPU's choice of algorithms
    and the order of its additions; a resumed run gives what an undisturbed one gives.

    Raises:
        ConfigError: the folder holds another run.
    """
    seal = seal_of(run.config, run.training.names, bool(run.training.soft))
    state = kept(run.folder, seal, run.training.device)
    loop = _Loop(run, state)
    with torch.backends.cudnn.flags(enabled=True, benchmark=True, deterministic=False, allow_tf32=True):
        if loop.step < run.config.steps:
            loop.go(seal, progress)
    return _without_heads(loop.learner.average, run.config), tuple(loop.curve)


class _Loop:
    """What changes during a run."""

    def __init__(self, run: Run, state: dict[str, Any] | None) -> None:
        self.run = run
        self.learner = Learner(run.config, run.training.device, run.ranks)
        self.step, self.curve, self.spent = 0, list[Point](), 0.0
        if state is not None:
            self.step, self.spent = state["step"], state["spent"]
            self.curve = [Point(**{**point, "dice": tuple(point["dice"])}) for point in state["curve"]]
            self.learner.take_up(state)

    def go(self, seal: str, progress: Progress) -> None:
        """To the end, keeping the state now and then."""
        config, began = self.run.config, time.perf_counter() - self.spent
        while self.step < config.steps:
            self._one_step()
            self.step += 1
            self.spent = time.perf_counter() - began
            done = self.step == config.steps
            if self.step % config.score_every == 0 or done:
                self._note()
            if self.step % config.keep_every == 0 or done:
                if self.run.ranks.writes:
                    keep(self.run.folder, seal, self._state(done))
                self.run.ranks.wait()
            progress("train", self.step / config.steps)

    def _one_step(self) -> None:
        config, run = self.run.config, self.run
        windows = run.training.draw(self.step, config.batch_size, config.seed, config.foreground)
        batch = run.training.batch(windows[run.ranks.share(config.batch_size)])
        seed = seed_of(config.seed, "change", self.step, run.ranks.own)
        self.learner.step(batch, seed, config.learning_rate * rate_at(self.step, config))
        if self.step == 0:
            self.learner.follow()

    def _note(self) -> None:
        since = self.step - (self.curve[-1].step if self.curve else 0)
        dice = watched_dice(self.learner.average, self.run.watched, self.run.config)
        self.curve.append(Point(self.step, float(self.learner.total) / since, dice, self.spent))
        self.learner.total.zero_()

    def _state(self, done: bool) -> dict[str, Any]:
        return {
            "step": self.step,
            "spent": self.spent,
            "curve": [asdict(point) for point in self.curve],
            **self.learner.state(done),
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


def _without_heads(network: Any, config: TrainingConfig) -> Any:
    plain = build(config.model.architecture, config.model.input.channels, config.model.channels)
    trained = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    with torch.no_grad():
        for name, tensor in (*plain.named_parameters(), *plain.named_buffers()):
            tensor.copy_(trained[name])
    return plain.to(next(iter(trained.values())).device).eval()

"""What a network's outputs decide at a place, and how clearly: one rule for both kinds of outputs.

A *choice* is one of the answers that exclude each other at a voxel. With a softmax the choices are the
channels, and a choice's score is its logit. With regions (sigmoid), choice 0 is "no region" and choice n the
nth channel as the last one that is on; with ``l`` for logits

    score of choice n = min(l[n], -max(l[n + 1:]))    score of "no region" = -max(l)

so that exactly one choice is above zero, the one that the painting order gives. Either way the largest score
wins, and a margin is a score less the best other one.

Where every corner of a cell has the same winner, linear interpolation of the logits finds no other: its
weights are positive and sum to 1, and both a difference of logits and the sign of a logit survive that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch

from tomosurf.segment.model.spec import ModelDescription

CACHED = 1 << 15
"""Places at a time on a CPU, so that what is updated for each choice stays in its cache."""


@dataclass(frozen=True, slots=True)
class Decision:
    """How outputs become labels: ``labels[n]`` is the label of choice n, 0 where no segment names it."""

    activation: Literal["softmax", "sigmoid"]
    labels: tuple[int, ...]

    @property
    def top(self) -> int:
        """The largest label."""
        return max(self.labels)

    def choices_of(self, label: int) -> tuple[int, ...]:
        """The choices that give ``label``: several where channels paint one label."""
        return tuple(choice for choice, own in enumerate(self.labels) if own == label)

    def scores(self, values: torch.Tensor) -> Iterator[tuple[int, torch.Tensor]]:
        """Each choice with its score at every place of ``values`` (channels, ...), one at a time.

        Background comes first: equal scores name nothing.
        """
        if self.activation == "softmax":
            yield from enumerate(values)
            return
        yield 0, -values.amax(dim=0)
        later: torch.Tensor | None = None
        for channel in reversed(range(len(values))):
            own = values[channel]
            yield channel + 1, own if later is None else torch.minimum(own, -later)
            later = own if later is None else torch.maximum(later, own)

    def score(self, values: torch.Tensor, choice: int) -> torch.Tensor:
        """The score of one choice at every place of ``values`` (channels, ...)."""
        if self.activation == "softmax":
            return values[choice]
        if choice == 0:
            return -values.amax(dim=0)
        own = values[choice - 1]
        return torch.minimum(own, -values[choice:].amax(dim=0)) if choice < len(values) else own

    def log_probabilities(self, values: torch.Tensor) -> torch.Tensor:
        """(choices, ...): logarithms of the probability of each choice; over all choices they sum to 1.

        Regions are taken as independent of each other: a choice has the product of its channel being on and
        all later ones being off. Where regions lie within each other that makes doubt larger, never smaller,
        than the doubt of the closest of these decisions alone.
        """
        if self.activation == "softmax":
            return values.log_softmax(dim=0)
        logs = values.new_empty((len(values) + 1, *values.shape[1:]))
        later_off = torch.zeros_like(values[0])
        for channel in reversed(range(len(values))):
            logs[channel + 1] = torch.nn.functional.logsigmoid(values[channel]) + later_off
            later_off += torch.nn.functional.logsigmoid(-values[channel])
        logs[0] = later_off
        return logs

    def without_unmeasured(self, values: torch.Tensor, measured: torch.Tensor) -> torch.Tensor:
        """Outputs, changed in place, that never name a segment where nothing was ``measured``.

        With a softmax the background is set above the best other channel by as much as it lay below it; regions
        change sign where they are on. So margins change sign and stay of the same size.
        """
        if self.activation == "sigmoid":
            for channel in values:
                torch.where(measured, channel, -channel.abs(), out=channel)
            return values
        best = values[1:].amax(dim=0)
        above = best + (best - values[0]).abs()
        values[0] = torch.where(measured, values[0], above)
        return values


def decision_of(model: ModelDescription) -> Decision:
    """The rule of a model."""
    named = {segment.label for segment in model.segments}
    labels = (0, *model.regions) if model.activation == "sigmoid" else range(model.channels)
    return Decision(model.activation, tuple(label if label in named else 0 for label in labels))


@dataclass(frozen=True, slots=True, eq=False)
class Leaders:
    """At every place: the choice that wins (int16), its score and the best of the others (float32)."""

    winner: torch.Tensor
    best: torch.Tensor
    second: torch.Tensor

    @property
    def fields(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """All three."""
        return self.winner, self.best, self.second

    def narrowed(self, axis: int, start: int, stop: int) -> Leaders:
        """Views between two planes."""
        return Leaders(*(part.narrow(axis, start, stop - start) for part in self.fields))

    def cloned(self) -> Leaders:
        """The same with memory of its own."""
        return Leaders(self.winner.clone(), self.best.clone(), self.second.clone())


def leaders_of(values: torch.Tensor, decision: Decision) -> Leaders:
    """Winner, best and second-best score of ``values`` (channels, x, y, z), each channel read once.

    Memory: 10 bytes a place, whatever the number of channels.
    """
    shape = values.shape[1:]
    flat = values.reshape(values.shape[0], -1)
    winner = torch.empty(flat.shape[1], dtype=torch.int16, device=flat.device)
    best, second = torch.empty_like(flat[0]), torch.empty_like(flat[0])
    step = CACHED if flat.device.type == "cpu" else max(flat.shape[1], 1)
    for start in range(0, flat.shape[1], step):
        here = slice(start, start + step)
        _lead(flat[:, here], decision, Leaders(winner[here], best[here], second[here]))
    return Leaders(winner.reshape(shape), best.reshape(shape), second.reshape(shape))


def best_of(values: torch.Tensor, decision: Decision) -> torch.Tensor:
    """The choice (...) int64 that wins at each place of ``values`` (channels, ...): the first of equal ones."""
    if decision.activation == "softmax":
        return values.argmax(dim=0)
    winner = torch.zeros(values.shape[1:], dtype=torch.int64, device=values.device)
    best = torch.full(values.shape[1:], -torch.inf, dtype=values.dtype, device=values.device)
    for choice, score in decision.scores(values):
        winner.masked_fill_(score > best, choice)
        torch.maximum(best, score, out=best)
    return winner


def _lead(values: torch.Tensor, decision: Decision, into: Leaders) -> None:
    lower = torch.empty_like(into.best)
    higher = torch.empty_like(into.best, dtype=torch.bool)
    into.winner.zero_()
    into.second.fill_(-torch.inf)
    for number, (choice, score) in enumerate(decision.scores(values)):
        if number == 0:
            into.best.copy_(score)
            continue
        torch.minimum(into.best, score, out=lower)
        torch.maximum(into.second, lower, out=into.second)
        torch.gt(score, into.best, out=higher)
        into.winner.masked_fill_(higher, choice)
        torch.maximum(into.best, score, out=into.best)

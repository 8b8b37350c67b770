"""One window through every fold and mirror image: the mean of the outputs, and how far they spread."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import torch

from tomosurf.segment.engine.runner import Runner

Flips = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Members:
    """What is averaged: every fold of ``runner`` on the window as it is and mirrored along each of ``flips``.

    ``exclusive``: channels exclude each other (softmax), so that the margin is between the best two; else it
    is the output closest to 0. ``room`` is what the members' outputs may take of memory, in bytes; beyond it
    they are computed twice.
    """

    runner: Runner
    flips: Flips
    exclusive: bool
    room: int

    @property
    def count(self) -> int:
        """How many outputs are averaged."""
        return self.runner.folds * len(self.flips)


def flips_along(axes: tuple[int, ...]) -> Flips:
    """Every combination of the axes, none of them first: the images that nnU-Net averages over."""
    return tuple(chosen for size in range(len(axes) + 1) for chosen in combinations(axes, size))


def outputs(members: Members, windows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Mean logits (n, channels, x, y, z), and their spread (n, x, y, z) when there are several members.

    The spread is the standard deviation over members of the margin between two channels: the best two of the
    mean.
    """
    if members.count == 1:
        return members.runner.run(0, windows), None
    kept: list[torch.Tensor] = []
    mean: torch.Tensor | None = None
    for one in _each(members, windows):
        mean = one.clone() if mean is None else mean.add_(one)
        if one.numel() * one.element_size() * members.count <= members.room:
            kept.append(one.clone())
    if mean is None:
        raise ValueError("no members")
    mean /= members.count
    pair = _pair(mean, members.exclusive)
    margins = [_margin(one, pair) for one in (kept or _each(members, windows))]
    return mean, torch.stack(margins).std(dim=0, correction=0)


def _each(members: Members, windows: torch.Tensor) -> Iterator[torch.Tensor]:
    for fold in range(members.runner.folds):
        for axes in members.flips:
            turned = [axis + 2 for axis in axes]
            if not turned:
                yield members.runner.run(fold, windows)
            else:
                yield members.runner.run(fold, windows.flip(turned)).flip(turned)


def _pair(mean: torch.Tensor, exclusive: bool) -> tuple[torch.Tensor, ...]:
    """The channels (n, 1, x, y, z) between which the margin is."""
    if not exclusive:
        return (mean.abs().argmin(dim=1, keepdim=True),)
    best = mean.argmax(dim=1, keepdim=True)
    return best, mean.scatter(1, best, -torch.inf).argmax(dim=1, keepdim=True)


def _margin(one: torch.Tensor, pair: tuple[torch.Tensor, ...]) -> torch.Tensor:
    values = [one.gather(1, channel)[:, 0] for channel in pair]
    return values[0] if len(values) == 1 else values[0] - values[1]

"""Cells whose corners name two choices only: decided by two numbers a corner instead of all channels.

Let A and B be the two, and u at each corner the largest logit of any other channel. Interpolated, u is nowhere
below another channel, so where A or B lies above it one of them wins, whatever the number of channels. Where
neither does, or the call is close, all channels are asked.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from tomosurf.segment.outputs.decision import CACHED
from tomosurf.segment.outputs.part import Part
from tomosurf.segment.outputs.picking import picked, places_of, unravelled

CLOSE = 1e-4
"""Lead (in logits) below which all channels are asked: far above what rounding can do."""

NEVER = -1e30

UNDECIDED = -1
"""Instead of a choice: ask all channels."""

GATHERED_ON_GPU = 1 << 20
"""Nodes whose channels are gathered at a time on a GPU."""


@dataclass(frozen=True, slots=True, eq=False)
class Duels:
    """For n cells: two choices (n,) int16, and the leads of each over all others at 8 corners, (n, 16) float32."""

    one: torch.Tensor
    other: torch.Tensor
    leads: torch.Tensor

    def winners(self, cells: torch.Tensor, fraction: torch.Tensor) -> torch.Tensor:
        """(m,) int16: who wins ``fraction`` (3, m) beyond the lower corners of ``cells`` (m,), or ``UNDECIDED``."""
        x, y, z = (torch.stack([1 - part, part], dim=1) for part in fraction)
        weights = ((x[:, :, None] * y[:, None])[:, :, :, None] * z[:, None, None]).reshape(-1, 8)
        near = picked(self.leads, cells).reshape(-1, 2, 8)
        a, b = (_weighted(near[:, side], weights) for side in (0, 1))
        sure = (torch.maximum(a, b) > CLOSE) & ((a - b).abs() > CLOSE)
        winner = torch.where(a > b, picked(self.one, cells), picked(self.other, cells))
        return winner.masked_fill_(~sure, UNDECIDED)


def _weighted(values: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """(n,) sums of (n, 8) products in full float32: a matrix product may be set to round its factors."""
    if values.device.type == "cpu":
        return torch.from_numpy(np.einsum("np,np->n", values.numpy(), weights.numpy()))
    return (values * weights).sum(dim=1)


def duels_of(
    part: Part, low: torch.Tensor, high: torch.Tensor, cells: torch.Tensor, nearest: int | None
) -> Duels:
    """The duels in ``cells`` (n,), counted through ``low`` and ``high``: the corners' extreme choices.

    Softmax only. Memory: 70 bytes a cell, 7 bytes a node.
    """
    shape = part.leaders.winner.shape
    one, other = picked(low.flatten(), cells), picked(high.flatten(), cells)
    x, y, z = unravelled(cells, low.shape)
    base = (x * shape[1] + y) * shape[2] + z
    strides = (shape[1] * shape[2], shape[2], 1)
    steps = [0 if axis == nearest or shape[axis] == 1 else strides[axis] for axis in range(3)]
    corners = [base + i * steps[0] + j * steps[1] + k * steps[2] for i, j, k in np.ndindex(2, 2, 2)]
    rivals = _Rivals(part, corners)
    leads = torch.empty((len(cells), 16), dtype=torch.float32, device=cells.device)
    for number, nodes in enumerate(corners):
        leads[:, number], leads[:, 8 + number] = rivals.leads(nodes, one, other)
    return Duels(one, other, leads)


class _Rivals:
    """The three best at the nodes that are corners."""

    def __init__(self, part: Part, corners: list[torch.Tensor]) -> None:
        self._values = part.values.reshape(-1)
        self._winner, best, self._second = (field.flatten() for field in part.leaders.fields)
        self._runner, self._third = torch.zeros_like(self._winner), torch.empty_like(best)
        needed = torch.zeros_like(self._winner, dtype=torch.bool)
        for nodes in corners:
            needed[nodes] = True
        flat = part.values.reshape(len(part.values), -1)
        step = CACHED if flat.device.type == "cpu" else GATHERED_ON_GPU
        for some in places_of(needed).split(step):
            self._runner[some], self._third[some] = _runner_and_third(
                flat.index_select(1, some), self._winner[some]
            )

    def leads(
        self, nodes: torch.Tensor, one: torch.Tensor, other: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """By how much two choices lead all others at ``nodes``; ``NEVER`` where a third one wins."""
        winner, runner = picked(self._winner, nodes), picked(self._runner, nodes)
        second = picked(self._second, nodes)
        third = torch.where((runner == one) | (runner == other), picked(self._third, nodes), second)
        alone = (winner != one) & (winner != other)
        leads = []
        for choice in (one, other):
            own = picked(self._values, choice.long() * len(self._winner) + nodes)
            leads.append((own - third).masked_fill_(alone, NEVER))
        return leads[0], leads[1]


def _runner_and_third(values: torch.Tensor, winner: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Who is second, and the third-best value, of (channels, n); -inf with two channels."""
    values.scatter_(0, winner.long()[None], -torch.inf)
    second, third = torch.full_like(values[0], -torch.inf), torch.full_like(values[0], -torch.inf)
    runner, higher = torch.zeros_like(winner), torch.empty_like(winner, dtype=torch.bool)
    lower = torch.empty_like(second)
    for choice, score in enumerate(values):
        torch.minimum(second, score, out=lower)
        torch.maximum(third, lower, out=third)
        torch.gt(score, second, out=higher)
        runner.masked_fill_(higher, choice)
        torch.maximum(second, score, out=second)
    return runner, third

"""Where a label could be another: by a network's own probabilities, and by its disagreement with itself."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from tomosurf.data.geometry import Geometry
from tomosurf.data.segmentation import Doubt
from tomosurf.segment.model.spec import ModelDescription
from tomosurf.segment.outputs.decision import Decision
from tomosurf.segment.outputs.part import Part
from tomosurf.segment.outputs.picking import box_of, on_host, places_of

LEAST = 1 / 512
"""Doubt below this counts as none (probability)."""

DOUBTFUL = 0.25
"""From here on a voxel's label counts as doubtful (probability)."""

ON_CPU, ON_GPU = 1 << 22, 1 << 26
"""Logits looked at at a time: bounds the memory, whatever the number of channels."""


@dataclass(frozen=True, slots=True)
class Trust:
    """How outputs are read as probabilities: divided by ``temperature``, which was measured or is 1."""

    temperature: float = 1.0
    calibrated: bool = False
    sources: tuple[str, ...] = ("network",)


def trust_of(spec: ModelDescription, *, mirrored: bool = False, folds: int = 1) -> Trust:
    """How a model's outputs are read when it ran over ``mirrored`` images and so many ``folds``."""
    more = (("mirrors", mirrored and bool(spec.mirror_axes)), ("folds", folds > 1))
    sources = ("network", *(name for name, there in more if there))
    if spec.calibration is None:
        return Trust(sources=sources)
    return Trust(spec.calibration.temperature, True, sources)


def probability_wrong(
    values: torch.Tensor, winner: torch.Tensor, decision: Decision, temperature: torch.Tensor
) -> torch.Tensor:
    """(n,) float32: the probability that the label that ``winner`` gives is wrong; ``values`` (channels, n).

    The sum of the probabilities of all choices that give another label. ``temperature`` is one for all places
    or one for each.
    """
    labels = torch.tensor(decision.labels, dtype=torch.int32, device=values.device)
    probabilities = decision.log_probabilities(values / temperature).exp_()
    same = labels[:, None] == labels[winner.int()][None]
    return probabilities.masked_fill_(same, 0).sum(dim=0)


def moderation(spread: torch.Tensor, temperature: float) -> torch.Tensor:
    """By how much a margin is divided when its members differ by a standard deviation ``spread``: 1 or more.

    A logistic function averaged over a normal distribution of its argument is nearly the logistic function of
    the mean divided by sqrt(1 + pi s^2 / 8).

    Reference: D. J. C. MacKay, The evidence framework applied to classification networks, Neural Computation
    4:720 (1992).
    """
    return (1 + (math.pi / 8) * (spread / temperature) ** 2).sqrt()


class DoubtField:
    """Doubt in the making, slab by slab; memory: 2 bytes a node in the slabs' boxes of doubt."""

    def __init__(self, grid: Geometry, decision: Decision, trust: Trust) -> None:
        self._grid, self._decision, self._trust = grid, decision, trust
        self._parts: list[tuple[NDArray[np.int_], NDArray[np.float16]]] = []
        self._choices = len(decision.labels)
        self._doubtful: Counter[int] = Counter()

    def add(self, part: Part) -> None:
        """Outputs that follow those before; what wasn't measured claims nothing, and is not in doubt."""
        leaders, values, measured, spread = part.leaders, part.values, part.measured, part.spread
        temperature = self._trust.temperature
        wider = None if spread is None else moderation(spread, temperature)
        lead = leaders.best - leaders.second
        # All others together have at most choices * exp(-lead / temperature); with regions, half that lead.
        reach = temperature * math.log(self._choices / LEAST)
        reach *= 2 if self._decision.activation == "sigmoid" else 1
        close = lead <= (reach if wider is None else reach * wider)
        if measured is not None:
            close &= measured
        near = places_of(close)
        doubt = torch.zeros(lead.numel(), dtype=torch.float16, device=lead.device)
        flat, winner = values.reshape(len(values), -1), leaders.winner.flatten()
        for some in near.split(max(1, (ON_GPU if flat.is_cuda else ON_CPU) // self._choices)):
            own = torch.full((), temperature, device=flat.device)
            if wider is not None:
                own = own * wider.flatten()[some]
            own_values, own_winner = flat.index_select(1, some), winner[some]
            wrong = probability_wrong(own_values, own_winner, self._decision, own)
            self._count(own_values, own_winner, own, wrong >= DOUBTFUL)
            doubt[some] = torch.where(wrong >= LEAST, wrong, 0).to(torch.float16)
        self._keep(part.corner, doubt.reshape(lead.shape))

    def doubt(self) -> Doubt:
        """The whole of it, cut to the box of what is doubtful; one node in the middle where nothing is."""
        starts = np.array([corner for corner, _ in self._parts]).reshape(-1, 3)
        stops = np.array([corner + part.shape for corner, part in self._parts]).reshape(-1, 3)
        middle = np.array(self._grid.shape) // 2
        start = starts.min(axis=0) if len(starts) else middle
        stop = stops.max(axis=0) if len(stops) else middle + 1
        whole = np.zeros(tuple(stop - start), np.float16, order="F")
        for corner, part in self._parts:
            whole[tuple(slice(a, a + n) for a, n in zip(corner - start, part.shape, strict=True))] = part
        self._parts.clear()
        a, b, c = start.tolist()
        grid = self._grid.cropped((a, b, c), whole.shape)
        return Doubt(grid, whole, self._trust.calibrated, self._trust.sources)

    @property
    def doubtful_mm3(self) -> dict[int, float]:
        """Label to the volume, mm3, of doubtful voxels on both sides of its boundary: its own ones, and others.

        A voxel is doubtful when its label is wrong with probability ``DOUBTFUL`` or more. Those of others
        count where this label is at least a third as probable as the one that they have.
        """
        return {label: count * self._grid.voxel_volume for label, count in sorted(self._doubtful.items())}

    def _count(
        self, values: torch.Tensor, winner: torch.Tensor, temperature: torch.Tensor, doubtful: torch.Tensor
    ) -> None:
        places = places_of(doubtful)
        if len(places):
            own = temperature if temperature.ndim == 0 else temperature[places]
            logs = self._decision.log_probabilities(values[:, places] / own)
            best = logs.gather(0, winner[places].long()[None])
            contends = logs >= best + math.log(DOUBTFUL / (1 - DOUBTFUL))
            choices = torch.nonzero(contends.any(dim=1)).flatten().tolist()
            for label in {self._decision.labels[choice] for choice in choices} - {0}:
                same = contends[list(self._decision.choices_of(label))]
                self._doubtful[label] += int(same.any(dim=0).sum())

    def _keep(self, corner: tuple[int, int, int], doubt: torch.Tensor) -> None:
        box = box_of(doubt > 0)
        if box is not None:
            start = np.array(corner) + [first for first, _ in box]
            cut = doubt[tuple(slice(a, b) for a, b in box)]
            self._parts.append((start, on_host(cut) if cut.is_cuda else cut.numpy().copy()))

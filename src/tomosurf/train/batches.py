"""Cases as the network sees them, and windows cut from them, together on one device."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import one_hot

from tomosurf.errors import DataError
from tomosurf.segment.grids import resample, turn, turned
from tomosurf.segment.model.spec import ModelDescription
from tomosurf.segment.prepare.prepare import prepare
from tomosurf.train.decathlon import LabelledCase
from tomosurf.train.draws import seed_of

Triple = tuple[int, int, int]

KNOWN = 4096
"""About so many labelled voxels of each case are remembered, to lay windows around."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Windows: ``images`` (n, 1, x, y, z) float32, ``inside`` likewise (1 within the image), ``targets``
    (n, channels, x, y, z) float32, the probability of every channel.
    """

    images: torch.Tensor
    inside: torch.Tensor
    targets: torch.Tensor


@dataclass(frozen=True, slots=True)
class CaseStack:
    """Cases of one part of the split, each on the network's grid.

    ``images`` are (x, y, z) float32, ``labels`` (x, y, z) uint8, ``soft`` (channels - 1, x, y, z) float16: what
    teachers say of every channel but the background, or nothing. ``weight`` is the teachers' share in targets.
    ``labelled`` are some of each case's labelled voxels, (m, 3), on the host.
    """

    names: tuple[str, ...]
    images: tuple[torch.Tensor, ...]
    labels: tuple[torch.Tensor, ...]
    labelled: tuple[NDArray[np.int64], ...]
    roi: Triple
    channels: int
    soft: tuple[torch.Tensor, ...] = ()
    weight: float = 0.0

    def __len__(self) -> int:
        return len(self.images)

    @property
    def device(self) -> torch.device:
        """Where the cases lie."""
        return self.images[0].device if self.images else torch.device("cpu")

    def only(self, names: Iterable[str]) -> CaseStack:
        """Some of the cases, in the order of this stack."""
        wanted = set(names)
        kept = [number for number, name in enumerate(self.names) if name in wanted]
        return replace(
            self,
            names=tuple(self.names[n] for n in kept),
            images=tuple(self.images[n] for n in kept),
            labels=tuple(self.labels[n] for n in kept),
            labelled=tuple(self.labelled[n] for n in kept),
            soft=tuple(self.soft[n] for n in kept) if self.soft else (),
        )

    def taught(self, soft: Sequence[torch.Tensor], weight: float) -> CaseStack:
        """The same cases with what teachers say of them."""
        return replace(self, soft=tuple(soft), weight=weight)

    def draw(self, step: int, size: int, seed: int, foreground: float) -> list[tuple[int, Triple]]:
        """Case and first voxel of each window of one step; every case comes once before any comes again.

        The same for the same step and seed, whatever came before: a resumed run goes on as it would have. The
        first voxel is below 0 where the case is smaller than the window, which then has it in its middle.
        """
        windows = []
        for place in range(step * size, (step + 1) * size):
            turn_number, position = divmod(place, len(self))
            order = np.random.default_rng(seed_of(seed, "order", turn_number)).permutation(len(self))
            case = int(order[position])
            random = np.random.default_rng(seed_of(seed, "window", place))
            windows.append((case, self._corner(case, random, foreground)))
        return windows

    def batch(self, windows: Sequence[tuple[int, Triple]]) -> Batch:
        """The windows themselves."""
        shape = (len(windows), 1, *self.roi)
        images, inside = torch.zeros(shape, device=self.device), torch.zeros(shape, device=self.device)
        labels = torch.zeros((len(windows), *self.roi), dtype=torch.uint8, device=self.device)
        soft = torch.zeros((len(windows), self.channels - 1, *self.roi), device=self.device)
        for number, (case, corner) in enumerate(windows):
            into, out_of = overlap(corner, self.roi, tuple(self.images[case].shape))
            images[number, 0][into] = self.images[case][out_of]
            inside[number, 0][into] = 1
            labels[number][into] = self.labels[case][out_of]
            if self.soft:
                soft[number][(slice(None), *into)] = self.soft[case][(slice(None), *out_of)].float()
        targets = one_hot(labels.long(), self.channels).movedim(-1, 1).float()
        if self.soft:
            said = torch.cat([1 - soft.sum(dim=1, keepdim=True), soft], dim=1)
            targets = torch.lerp(targets, said, self.weight)
        return Batch(images, inside, targets)

    def middles(self) -> list[tuple[int, Triple]]:
        """One window a case, with the image in its middle, or else what is labelled."""
        return [(case, self._corner(case, None, 1.0)) for case in range(len(self))]

    def _corner(self, case: int, random: np.random.Generator | None, foreground: float) -> Triple:
        shape = self.images[case].shape
        free = [max(size - edge, 0) for size, edge in zip(shape, self.roi, strict=True)]
        corner = [
            -((edge - size) // 2) if edge > size else 0 for size, edge in zip(shape, self.roi, strict=True)
        ]
        if any(free):
            around = self._labelled(case, random) if random is None or random.random() < foreground else None
            for axis in (axis for axis in range(3) if free[axis]):
                if around is not None:
                    corner[axis] = min(max(around[axis] - self.roi[axis] // 2, 0), free[axis])
                elif random is not None:
                    corner[axis] = int(random.integers(free[axis] + 1))
        return corner[0], corner[1], corner[2]

    def _labelled(self, case: int, random: np.random.Generator | None) -> list[int] | None:
        """A labelled voxel, or the middle of all; None where there is none."""
        places = self.labelled[case]
        if not len(places):
            return None
        if random is None:
            return [int(n) for n in (places.min(axis=0) + places.max(axis=0)) // 2]
        return [int(n) for n in places[int(random.integers(len(places)))]]


def stack_cases(cases: Sequence[LabelledCase], model: ModelDescription, device: torch.device) -> CaseStack:
    """Cases on the network's grid, normalised as in use.

    Raises:
        DataError: a case holds a label that the model has no channel for, or the model has no window.
    """
    if model.window is None:
        raise DataError("training needs a window")
    images: list[torch.Tensor] = []
    labels: list[torch.Tensor] = []
    labelled: list[NDArray[np.int64]] = []
    for case in cases:
        if int(case.labels.max()) >= model.channels:
            raise DataError(f"{case.name} holds a label that is no channel of the model")
        seen = prepare((case.volume,), model.input)
        same = turn(case.volume.geometry, seen.grid)
        if same is None:
            drawn = torch.from_numpy(np.ascontiguousarray(case.labels, np.float32))[None]
            drawn = resample(drawn, case.volume.geometry, seen.grid, "nearest")[0]
        else:
            drawn = torch.from_numpy(np.ascontiguousarray(turned(case.labels, same), np.float32))
        images.append(torch.from_numpy(seen.image[0].copy()).to(device))
        labels.append(drawn.to(torch.uint8).to(device))
        places = np.argwhere(drawn.numpy() > 0)
        labelled.append(places[:: max(len(places) // KNOWN, 1)])
    return CaseStack(
        tuple(case.name for case in cases),
        tuple(images),
        tuple(labels),
        tuple(labelled),
        model.window.roi,
        model.channels,
    )


def overlap(
    corner: Triple, roi: Triple, shape: tuple[int, ...]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """What of the window a case fills, and with what of itself."""
    into, out_of = [], []
    for first, edge, size in zip(corner, roi, shape, strict=True):
        start, stop = max(first, 0), min(first + edge, size)
        into.append(slice(start - first, stop - first))
        out_of.append(slice(start, stop))
    return tuple(into), tuple(out_of)

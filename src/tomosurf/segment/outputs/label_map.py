"""The label map on an image's own grid from a network's outputs on another, part by part, and exact.

Only voxels in cells whose corners disagree are interpolated: elsewhere the corners' winner wins inside too
(see :mod:`tomosurf.segment.outputs.decision`), so that nothing is lost, however small. A GPU with few channels
interpolates whole boxes, and then takes no more of them than that.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tomosurf.data.geometry import Geometry
from tomosurf.segment.device import free_gpu_bytes
from tomosurf.segment.grids import SLAB_VOXELS
from tomosurf.segment.outputs.decision import Decision, best_of, leaders_of
from tomosurf.segment.outputs.duel import UNDECIDED, Duels, duels_of
from tomosurf.segment.outputs.part import Part
from tomosurf.segment.outputs.picking import box_of, picked, places_of, unravelled
from tomosurf.segment.outputs.reading import OUTSIDE, Box, ParallelReading, reading_of

MIXED = -2
"""Instead of a label, or less: the corners of this cell disagree."""

VOXELS_AT_ONCE = 1 << 20
"""Voxels decided at a time."""

VALUES_ON_CPU, VALUES_ON_GPU = 1 << 20, 1 << 24
"""Values of all channels interpolated at a time: bounds the memory, whatever the number of channels."""

VALUES_IN_BOX = 1 << 26
"""The same for whole boxes, which take 13 bytes a value."""

FEW = 64
"""Up to so many channels a GPU interpolates whole boxes faster than it finds the voxels that need it."""

SHARE = 0.05
"""Of a GPU's free memory, for a label map that stays there until it is complete."""


class LabelMap:
    """A label map in the making on the grid of ``image``, from parts that come in order.

    ``dense``: interpolate every voxel of a box where any needs it, axes being parallel; None: so a GPU does few
    channels.
    """

    def __init__(
        self,
        image: Geometry,
        nodes: Geometry,
        decision: Decision,
        nearest: int | None,
        dense: bool | None = None,
    ) -> None:
        self._labels: NDArray[Any] = empty_labels(image.shape, decision.top)
        self._there: torch.Tensor | None = None
        self._begun = False
        self._reading, self._nodes = reading_of(nodes, image, nearest), nodes.shape
        self._decision, self._dense = decision, dense
        self._behind: Part | None = None

    @property
    def labels(self) -> NDArray[Any]:
        """uint8 or uint16, Fortran-ordered; 0 where nothing was written yet."""
        if self._there is not None:
            self._labels, self._there = self._there.cpu().numpy().T, None
        return self._labels

    def add(self, part: Part) -> None:
        """Write the voxels in ``part``, and between the one before and it."""
        axis, planes = part.axis, part.planes
        if not self._begun:
            self._stay(part.values.device)
        if axis == self._reading.nearest or self._nodes[axis] == 1:
            self._label(part)
            return
        if self._behind is not None:
            self._label(self._behind.joined(part.between(0, 1)))
        if planes > 1:
            self._label(part)
        self._behind = part.between(planes - 1, planes).cloned()

    def _label(self, part: Part) -> None:
        """Write the voxels whose cells lie in ``part``."""
        low, high = self._extremes(part.leaders.winner)
        codes, mixed = self._codes(low, high)
        told = box_of(codes != 0)
        if told is None:
            return
        x, y, z = ((a + start, b + start) for (a, b), start in zip(told, part.corner, strict=True))
        reading, dense = self._reading, self._dense
        if dense is None:
            dense = part.values.is_cuda and len(part.values) <= FEW
        if isinstance(reading, ParallelReading) and dense:
            at_once = min(SLAB_VOXELS, max(1, VALUES_IN_BOX // len(part.values)))
            for box in reading.boxes((x, y, z), at_once):
                self._write(box, self._boxful(reading, codes, part, box))
            return
        duels = None
        if self._decision.activation == "softmax" and len(mixed):
            duels = duels_of(part, low, high, mixed, reading.nearest)
        for box in reading.boxes((x, y, z)):
            found = reading.lookup(codes, part.corner, box)
            self._resolve(found, box, part, duels)
            self._write(box, found)

    def _boxful(self, reading: ParallelReading, codes: torch.Tensor, part: Part, box: Box) -> torch.Tensor:
        """Labels (nk, nj, ni) of a box; every voxel of it is interpolated if any lies in a mixed cell."""
        found = reading.lookup(codes, part.corner, box)
        mixed = found <= MIXED
        if not bool(mixed.any()):
            return found
        values = reading.interpolated(part.values, part.corner, box)
        winner = best_of(values, self._decision)
        labels = torch.tensor(self._decision.labels, dtype=torch.int32, device=found.device)
        return torch.where(mixed, labels[winner], found)

    def _extremes(self, winner: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The lowest and the highest choice at each cell's corners."""
        low = high = winner
        for axis, count in enumerate(winner.shape):
            if count > 1 and axis != self._reading.nearest:
                low = torch.minimum(low.narrow(axis, 0, count - 1), low.narrow(axis, 1, count - 1))
                high = torch.maximum(high.narrow(axis, 0, count - 1), high.narrow(axis, 1, count - 1))
        return low, high

    def _codes(self, low: torch.Tensor, high: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Each cell's label, or ``MIXED`` less its number among the mixed (int32); and where these are."""
        codes = low.to(torch.int32)
        for choice, label in enumerate(self._decision.labels):
            if choice != label:
                codes.masked_fill_(low == choice, label)
        mixed = places_of(low != high)
        codes.view(-1)[mixed] = MIXED - torch.arange(len(mixed), dtype=torch.int32, device=mixed.device)
        return codes, mixed

    def _resolve(self, found: torch.Tensor, box: Box, part: Part, duels: Duels | None) -> None:
        """Put labels where ``found`` (nk, nj, ni) names mixed cells."""
        flat, device = found.view(-1), part.values.device
        labels = torch.tensor(self._decision.labels, dtype=torch.int32, device=found.device)
        (i0, _), (j0, _), (k0, _) = box
        for some in places_of(flat <= MIXED).split(VOXELS_AT_ONCE):
            k, j, i = unravelled(some, found.shape)
            index = torch.stack([i + i0, j + j0, k + k0]).to(device)
            winner = torch.full(some.shape, UNDECIDED, dtype=torch.int16, device=device)
            if duels is not None:
                cells = (MIXED - picked(flat, some)).to(device)
                winner = duels.winners(cells, self._reading.beyond(index))
            rest = places_of(winner == UNDECIDED)
            held = VALUES_ON_GPU if device.type == "cuda" else VALUES_ON_CPU
            for few in rest.split(max(1, held // len(part.values))):
                winner[few] = self._interpolate(part, index[:, few])
            flat[some] = picked(labels, winner.to(found.device).long())

    def _interpolate(self, part: Part, index: torch.Tensor) -> torch.Tensor:
        """The choices (n,) that win at voxels (3, n): all channels interpolated, then decided."""
        values = _between(part, self._reading.lower(index), self._reading.beyond(index))
        return leaders_of(values[..., None, None], self._decision).winner.flatten()

    def _stay(self, device: torch.device) -> None:
        """Keep the labels on a GPU that has room for them."""
        self._begun = True
        if device.type != "cuda" or not isinstance(self._reading, ParallelReading):
            return
        if self._labels.dtype == np.uint8 and self._labels.nbytes <= SHARE * free_gpu_bytes(device):
            self._there = torch.zeros(self._labels.shape[::-1], dtype=torch.uint8, device=device)

    def _write(self, box: Box, found: torch.Tensor) -> None:
        (i0, i1), (j0, j1), (k0, k1) = box
        if self._there is not None:
            self._there[k0:k1, j0:j1, i0:i1] = found
            return
        into = self._labels.T[k0:k1, j0:j1, i0:i1]
        small = found.to(torch.uint8) if self.labels.dtype == np.uint8 and found.is_cuda else found
        values = small.cpu().numpy()
        if found.device.type == "cpu" and bool((found == OUTSIDE).any()):
            np.copyto(into, values, where=values != OUTSIDE, casting="unsafe")
        else:
            into[...] = values


def empty_labels(shape: tuple[int, int, int], top: int) -> NDArray[Any]:
    """Zeros that can hold labels up to ``top``, Fortran-ordered."""
    return np.zeros(shape, np.uint8 if top < 256 else np.uint16, order="F")


def _between(part: Part, lower: torch.Tensor, fraction: torch.Tensor) -> torch.Tensor:
    """(channels, n): values interpolated ``fraction`` beyond the lower corners of cells, (3, n) both."""
    shape = part.values.shape[1:]
    flat = part.values.reshape(len(part.values), -1)
    strides = (shape[1] * shape[2], shape[2], 1)
    base = torch.zeros_like(lower[0])
    steps = []
    for axis, stride in enumerate(strides):
        here = lower[axis] - part.corner[axis]
        base += here * stride
        steps.append(torch.where(here + 1 < shape[axis], stride, 0))
    axes = [axis for axis in range(3) if bool(fraction[axis].any())]
    corners = [base]
    for axis in axes:
        corners = [nodes for lower_node in corners for nodes in (lower_node, lower_node + steps[axis])]
    values = [flat.index_select(1, nodes) for nodes in corners]
    for axis in reversed(axes):
        pairs = zip(values[::2], values[1::2], strict=True)
        values = [low.lerp_(high, fraction[axis]) for low, high in pairs]
    return values[0]

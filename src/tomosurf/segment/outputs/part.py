"""A slab with all that is asked of it: who leads where, what was measured, where it lies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from tomosurf.data.geometry import Geometry
from tomosurf.segment.device import free_gpu_bytes
from tomosurf.segment.outputs.decision import Decision, Leaders, leaders_of
from tomosurf.segment.outputs.reading import seeing_nodes
from tomosurf.segment.outputs.slab import CHUNKS, ROOM_A_NODE, Slab
from tomosurf.segment.prepare.prepare import Prepared


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Outputs between two planes of the nodes: ``values`` (channels, x, y, z), and what follows from them.

    ``spread`` is the slab's own; ``measured`` (x, y, z) is None where all was.
    """

    axis: int
    start: int
    values: torch.Tensor
    leaders: Leaders
    spread: torch.Tensor | None = None
    measured: torch.Tensor | None = None

    @property
    def planes(self) -> int:
        """Number of planes along ``axis``."""
        return int(self.values.shape[1 + self.axis])

    @property
    def stop(self) -> int:
        """The first plane after it."""
        return self.start + self.planes

    @property
    def corner(self) -> tuple[int, int, int]:
        """The first node."""
        x, y, z = (self.start if axis == self.axis else 0 for axis in range(3))
        return x, y, z

    def between(self, first: int, stop: int) -> Part:
        """Views of the planes from ``first`` to ``stop``, counted from this one's own first; no spread."""
        cut = self.values.narrow(1 + self.axis, first, stop - first)
        return Part(self.axis, self.start + first, cut, self.leaders.narrowed(self.axis, first, stop))

    def cloned(self) -> Part:
        """The same with memory of its own; no spread."""
        return Part(self.axis, self.start, self.values.clone(), self.leaders.cloned())

    def joined(self, following: Part) -> Part:
        """This and what follows it, copied together; no spread."""
        leaders = [
            torch.cat(pair, dim=self.axis)
            for pair in zip(self.leaders.fields, following.leaders.fields, strict=True)
        ]
        values = torch.cat([self.values, following.values], dim=1 + self.axis)
        return Part(self.axis, self.start, values, Leaders(*leaders))


def part_of(slab: Slab, decision: Decision, measured: NDArray[np.bool_] | None) -> Part:
    """A slab's part; its values are changed where nothing was ``measured`` (on the nodes' grid).

    Where a GPU's memory doesn't suffice for what follows, the slab is moved to the host.
    """
    values, spread, there = slab.values, slab.spread, None
    if values.is_cuda and free_gpu_bytes(values.device) < ROOM_A_NODE * values[0].numel() + CHUNKS:
        values, spread = values.cpu(), None if spread is None else spread.cpu()
    values = values.contiguous()
    if measured is not None:
        planes = [slice(None)] * 3
        planes[slab.axis] = slice(slab.start, slab.stop)
        there = torch.from_numpy(np.ascontiguousarray(measured[tuple(planes)])).to(values.device)
        values = decision.without_unmeasured(values, there)
    return Part(slab.axis, slab.start, values, leaders_of(values, decision), spread, there)


def measured_nodes(seen: Prepared, image: Geometry) -> NDArray[np.bool_] | None:
    """Where the nodes see something that was measured: not padding, nor what a model padded; None: everywhere."""
    spans = seeing_nodes(seen.grid, image)
    if spans is None or spans == tuple((0, count) for count in seen.grid.shape):
        return seen.measured
    inside = np.zeros(seen.grid.shape, bool)
    inside[tuple(slice(first, stop) for first, stop in spans)] = True
    return inside if seen.measured is None else inside & seen.measured

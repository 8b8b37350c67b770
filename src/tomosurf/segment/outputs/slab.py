"""A finished piece of a network's outputs, on its way from the engine to labels and margins."""

from __future__ import annotations

from dataclasses import dataclass

import torch

CHUNKS = 1 << 30
"""Bytes of a GPU's memory that whoever takes slabs needs for what is done in chunks."""

ROOM_A_NODE = 96
"""And for each node of a slab, beside its values."""


@dataclass(frozen=True, slots=True, eq=False)
class Slab:
    """The outputs between two planes of the network's grid.

    ``values`` are blended logits, (channels, x, y, z), float32 on the engine's device; along ``axis`` they
    begin at plane ``start`` of the grid, along the others they are whole. Slabs come in order, without gaps
    or overlap; whoever takes one may change it. ``spread`` (x, y, z) is the standard deviation over folds and
    mirrored images of the margin between the two best channels, None where the network ran once.
    """

    axis: int
    start: int
    values: torch.Tensor
    spread: torch.Tensor | None = None

    @property
    def stop(self) -> int:
        """The first plane after the slab."""
        return self.start + int(self.values.shape[1 + self.axis])

"""Weights in the order in which the kernels read them; see kernels.cu.

Columns of a product of 32 channels are shuffled so that a thread's eight sums are neighbouring channels: column
8j + 2q + e is channel 8q + 2j + e. Fragments of warp products are those of ``mma.m16n8k16`` (PTX ISA).
"""

from __future__ import annotations

import torch

TURNS = (2, 1, 0, 2, 1)
"""kz in the order of :func:`walked`: any three neighbours are the three of one step."""


def _columns() -> torch.Tensor:
    """The channel of each column."""
    column = torch.arange(32)
    return column % 8 // 2 * 8 + column // 8 * 2 + column % 2


def _channels() -> torch.Tensor:
    """The channel of each (step of 16, row of k) in a block of 32 whose 16 bytes a thread loads at once."""
    step, row = torch.arange(2)[:, None], torch.arange(16)[None]
    return row % 8 // 2 * 8 + step * 4 + row // 8 * 2 + row % 2


def walked(weights: torch.Tensor) -> torch.Tensor:
    """(out, in, kz, ky, kx) to (block of 32 out, ky, kx, eight of in, kz, out, in of eight) float16."""
    out, inputs = weights.shape[:2]
    parts = weights.reshape(out // 32, 32, inputs // 8, 8, 3, 3, 3)[:, _columns()]
    return parts.permute(0, 5, 6, 2, 4, 1, 3)[:, :, :, :, list(TURNS)].half().contiguous()


def first(weights: torch.Tensor) -> torch.Tensor:
    """(32, in, 3, 3, 3) to (2 of k an input, 4 of columns, 2 halves, lane, 2) float16: right-hand fragments.

    27 taps of an input are filled up to 32, three inputs to four.
    """
    inputs = weights.shape[1]
    room = inputs if inputs < 3 else 4
    taps = torch.zeros((room, 32, 32), dtype=weights.dtype)
    taps[:inputs, :27] = weights.reshape(32, inputs, 27).permute(1, 2, 0)
    taps = taps[:, :, _columns()].reshape(
        2 * room, 2, 4, 2, 4, 8
    )  # k as (step, half, q, e), columns as (j, c)
    return taps.permute(0, 4, 1, 5, 2, 3).half().contiguous()


def raised(weights: torch.Tensor) -> torch.Tensor:
    """(in, 32, 2, 2, 2) to (tap, step of k, pair of columns, lane, 2 columns, 2 halves, 2) float16."""
    inputs = weights.shape[0]
    table = weights.reshape(inputs // 32, 32, 32, 8)[:, _channels().reshape(-1)][:, :, _columns()]
    table = table.reshape(inputs // 16, 2, 4, 2, 2, 2, 8, 8)  # (step, half, q, e, pair, j, c, tap)
    return table.permute(7, 0, 4, 6, 2, 5, 1, 3).half().contiguous()


def heads(weights: torch.Tensor) -> torch.Tensor:
    """(classes, 32, 1, 1, 1) to (16 of classes, 2 of k, 4, lane, 2) float16: left-hand fragments."""
    classes = weights.shape[0]
    groups = -(-classes // 16)
    rows = torch.zeros((groups * 16, 32), dtype=weights.dtype)
    rows[:classes] = weights.reshape(classes, 32)
    table = rows[:, _channels().reshape(-1)].reshape(
        groups, 2, 8, 2, 2, 4, 2
    )  # (g, down, r, step, half, q, e)
    return table.permute(0, 3, 4, 1, 2, 5, 6).half().contiguous()

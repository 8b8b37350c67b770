"""Picking elements out of tensors: on a CPU through numpy, which is several times faster there than torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray


def picked(tensor: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """``tensor[index]`` for (n,) ``index`` along the first axis."""
    if tensor.device.type == "cpu":
        return torch.from_numpy(tensor.numpy().take(index.numpy(), axis=0))
    return tensor[index]


def places_of(mask: torch.Tensor) -> torch.Tensor:
    """(n,) int64: where ``mask`` is true, counted through it in C order."""
    if mask.device.type == "cpu":
        return torch.from_numpy(np.flatnonzero(mask.numpy()).astype(np.int64, copy=False))
    return torch.nonzero(mask.flatten()).flatten()


def on_host(field: torch.Tensor) -> NDArray[Any]:
    """A field (x, y, z) in the host's memory; a GPU turns it first, so that x lies innermost as in images."""
    here: NDArray[Any] = (
        field.permute(2, 1, 0).contiguous().cpu().numpy().T if field.is_cuda else field.numpy()
    )
    return here


def unravelled(
    index: torch.Tensor, shape: tuple[int, ...]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The three indices of places counted through ``shape`` in C order; torch's own loads sympy."""
    rows = torch.div(index, shape[2], rounding_mode="floor")
    first = torch.div(rows, shape[1], rounding_mode="floor")
    return first, rows - first * shape[1], index - rows * shape[2]


def box_of(mask: torch.Tensor) -> tuple[tuple[int, int], ...] | None:
    """Start and stop, along each of three axes, of the box of ``mask``'s true elements; None without any."""
    spans = []
    for axis in range(3):
        if mask.device.type == "cpu":
            others = tuple(n for n in range(3) if n != axis)
            here = np.flatnonzero(mask.numpy().any(axis=others)).tolist()
        else:
            first, second = (n for n in (2, 1, 0) if n != axis)
            here = torch.nonzero(mask.any(dim=first).any(dim=second)).flatten().tolist()
        if not here:
            return None
        spans.append((here[0], here[-1] + 1))
    return tuple(spans)

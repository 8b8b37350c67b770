"""The number format that training and its networks' answers are computed in."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch


def half_precision(device: torch.device) -> Any:
    """A context: bfloat16 with float32 weights on a GPU, float32 elsewhere."""
    return torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()

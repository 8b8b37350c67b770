"""The layer that a network's outputs come from, kept in float32 while the rest computes in half precision.

Outputs in half precision come in steps (1/32 at a bfloat16 of 8): two channels would tie along whole surfaces, and
margins would be staircases.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch


class Float32Head(torch.nn.Module):  # type: ignore[misc]  # (torch is not followed)
    """A module that computes in float32, whatever comes in and whatever autocast says."""

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner.float()

    def forward(self, features: torch.Tensor) -> Any:
        """The inner module's output, float32."""
        with torch.autocast(features.device.type, enabled=False):
            return self.inner(features.float())


def keep_head(network: torch.nn.Module, shape: tuple[int, ...]) -> bool:
    """Put the network's last layer into float32, in place; False when its last step is no layer of its own.

    The layer is found by sending the ``shape`` (n, channels, x, y, z) of windows through a copy without numbers.
    """
    if any(isinstance(module, Float32Head) for module in network.modules()):
        return True
    name = _last_layer(network, shape)
    if not name:
        return False
    parent, _, leaf = name.rpartition(".")
    setattr(network.get_submodule(parent), leaf, Float32Head(network.get_submodule(name)))
    return True


def _last_layer(network: torch.nn.Module, shape: tuple[int, ...]) -> str:
    """The name of the innermost module whose output is the network's own; "" when only the network is."""
    ghost = deepcopy(network).to("meta")
    outputs: dict[str, Any] = {}
    for name, module in ghost.named_modules():
        module.register_forward_hook(lambda _m, _i, out, name=name: outputs.__setitem__(name, out))
    try:
        with torch.no_grad():
            result = ghost(torch.empty(shape, device="meta"))
    except (RuntimeError, NotImplementedError, TypeError, ValueError):
        return ""  # an operator that can't work on shapes alone
    same = [name for name, out in outputs.items() if out is result and name]
    return max(same, key=lambda name: name.count("."), default="")

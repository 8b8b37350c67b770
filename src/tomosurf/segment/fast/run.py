"""A U-shaped network on a Hopper GPU: its two finest levels by kernels of our own, the rest compiled by torch.

At full resolution torch's convolutions of 32 channels reach a third of the GPU's rate, and norms, joins and
activations between them cost as much again in passes over memory; see docs/explanation/fast-network.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import torch
import torch._dynamo
from torch import nn

from tomosurf.errors import ModelError
from tomosurf.segment.fast import layout
from tomosurf.segment.fast.operations import Operations, Values, Weights
from tomosurf.segment.fast.plan import Level, Plan, plan

HOPPER = (9, 0)
ERROR = 0.02
"""Greatest relative error (Euclidean norm) of the outputs on random windows, against the network in float32."""

Shape = tuple[int, int, int, int, int]
Fast = Callable[[torch.Tensor], torch.Tensor]


def fast_network(network: nn.Module, shape: Shape, dtype: torch.dtype) -> tuple[Fast | None, str]:
    """``network`` as a function of windows of ``shape`` (n, channels, x, y, z), or None and why there is none.

    The function takes up to n windows, of any float type, on the network's device, and gives (windows, outputs,
    x, y, z) float32: the same memory each time, overwritten by the next call. Half precision, but sums,
    statistics and outputs in float32. The same input gives the same bytes. The network isn't changed; what it
    has in ``shape``'s size is held until the function is dropped. Before it is given, the function's outputs for
    random windows are held against the network's in float32.

    Raises:
        torch.OutOfMemoryError: the device's memory doesn't suffice.
    """
    device = next(network.parameters()).device
    if dtype is not torch.float16 or device.type != "cuda":
        return None, "only for float16 on a CUDA device"
    if torch.cuda.get_device_capability(device) != HOPPER:
        return None, "only for GPUs of compute capability 9.0"
    parts = plan(network)
    if parts is None or not parts.takes(shape[1]):
        return None, "the network isn't of the kind that the kernels know"
    try:
        with torch.cuda.device(device), torch.no_grad(), torch.autocast("cuda", enabled=False):
            with torch.backends.cudnn.flags(
                enabled=True, benchmark=True, deterministic=False, allow_tf32=False
            ):
                made = Captured(Steps(parts, device), shape, device)
            error = relative_error(made, network, shape)
    except torch.OutOfMemoryError:
        raise
    except (ModelError, RuntimeError) as failure:
        return None, f"it can't be made here ({type(failure).__name__}: {str(failure)[:200]})"
    if not error <= ERROR:
        return None, f"its outputs are {error:.2g} off (relative) on random windows"
    return made, ""


class Captured:
    """Steps as one CUDA graph, with memory of its own for input and output."""

    def __init__(self, steps: Steps, shape: Shape, device: torch.device) -> None:
        self._steps = steps  # its tensors are the graph's
        self._input = torch.zeros(shape, dtype=torch.float16, device=device)
        self._graph = torch.cuda.CUDAGraph()
        side, ours = torch.cuda.Stream(device), torch.cuda.current_stream(device)
        side.wait_stream(ours)
        with _torch_settings():
            with torch.cuda.stream(side):
                for _ in range(2):  # compiles, and lets cuDNN choose
                    steps(self._input)
            ours.wait_stream(side)
            with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
                self._output = steps(self._input)

    def __call__(self, windows: torch.Tensor) -> torch.Tensor:
        """The network's outputs, float32, overwritten by the next call."""
        count = windows.shape[0]
        self._input[:count].copy_(windows)
        self._graph.replay()
        return self._output[:count]


@contextmanager
def _torch_settings() -> Iterator[None]:
    """cuDNN chooses among its algorithms by trial, and torch compiles as many networks as there are.

    Without the second torch would, from the ninth network of a process on, run uncompiled.
    """
    cudnn = torch.backends.cudnn.flags(enabled=True, benchmark=True, deterministic=False, allow_tf32=False)
    most = 4096
    with cudnn, torch._dynamo.config.patch(recompile_limit=most, accumulated_recompile_limit=most):
        yield


class Steps:
    """A plan's steps in order, with their weights on the device."""

    def __init__(self, parts: Plan, device: torch.device) -> None:
        self._operations = Operations(device, parts.slope)
        finest = parts.finest
        self._first = None if finest.enter else Weights.of_first(finest.down[0], device)
        self._finest = _Level(finest, finest.down[1:] if self._first else finest.down, device)
        self._head = layout.heads(parts.head.weight.detach().float().cpu()).to(device)
        bias = parts.head.bias
        none = torch.zeros(parts.head.out_channels)
        self._bias = (none if bias is None else bias.detach().float()).to(device)

    def __call__(self, windows: torch.Tensor) -> torch.Tensor:
        """(n, channels, x, y, z) float16 to (n, outputs, x, y, z) float32."""
        operations = self._operations
        if self._first is None:
            values = Values(windows.permute(0, 2, 3, 4, 1).contiguous())
        else:
            values = operations.first(windows, self._first)
        return operations.outputs(self._finest(values, operations), self._head, self._bias)


class _Level:
    """One level's steps: convolutions, what lies below, the join with it, convolutions."""

    def __init__(self, level: Level, down: Any, device: torch.device) -> None:
        self._enter = None if level.enter is None else _compiled(level.enter, device)
        self._down = [Weights.of(block, device) for block in down]
        self._up = [Weights.of(block, device) for block in level.up]
        self._below: Any
        if isinstance(level.below, Level):
            self._below = _Level(level.below, level.below.down, device)
        else:
            self._below = _compiled(level.below, device)
        self._raise = self._bias = None
        if level.raised is not None:
            bias = level.raised.bias
            self._raise = layout.raised(level.raised.weight.detach().float().cpu()).to(device)
            self._bias = None if bias is None else bias.detach().float().to(device)

    def __call__(self, values: Values, operations: Operations) -> Values:
        if self._enter is not None:
            values = Values(self._enter(values.tensor))
        for weights in self._down:
            values = operations.convolved(weights, values)
        skip = operations.normed(values)
        if self._raise is None:
            below = Values(self._below(skip.tensor))
        else:
            below = operations.raised(self._below(skip, operations), self._raise, self._bias, skip.tensor)
        first, *rest = self._up
        values = operations.convolved(first, below, skip)
        for weights in rest:
            values = operations.convolved(weights, values)
        return values


class _ChannelsLast(nn.Module):  # type: ignore[misc]  # torch is not followed
    """A module between tensors as the kernels have them; torch would else leave its outputs in another order."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """(n, z, y, x, channels) to the same."""
        values = self.inner(values.permute(0, 4, 1, 2, 3))
        return values.permute(0, 2, 3, 4, 1).contiguous()


def _compiled(module: nn.Module, device: torch.device) -> Any:
    """A copy in half precision, compiled by torch."""
    half = deepcopy(module).to(device).half().to(memory_format=torch.channels_last_3d).eval()
    return torch.compile(_ChannelsLast(half), dynamic=False, fullgraph=True)


def relative_error(made: Fast, network: nn.Module, shape: Shape) -> float:
    """How far the outputs for random windows are off, relative to the network's in float32 (Euclidean norms)."""
    device = next(network.parameters()).device
    chance = torch.Generator(device=device).manual_seed(0)
    windows = torch.randn(shape, generator=chance, device=device)
    ours = made(windows)
    exact = deepcopy(network).float().to(memory_format=torch.contiguous_format).eval()
    flags = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
    off = size = 0.0
    with flags, torch.no_grad():
        for n in range(shape[0]):
            theirs = exact(windows[n : n + 1])[0]
            off += float((ours[n] - theirs).square().sum())
            size += float(theirs.square().sum())
    return float((off / max(size, 1e-30)) ** 0.5)

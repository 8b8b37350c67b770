"""A network compiled by torch for a GPU, with the compiled graphs kept in the user's cache folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch

from tomosurf.segment.engine.head import Float32Head

Made = Callable[[torch.Tensor], torch.Tensor]
Shape = tuple[int, int, int, int, int]

KEY = "TORCHINDUCTOR_CACHE_DIR"
"""Where torch looks for compiled graphs; the user's own setting goes before ours."""
KEEPS_FLOAT32 = (torch.nn.modules.batchnorm._BatchNorm, torch.nn.modules.instancenorm._InstanceNorm)
"""Layers whose statistics may not fit into half precision; their kernels take both formats."""


def compiled_network(network: Any, shape: Shape, dtype: torch.dtype) -> Made:
    """``network`` as torch.compile makes it for windows of exactly ``shape``: it compiles here and now.

    Weights are ``dtype``, channels innermost, but for norms and a float32 head. The network isn't changed.

    Raises:
        Exception: whatever compiling raises.
    """
    half = in_half(deepcopy(network), dtype)
    made = torch.compile(half, dynamic=False)

    def run(windows: torch.Tensor) -> torch.Tensor:
        with torch.autocast(windows.device.type, enabled=False):
            output: torch.Tensor = made(windows.to(dtype, memory_format=torch.channels_last_3d))
        return output.float()

    run(torch.zeros(shape, device=next(network.parameters()).device))
    return run


def in_half(network: torch.nn.Module, dtype: torch.dtype) -> torch.nn.Module:
    """The network, changed in place: weights of ``dtype`` but for norms and a float32 head, channels innermost."""
    heads = (module for module in network.modules() if isinstance(module, Float32Head))
    kept = {id(module) for head in heads for module in head.modules()}
    for module in network.modules():
        if id(module) not in kept and not isinstance(module, KEEPS_FLOAT32):
            for tensors in (module._parameters, module._buffers):
                for tensor in tensors.values():
                    if tensor is not None and tensor.is_floating_point():
                        tensor.data = tensor.data.to(dtype)
    return network.to(memory_format=torch.channels_last_3d)


@contextmanager
def graphs_kept_in(folder: Path) -> Iterator[None]:
    """Where torch keeps and finds compiled graphs meanwhile."""
    if os.environ.get(KEY):
        yield
        return
    os.environ[KEY] = str(folder)
    try:
        yield
    finally:
        os.environ.pop(KEY, None)


def cache_folder() -> Path:
    """``tomosurf/compiled`` in the user's cache (XDG; Library/Caches or LocalAppData elsewhere); need not exist."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "tomosurf" / "compiled"

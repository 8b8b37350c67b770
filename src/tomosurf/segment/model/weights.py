"""A network's weights as a safetensors file: numbers with names, sealed by a digest, never code."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from tomosurf.errors import ModelError
from tomosurf.segment.architectures import build
from tomosurf.segment.model.spec import ModelSpec, WeightsFile


def load_networks(folder: Path, spec: ModelSpec) -> tuple[Any, ...]:
    """The model's networks, one a fold, in evaluation mode, float32, on the CPU.

    Raises:
        ModelError: the file is missing, its SHA-256 isn't the description's, or its tensors aren't exactly
            those of the architecture in name, shape and number format.
    """
    return tuple(_load(folder, spec, weights) for weights in spec.weights)


def _load(folder: Path, spec: ModelSpec, weights: WeightsFile) -> Any:
    path = folder / weights.file
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"model {spec.name}: the weights {path} can't be read ({error.strerror})") from error
    found = hashlib.sha256(content).hexdigest()
    if found != weights.sha256:
        raise ModelError(
            f"model {spec.name}: {path} has SHA-256 {found}, but its description says {weights.sha256};"
            " fetch the model again"
        )
    try:
        tensors = load(content)
    except SafetensorError as error:
        raise ModelError(f"model {spec.name}: {path} is no safetensors file ({error})") from error
    network = build(spec.architecture, spec.inputs, spec.channels)
    _fill(network, tensors, weights.dtype, f"model {spec.name}: {path}")
    return network.eval()


def pack_tensors(tensors: Mapping[str, torch.Tensor]) -> tuple[bytes, str, Literal["float16", "float32"]]:
    """The bytes of a safetensors file with these tensors, their SHA-256, and the number format.

    Floating point becomes float16 where every number survives that, float32 otherwise.
    """
    floats = [tensor for tensor in tensors.values() if tensor.is_floating_point()]
    small = bool(floats) and all(torch.equal(t.to(torch.float16).to(t.dtype), t) for t in floats)
    dtype: Literal["float16", "float32"] = "float16" if small else "float32"
    kind = getattr(torch, dtype)
    kept = {
        name: (tensor.to(kind) if tensor.is_floating_point() else tensor).detach().cpu().contiguous().clone()
        for name, tensor in tensors.items()
    }
    content = save(kept)
    return content, hashlib.sha256(content).hexdigest(), dtype


def _fill(network: Any, tensors: dict[str, torch.Tensor], dtype: str, where: str) -> None:
    own = tensors_of(network)
    missing, foreign = sorted(own.keys() - tensors.keys()), sorted(tensors.keys() - own.keys())
    if missing or foreign:
        raise ModelError(
            f"{where} doesn't fit its architecture;"
            f" missing {missing[:3] or 'nothing'}, unknown {foreign[:3] or 'nothing'}"
        )
    with torch.no_grad():
        for name, tensor in own.items():
            given = tensors[name]
            kind = getattr(torch, dtype) if tensor.is_floating_point() else tensor.dtype
            if given.shape != tensor.shape or given.dtype != kind:
                raise ModelError(
                    f"{where}: {name} is {given.dtype} {tuple(given.shape)}, not {kind} {tuple(tensor.shape)}"
                )
            if not torch.isfinite(given).all():
                raise ModelError(f"{where}: {name} holds numbers that aren't finite")
            tensor.copy_(given)


def tensors_of(network: Any) -> dict[str, torch.Tensor]:
    """Parameters and buffers, each once: MONAI's DynUNet lists shared modules under two names."""
    return {**dict(network.named_parameters()), **dict(network.named_buffers())}

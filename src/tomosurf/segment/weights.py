"""A network's weights as a safetensors file: numbers with names, sealed by a digest, never code."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from tomosurf.errors import ModelError
from tomosurf.segment.architectures import build
from tomosurf.segment.spec import ModelSpec, WeightsFile


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
    network = build(spec.architecture, spec.input.channels, spec.channels)
    _fill(network, tensors, weights.dtype, f"model {spec.name}: {path}")
    return network.eval()


def pack_weights(network: Any, dtype: str) -> tuple[bytes, str]:
    """The bytes of a safetensors file with the network's weights as ``dtype``, and their SHA-256."""
    kind = getattr(torch, dtype)
    tensors = {
        name: (tensor.detach().to(kind) if tensor.is_floating_point() else tensor.detach()).cpu().contiguous()
        for name, tensor in _tensors(network).items()
    }
    content = save(tensors)
    return content, hashlib.sha256(content).hexdigest()


def _fill(network: Any, tensors: dict[str, torch.Tensor], dtype: str, where: str) -> None:
    own = _tensors(network)
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


def _tensors(network: Any) -> dict[str, torch.Tensor]:
    """Parameters and buffers, each once: MONAI's DynUNet lists shared modules under two names."""
    return {**dict(network.named_parameters()), **dict(network.named_buffers())}

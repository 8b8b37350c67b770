"""A bundle's weights: tensors by name, read without running what the file says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from tomosurf.errors import ModelError
from tomosurf.segment.architectures import Network, build
from tomosurf.segment.model.weights import tensors_of

HOLDERS = ("model", "state_dict", "network", "net", "model_state_dict", "network_weights")
"""Keys under which training scripts keep the weights among other things."""

PREFIXES = ("module.", "_orig_mod.")
"""What data parallelism and torch.compile put before each name."""

TRAINING_ONLY = ("deep_supervision_heads.", ".super_head.")
"""Parts of DynUNet that only serve its training."""


def state_dict_of(content: Any, where: str) -> dict[str, torch.Tensor]:
    """The tensors by name in what a file holds: a state dict, or one under a usual key.

    Raises:
        ModelError: it holds none.
    """
    found = content
    for _ in range(2):
        inner = [key for key in HOLDERS if isinstance(found, Mapping) and isinstance(found.get(key), Mapping)]
        if inner:
            found = found[inner[0]]
    if not isinstance(found, Mapping) or not found:
        raise ModelError(f"{where} holds no tensors by name (a state_dict)")
    result: dict[str, torch.Tensor] = {}
    for name, tensor in found.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            raise ModelError(f"{where} holds something among its tensors that is none")
        result[_own_name(name)] = tensor
    return result


def _own_name(name: str) -> str:
    while name.startswith(PREFIXES):
        name = name.removeprefix(PREFIXES[0]).removeprefix(PREFIXES[1])
    return name


def fitted(
    architecture: Network, channels: tuple[int, int], given: dict[str, torch.Tensor], where: str
) -> dict[str, torch.Tensor]:
    """The tensors that the network needs, each once, float32; ``channels`` are inputs and outputs.

    Raises:
        ModelError: names, shapes or number formats aren't the network's, or a shared tensor has two values.
    """
    kept = given
    for device in ("meta", "cpu"):  # shapes first, without memory: a hostile width costs nothing
        network = _built(architecture, channels, device)
        if network is not None:
            own = network.state_dict()
            kept = {name: t for name, t in given.items() if not _only_for_training(name) or name in own}
            _compare(own, kept, where)
    network.load_state_dict(kept)
    for name, tensor in network.state_dict().items():
        if not torch.equal(tensor, kept[name].to(tensor.dtype)):
            raise ModelError(f"{where} holds two different tensors for {name}")
    return {name: tensor.detach().clone() for name, tensor in tensors_of(network).items()}


def _built(architecture: Network, channels: tuple[int, int], device: str) -> Any:
    """The untrained network; None where one can't be built without memory (device "meta")."""
    try:
        with torch.device(device):
            return build(architecture, *channels)
    except (ValueError, TypeError, RuntimeError, AssertionError, KeyError, NotImplementedError) as error:
        if device == "meta":
            return None
        raise ModelError(f"MONAI can't build the network with these arguments ({error})") from error


def _compare(own: dict[str, torch.Tensor], kept: dict[str, torch.Tensor], where: str) -> None:
    """Refuse tensors whose names, shapes or kinds aren't the network's, or that aren't finite."""
    missing, foreign = sorted(own.keys() - kept.keys()), sorted(kept.keys() - own.keys())
    if missing or foreign:
        raise ModelError(
            f"{where} doesn't fit the network in the configuration;"
            f" missing {missing[:3] or 'nothing'}, unknown {foreign[:3] or 'nothing'}"
        )
    for name, tensor in kept.items():
        if tensor.shape != own[name].shape or tensor.is_floating_point() != own[name].is_floating_point():
            raise ModelError(
                f"{where}: {name} is {tensor.dtype} {tuple(tensor.shape)},"
                f" not {own[name].dtype} {tuple(own[name].shape)}"
            )
        if not torch.isfinite(tensor).all():
            raise ModelError(f"{where}: {name} holds numbers that aren't finite")


def _only_for_training(name: str) -> bool:
    return name.startswith(TRAINING_ONLY[0]) or TRAINING_ONLY[1] in name


def reordered(
    architecture: Network, channels: tuple[int, int], tensors: dict[str, torch.Tensor], order: list[int]
) -> dict[str, torch.Tensor]:
    """The weights of the same network with its outputs in another order: ``order[n]`` is the old nth place.

    The axes that belong to outputs are those that grow with a further output.
    """
    wider = tensors_of(build(architecture, channels[0], channels[1] + 1))
    places = torch.tensor(order)
    result = dict(tensors)
    for name, tensor in tensors.items():
        for axis, (size, size_wider) in enumerate(zip(tensor.shape, wider[name].shape, strict=True)):
            if size != size_wider:
                result[name] = result[name].index_select(axis, places)
    return result

"""A bundle's ``network_def`` as one of the architectures that can be built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from tomosurf.config import parse
from tomosurf.segment.architectures import (
    UNETR,
    AttentionUnet,
    BasicUNet,
    DiNTS,
    DynUNet,
    Network,
    SegResNet,
    SegResNetDS,
    SwinUNETR,
    UNet,
    VNet,
)
from tomosurf.segment.bundle.component import Component
from tomosurf.segment.bundle.expressions import Device, shown

Arguments = dict[str, Any]

_NORMS = MappingProxyType(
    {
        "instance": "instance",
        "instance_nvfuser": "instance",
        "batch": "batch",
        "syncbatch": "batch",
        "group": "group",
        "layer": "layer",
    }
)
_NORM_ARGUMENTS = MappingProxyType(
    {"affine": "affine", "num_groups": "groups", "eps": "epsilon", "track_running_stats": "tracked"}
)
_ACTIVATION_ARGUMENTS = MappingProxyType(
    {"negative_slope": "slope", "alpha": "alpha", "num_parameters": "parameters"}
)


@dataclass(frozen=True, slots=True)
class NetworkDef:
    """An architecture with the number of its input and output channels."""

    architecture: Network
    inputs: int
    outputs: int


def network_of(part: Component) -> NetworkDef:
    """The network that a component names.

    Raises:
        ModelError: its class isn't in the allow-list, or an argument isn't understood.
        ConfigError: an argument's value is impossible.
    """
    if part.target not in _NETWORKS or not (part.path == "" or part.path.startswith("monai.networks.nets")):
        raise part.refuse(
            f"the network {shown('.'.join(filter(None, (part.path, part.target))))} isn't one of those that"
            f" can be imported: {', '.join(sorted(_NETWORKS))}"
        )
    if part.has("dimensions"):
        part.expect("dimensions", 3)
    elif part.has("spatial_dims"):
        part.expect("spatial_dims", 3)
    part.ignore("pretrained", "progress")
    outputs = "num_classes" if part.target == "DiNTS" else "out_channels"
    default = {"SegResNet": 2, "SegResNetDS": 2, "BasicUNet": 2, "BasicUnet": 2, "VNet": 1}.get(part.target)
    channels = part.whole("in_channels", None if default is None else 1), part.whole(outputs, default)
    kind, read = _NETWORKS[part.target]
    values = {name: value for name, value in read(part).items() if value is not None}
    part.finish()
    name = kind.model_fields["name"].annotation.__args__[0]
    architecture = parse(kind, {"name": name, "arguments": values}, part.where)
    return NetworkDef(architecture, *channels)


def _pair(part: Component, name: str) -> tuple[str, Arguments] | None:
    """A layer's kind and arguments, from "kind" or ["kind", {...}]."""
    value = part.plain(name)
    if value is None:
        return None
    if isinstance(value, str):
        return value.lower(), {}
    if (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], str)
        and isinstance(value[1], dict)
    ):
        return value[0].lower(), value[1]
    raise part.refuse(f"{name} {shown(str(value))} isn't understood")


def _norm(part: Component, name: str = "norm") -> Arguments | None:
    pair = _pair(part, name)
    if pair is None:
        return None
    kind, given = pair
    if kind not in _NORMS:
        raise part.refuse(f"the normalisation {shown(kind)} isn't understood")
    return {"kind": _NORMS[kind], **_renamed(part, name, given, _NORM_ARGUMENTS, {"momentum", "inplace"})}


def _activation(part: Component, name: str = "act") -> Arguments | None:
    pair = _pair(part, name)
    if pair is None:
        return None
    kind, given = pair
    return {"kind": kind, **_renamed(part, name, given, _ACTIVATION_ARGUMENTS, {"inplace", "init"})}


def _renamed(
    part: Component, name: str, given: Arguments, known: MappingProxyType[str, str], harmless: set[str]
) -> Arguments:
    foreign = sorted(given.keys() - known.keys() - harmless)
    if foreign:
        raise part.refuse(f"{name}: the argument {shown(foreign[0])} isn't understood")
    return {known[key]: value for key, value in given.items() if key in known and value is not None}


def _size(part: Component, name: str) -> Any:
    """One number, or three; None when it isn't given."""
    if not part.has(name):
        return None
    value = part.plain(name)
    return part.whole(name) if not isinstance(value, list) else part.triple(name)


def _levels(part: Component, name: str, *, cubes: bool) -> Any:
    """One entry a level; ``cubes`` turns single numbers into three."""
    values = part.plain(name)
    if not isinstance(values, list):
        raise part.refuse(f"{name} is no list with one entry a level")
    return [[value] * 3 if cubes and isinstance(value, int) else value for value in values]


def _optional(part: Component, **names: str) -> Arguments:
    """Our names for MONAI's, as they are; what isn't given stays out."""
    return {ours: part.plain(theirs) for ours, theirs in names.items()}


def _unet(part: Component) -> Arguments:
    part.ignore("dropout")
    return {
        "channels": part.wholes("channels"),
        "strides": _levels(part, "strides", cubes=False),
        "residual_units": part.whole("num_res_units", 0),
        "norm": _norm(part),
        "activation": _activation(part),
        "kernel": _size(part, "kernel_size"),
        "up_kernel": _size(part, "up_kernel_size"),
        **_optional(part, bias="bias", order="adn_ordering"),
    }


def _dynunet(part: Component) -> Arguments:
    part.ignore("dropout", "deep_supervision", "deep_supr_num")
    strides = _levels(part, "strides", cubes=True)
    widths = part.wholes("filters") if part.has("filters") and part.plain("filters") is not None else None
    return {
        "filters": widths or [min(2 ** (5 + level), 320) for level in range(len(strides))],
        "kernels": _levels(part, "kernel_size", cubes=True),
        "strides": strides,
        "up_kernels": _levels(part, "upsample_kernel_size", cubes=True),
        "norm": _norm(part, "norm_name") or {"kind": "instance", "affine": True},
        "activation": _activation(part, "act_name"),
        **_optional(part, residual="res_block", transposed_bias="trans_bias"),
    }


def _segresnet(part: Component) -> Arguments:
    part.ignore("dropout_prob")
    part.expect("use_conv_final", True)
    norm = _norm(part)
    if part.text("norm_name", ""):
        part.expect("norm_name", "group", "GROUP")
        norm = {"kind": "group", "groups": part.whole("num_groups", 8)}
    part.ignore("num_groups")
    return {
        "init_filters": part.whole("init_filters", 8),
        "norm": norm,
        "activation": _activation(part),
        **_optional(part, blocks_down="blocks_down", blocks_up="blocks_up", upsample="upsample_mode"),
    }


def _segresnetds(part: Component) -> Arguments:
    part.expect("preprocess", None)
    return {
        "init_filters": part.whole("init_filters", 32),
        "heads": max(part.whole("dsdepth", 1), 1),
        "norm": _norm(part),
        "activation": _activation(part),
        **_optional(
            part,
            blocks_down="blocks_down",
            blocks_up="blocks_up",
            upsample="upsample_mode",
            resolution="resolution",
        ),
    }


def _swinunetr(part: Component) -> Arguments:
    part.ignore("img_size", "drop_rate", "attn_drop_rate", "dropout_path_rate", "use_checkpoint")
    part.ignore("use_flash_attention")
    part.expect("use_hyena", False)
    return {
        "norm": _norm(part, "norm_name"),
        "attention_window": _size(part, "window_size"),
        **_optional(
            part,
            patch="patch_size",
            depths="depths",
            heads="num_heads",
            qkv_bias="qkv_bias",
            mlp_ratio="mlp_ratio",
            features="feature_size",
            normalise="normalize",
            patch_norm="patch_norm",
            downsample="downsample",
            second_version="use_v2",
        ),
    }


def _unetr(part: Component) -> Arguments:
    part.ignore("dropout_rate", "save_attn")
    projection = part.plain("proj_type", part.plain("pos_embed", "conv"))
    return {
        "window": part.triple("img_size"),
        "norm": _norm(part, "norm_name"),
        "projection": projection,
        **_optional(
            part,
            features="feature_size",
            hidden="hidden_size",
            mlp="mlp_dim",
            heads="num_heads",
            convolutions="conv_block",
            residual="res_block",
            qkv_bias="qkv_bias",
        ),
    }


def _vnet(part: Component) -> Arguments:
    part.ignore("dropout_prob", "dropout_prob_down", "dropout_prob_up", "dropout_dim")
    return {"activation": _activation(part), **_optional(part, bias="bias")}


def _basicunet(part: Component) -> Arguments:
    part.ignore("dropout")
    return {
        "norm": _norm(part),
        "activation": _activation(part),
        **_optional(part, features="features", bias="bias", upsample="upsample"),
    }


def _attentionunet(part: Component) -> Arguments:
    part.ignore("dropout")
    return {
        "channels": part.wholes("channels"),
        "strides": part.wholes("strides"),
        "kernel": _size(part, "kernel_size"),
        "up_kernel": _size(part, "up_kernel_size"),
    }


def _dints(part: Component) -> Arguments:
    space = Component(part.value("dints_space"))
    if space.target != "TopologyInstance":
        raise space.refuse(
            "only a TopologyInstance, with its architecture's code in numbers, can be imported"
        )
    space.expect("spatial_dims", 3)
    if space.has("device") and not isinstance(device := space.plain("device"), str | Device):
        raise space.refuse(f"device {shown(str(device))} isn't understood")
    codes = space.plain("arch_code")
    if not isinstance(codes, list) or len(codes) != 2:
        raise space.refuse("arch_code isn't two tables of numbers: paths and operations")
    values = {
        "paths": codes[0],
        "operations": codes[1],
        "nodes": part.plain("node_a"),
        "depths": space.whole("num_depths", 3),
        "width": space.number("channel_mul", 1.0),
        "downsample": part.flag("use_downsample", True),
        "norm": _norm(part, "norm_name"),
        "activation": _activation(part, "act_name"),
    }
    same = (
        _norm(space, "norm_name") == values["norm"]
        and _activation(space, "act_name") == values["activation"]
        and space.flag("use_downsample", True) == values["downsample"]
    )
    if not same or space.whole("num_blocks", 6) != len(codes[0]):
        raise space.refuse("it contradicts the DiNTS around it, or its own number of blocks")
    space.finish()
    return values


_NETWORKS: MappingProxyType[str, tuple[Any, Callable[[Component], Arguments]]] = MappingProxyType(
    {
        "UNet": (UNet, _unet),
        "Unet": (UNet, _unet),
        "DynUNet": (DynUNet, _dynunet),
        "DynUnet": (DynUNet, _dynunet),
        "SegResNet": (SegResNet, _segresnet),
        "SegResNetDS": (SegResNetDS, _segresnetds),
        "SwinUNETR": (SwinUNETR, _swinunetr),
        "UNETR": (UNETR, _unetr),
        "VNet": (VNet, _vnet),
        "BasicUNet": (BasicUNet, _basicunet),
        "BasicUnet": (BasicUNet, _basicunet),
        "AttentionUnet": (AttentionUnet, _attentionunet),
        "DiNTS": (DiNTS, _dints),
    }
)

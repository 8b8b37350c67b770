"""From a plan's network, new form or old, to typed arguments; names are compared, never imported."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationError

from tomosurf.errors import ModelError
from tomosurf.segment.architectures.convolutional_unets import PlainConvUNet, ResidualEncoderUNet
from tomosurf.segment.nnunet.plans import Told, told

PACKAGE = "dynamic_network_architectures."
CONVOLUTIONS = frozenset({"torch.nn.modules.conv.Conv3d", "torch.nn.Conv3d"})
DROPOUTS = frozenset({"torch.nn.modules.dropout.Dropout3d", "torch.nn.Dropout3d"})
NORMS: dict[str | None, Literal["instance", "batch", "none"]] = {
    "torch.nn.modules.instancenorm.InstanceNorm3d": "instance",
    "torch.nn.InstanceNorm3d": "instance",
    "torch.nn.modules.batchnorm.BatchNorm3d": "batch",
    "torch.nn.BatchNorm3d": "batch",
    None: "none",
}
NONLINEARITIES: dict[str | None, Literal["leaky_relu", "relu"]] = {
    "torch.nn.LeakyReLU": "leaky_relu",
    "torch.nn.modules.activation.LeakyReLU": "leaky_relu",
    "torch.nn.ReLU": "relu",
    "torch.nn.modules.activation.ReLU": "relu",
}
BLOCKS = frozenset({None, f"{PACKAGE}building_blocks.residual.BasicBlockD"})


class Closed(Told):
    """Entries that a network's outputs depend on: one that isn't known can't be passed over."""

    model_config = ConfigDict(extra="forbid")


class NormArguments(Closed):
    """Arguments of a normalisation; ``momentum`` is training's."""

    eps: float = 1e-5
    affine: bool = False
    momentum: float | None = 0.1
    track_running_stats: bool | None = None


class NonlinearityArguments(Closed):
    """Arguments of a nonlinearity."""

    inplace: bool = False
    negative_slope: float = 0.01


class NetworkArguments(Closed):
    """``arch_kwargs``; a single number stands for every level."""

    n_stages: int = Field(ge=2, le=10)
    features_per_stage: tuple[int, ...] | int
    conv_op: str
    kernel_sizes: Any
    strides: Any
    n_conv_per_stage: tuple[int, ...] | int | None = None
    n_blocks_per_stage: tuple[int, ...] | int | None = None
    n_conv_per_stage_decoder: tuple[int, ...] | int
    conv_bias: bool = False
    norm_op: str | None = None
    norm_op_kwargs: NormArguments | None = None
    dropout_op: str | None = None
    dropout_op_kwargs: dict[str, Any] | None = None
    nonlin: str | None = None
    nonlin_kwargs: NonlinearityArguments | None = None
    deep_supervision: bool = False
    nonlin_first: bool = False
    block: str | None = None
    bottleneck_channels: None = None
    stem_channels: int | None = None


class PlannedNetwork(Told):
    """``architecture`` of a configuration."""

    network_class_name: str
    arch_kwargs: dict[str, Any]


class OldNetwork(Told):
    """The same in plans from before nnU-Net 2.4."""

    UNet_class_name: str
    UNet_base_num_features: int
    unet_max_num_features: int
    n_conv_per_stage_encoder: tuple[int, ...]
    n_conv_per_stage_decoder: tuple[int, ...]
    pool_op_kernel_sizes: tuple[tuple[int, ...], ...]
    conv_kernel_sizes: tuple[tuple[int, ...], ...]


def planned_network(
    configuration: dict[str, Any], where: str, batch_norm: bool = False
) -> PlainConvUNet | ResidualEncoderUNet:
    """The configuration's network; ``batch_norm`` overrules its normalisation, as one of nnU-Net's trainers does.

    Raises:
        ModelError: the network, a part of it or an argument isn't understood; the message names it.
    """
    if "architecture" in configuration:
        planned = told(PlannedNetwork, configuration["architecture"], f"{where}.architecture")
        name, values = planned.network_class_name, planned.arch_kwargs
    else:
        name, values = _from_old(told(OldNetwork, configuration, where))
    kind = name.removeprefix(PACKAGE).rsplit(".", 1)[-1]
    if not name.startswith(PACKAGE) or kind not in {"PlainConvUNet", "ResidualEncoderUNet"}:
        raise ModelError(
            f"{where}: the network {name} isn't known here; PlainConvUNet and ResidualEncoderUNet are"
        )
    arguments = told(NetworkArguments, values, f"{where}.architecture.arch_kwargs")
    try:
        return _architecture(kind, arguments, batch_norm)
    except ModelError as error:
        raise ModelError(f"{where}: {error}") from error
    except ValidationError as error:
        raise ModelError(f"{where}: {error.errors()[0]['msg']}") from error


def _from_old(old: OldNetwork) -> tuple[str, dict[str, Any]]:
    levels = len(old.n_conv_per_stage_encoder)
    count = "n_conv_per_stage" if old.UNet_class_name == "PlainConvUNet" else "n_blocks_per_stage"
    return f"{PACKAGE}architectures.unet.{old.UNet_class_name}", {
        "n_stages": levels,
        "features_per_stage": [
            min(old.UNet_base_num_features * 2**level, old.unet_max_num_features) for level in range(levels)
        ],
        "conv_op": "torch.nn.Conv3d",
        "kernel_sizes": old.conv_kernel_sizes,
        "strides": old.pool_op_kernel_sizes,
        count: old.n_conv_per_stage_encoder,
        "n_conv_per_stage_decoder": old.n_conv_per_stage_decoder,
        "conv_bias": True,
        "norm_op": "torch.nn.InstanceNorm3d",
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "nonlin": "torch.nn.LeakyReLU",
    }


def _architecture(
    kind: str, given: NetworkArguments, batch_norm: bool
) -> PlainConvUNet | ResidualEncoderUNet:
    _known(given.conv_op, CONVOLUTIONS, "conv_op")
    _known(given.norm_op, NORMS, "norm_op")
    _known(given.nonlin, NONLINEARITIES, "nonlin")
    _known(given.block, BLOCKS, "block")
    if given.dropout_op is not None:
        _known(given.dropout_op, DROPOUTS, "dropout_op")
    norm = given.norm_op_kwargs or NormArguments()
    if batch_norm:
        norm = NormArguments(affine=True)
    kept = "batch" if batch_norm else NORMS[given.norm_op]
    if norm.track_running_stats not in {None, kept == "batch"}:
        raise ModelError(
            f"track_running_stats {norm.track_running_stats} isn't understood for {kept} normalisation"
        )
    plain = kind == "PlainConvUNet"
    blocks = given.n_conv_per_stage if plain else given.n_blocks_per_stage
    if blocks is None:
        raise ModelError(f"{kind} lacks {'n_conv_per_stage' if plain else 'n_blocks_per_stage'}")
    nonlinearity = given.nonlin_kwargs or NonlinearityArguments()
    levels = given.n_stages
    values: dict[str, Any] = {
        "features": _each(given.features_per_stage, levels),
        "kernels": [_triple(kernel) for kernel in _each(given.kernel_sizes, levels)],
        "strides": [_triple(stride) for stride in _each(given.strides, levels)],
        "blocks": _each(blocks, levels),
        "up": _each(given.n_conv_per_stage_decoder, levels - 1),
        "bias": given.conv_bias,
        "norm": kept,
        "epsilon": norm.eps,
        "affine": norm.affine,
        "nonlinearity": NONLINEARITIES[given.nonlin],
        "slope": nonlinearity.negative_slope,
    }
    if any(len(values[what]) != levels for what in ("features", "kernels", "strides", "blocks")):
        raise ModelError(f"n_stages is {levels}, but not every list has one entry a level")
    if plain:
        values["nonlinearity_first"] = given.nonlin_first
        return PlainConvUNet.model_validate({"name": kind, "arguments": values})
    if given.nonlin_first:
        raise ModelError("nonlin_first isn't an argument of ResidualEncoderUNet")
    values["stem"] = given.stem_channels or values["features"][0]
    return ResidualEncoderUNet.model_validate({"name": kind, "arguments": values})


def _known(name: str | None, known: Any, what: str) -> None:
    if name not in known:
        raise ModelError(f"{what} {name} isn't known here; 3D networks of nnU-Net's own layers are")


def _each(value: Any, levels: int) -> Any:
    return [value] * levels if isinstance(value, int) else value


def _triple(value: Any) -> Any:
    return [value] * 3 if isinstance(value, int) else value

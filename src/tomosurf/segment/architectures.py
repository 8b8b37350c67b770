"""The networks that a model description may name: an allow-list with typed arguments, never an import path.

To add one: a class here with a ``name`` of its own, its branch in :func:`build`, and the class in
:data:`Architecture`. A description can't reach any code but these few lines.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from tomosurf.frozen import Frozen

Size = Annotated[int, Field(ge=1, le=64)]
Triple = tuple[Size, Size, Size]
Width = Annotated[int, Field(ge=1, le=4096)]
NormName = Literal["instance", "batch"]


class DynUNetArguments(Frozen):
    """MONAI's DynUNet: one entry a level, from the input's resolution down.

    ``strides`` of the first level are 1 in a usual network. ``residual`` adds skips inside each block.
    """

    filters: tuple[Width, ...] = Field(min_length=3, max_length=8)
    kernels: tuple[Triple, ...]
    strides: tuple[Triple, ...]
    norm: NormName = "instance"
    residual: bool = False

    @model_validator(mode="after")
    def _one_a_level(self) -> DynUNetArguments:
        if not len(self.filters) == len(self.kernels) == len(self.strides):
            raise ValueError("filters, kernels and strides have one entry a level")
        return self


class UNetArguments(Frozen):
    """MONAI's UNet: ``channels`` a level, ``strides`` between levels."""

    channels: tuple[Width, ...] = Field(min_length=2, max_length=8)
    strides: tuple[Size, ...]
    residual_units: int = Field(default=2, ge=0, le=8)
    norm: NormName = "instance"

    @model_validator(mode="after")
    def _one_between_levels(self) -> UNetArguments:
        if len(self.strides) != len(self.channels) - 1:
            raise ValueError("strides has one entry less than channels")
        return self


class SegResNetArguments(Frozen):
    """MONAI's SegResNet: residual blocks a level on the way down and up."""

    init_filters: Annotated[int, Field(ge=8, le=256, multiple_of=8)] = 16
    blocks_down: tuple[Size, ...] = (1, 2, 2, 4)
    blocks_up: tuple[Size, ...] = (1, 1, 1)

    @model_validator(mode="after")
    def _one_less_up(self) -> SegResNetArguments:
        if len(self.blocks_up) != len(self.blocks_down) - 1:
            raise ValueError("blocks_up has one entry less than blocks_down")
        return self


class DynUNet(Frozen):
    """A DynUNet by name."""

    name: Literal["DynUNet"]
    arguments: DynUNetArguments

    @property
    def divisor(self) -> Triple:
        """What each edge of a window must be divisible by."""
        a, b, c = (_product(stride[axis] for stride in self.arguments.strides) for axis in range(3))
        return (a, b, c)


class UNet(Frozen):
    """A UNet by name."""

    name: Literal["UNet"]
    arguments: UNetArguments

    @property
    def divisor(self) -> Triple:
        """What each edge of a window must be divisible by."""
        whole = _product(self.arguments.strides)
        return (whole, whole, whole)


class SegResNet(Frozen):
    """A SegResNet by name."""

    name: Literal["SegResNet"]
    arguments: SegResNetArguments

    @property
    def divisor(self) -> Triple:
        """What each edge of a window must be divisible by."""
        whole = 2 ** (len(self.arguments.blocks_down) - 1)
        return (whole, whole, whole)


Architecture = Annotated[DynUNet | UNet | SegResNet, Field(discriminator="name")]


def build(architecture: DynUNet | UNet | SegResNet, inputs: int, outputs: int, deep_heads: int = 0) -> Any:
    """The untrained ``torch.nn.Module``: (n, inputs, x, y, z) float32 to (n, outputs, x, y, z) logits.

    ``deep_heads`` adds that many coarser outputs to a DynUNet for training; the others have none.
    """
    match architecture:
        case DynUNet(arguments=arguments):
            return _dynunet(arguments, (inputs, outputs), deep_heads)
        case UNet(arguments=arguments):
            from monai.networks.nets import UNet as MonaiUNet

            return MonaiUNet(
                spatial_dims=3,
                in_channels=inputs,
                out_channels=outputs,
                channels=arguments.channels,
                strides=arguments.strides,
                num_res_units=arguments.residual_units,
                norm=arguments.norm,
            )
        case SegResNet(arguments=arguments):
            from monai.networks.nets import SegResNet as MonaiSegResNet

            return MonaiSegResNet(
                spatial_dims=3,
                init_filters=arguments.init_filters,
                in_channels=inputs,
                out_channels=outputs,
                blocks_down=arguments.blocks_down,
                blocks_up=arguments.blocks_up,
            )


def _dynunet(arguments: DynUNetArguments, channels: tuple[int, int], deep_heads: int) -> Any:
    from monai.networks.nets import DynUNet as MonaiDynUNet

    return MonaiDynUNet(
        spatial_dims=3,
        in_channels=channels[0],
        out_channels=channels[1],
        kernel_size=arguments.kernels,
        strides=arguments.strides,
        upsample_kernel_size=arguments.strides[1:],
        filters=arguments.filters,
        norm_name=("instance", {"affine": True}) if arguments.norm == "instance" else arguments.norm,
        res_block=arguments.residual,
        deep_supervision=deep_heads > 0,
        deep_supr_num=max(deep_heads, 1),
    )


def _product(numbers: Any) -> int:
    result = 1
    for number in numbers:
        result *= number
    return result

"""MONAI's convolutional U-Nets: DynUNet, UNet, BasicUNet, AttentionUnet, VNet.

Arguments that only matter in training (dropout) aren't here; the rest have MONAI 1.6's defaults, except for
UNet's two residual units.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from tomosurf.frozen import Frozen
from tomosurf.segment.architectures.layers import (
    Activation,
    Norm,
    NormName,
    Size,
    Triple,
    Width,
    given,
    product_of_strides,
)


class DynUNetArguments(Frozen):
    """MONAI's DynUNet: one entry a level, from the input's resolution down.

    ``strides`` of the first level are 1 in a usual network. ``residual`` adds skips inside each block.
    ``up_kernels`` are those of the transposed convolutions, as large as the strides unless given.
    """

    filters: tuple[Width, ...] = Field(min_length=3, max_length=8)
    kernels: tuple[Triple, ...]
    strides: tuple[Triple, ...]
    up_kernels: tuple[Triple, ...] | None = None
    norm: NormName | Norm = "instance"
    activation: Activation | None = None
    residual: bool = False
    transposed_bias: bool = False

    @model_validator(mode="after")
    def _one_a_level(self) -> DynUNetArguments:
        if not len(self.filters) == len(self.kernels) == len(self.strides):
            raise ValueError("filters, kernels and strides have one entry a level")
        if self.up_kernels is not None and len(self.up_kernels) != len(self.strides) - 1:
            raise ValueError("up_kernels has one entry less than strides")
        return self


class DynUNet(Frozen):
    """A DynUNet by name."""

    name: Literal["DynUNet"]
    arguments: DynUNetArguments

    @property
    def divisor(self) -> Triple:
        """What each edge of a window must be divisible by."""
        return product_of_strides(self.arguments.strides)

    def network(self, inputs: int, outputs: int, deep_heads: int = 0) -> Any:
        """The untrained module, with ``deep_heads`` coarser outputs for training."""
        from monai.networks.nets import DynUNet as MonaiDynUNet

        own = self.arguments
        norm = ("instance", {"affine": True}) if own.norm == "instance" else own.norm
        return MonaiDynUNet(
            spatial_dims=3,
            in_channels=inputs,
            out_channels=outputs,
            kernel_size=own.kernels,
            strides=own.strides,
            upsample_kernel_size=own.up_kernels or own.strides[1:],
            filters=own.filters,
            res_block=own.residual,
            trans_bias=own.transposed_bias,
            deep_supervision=deep_heads > 0,
            deep_supr_num=max(deep_heads, 1),
            **given(norm_name=norm, act_name=own.activation),
        )


class UNetArguments(Frozen):
    """MONAI's UNet: ``channels`` a level, ``strides`` between levels.

    ``order`` is that of normalisation (N), dropout (D) and activation (A) in each layer.
    """

    channels: tuple[Width, ...] = Field(min_length=2, max_length=10)
    strides: tuple[Size | Triple, ...]
    residual_units: int = Field(default=2, ge=0, le=8)
    norm: NormName | Norm = "instance"
    kernel: Size | Triple = 3
    up_kernel: Size | Triple = 3
    activation: Activation | None = None
    bias: bool = True
    order: Annotated[str, Field(pattern="^[NDA]{1,3}$")] = "NDA"

    @model_validator(mode="after")
    def _one_between_levels(self) -> UNetArguments:
        if len(self.strides) != len(self.channels) - 1:
            raise ValueError("strides has one entry less than channels")
        return self


class UNet(Frozen):
    """A UNet by name."""

    name: Literal["UNet"]
    arguments: UNetArguments

    @property
    def divisor(self) -> Triple:
        """What each edge of a window must be divisible by."""
        return product_of_strides(self.arguments.strides)

    def network(self, inputs: int, outputs: int) -> Any:
        """The untrained module."""
        from monai.networks.nets import UNet as MonaiUNet

        own = self.arguments
        return MonaiUNet(
            spatial_dims=3,
            in_channels=inputs,
            out_channels=outputs,
            channels=own.channels,
            strides=own.strides,
            kernel_size=own.kernel,
            up_kernel_size=own.up_kernel,
            num_res_units=own.residual_units,
            bias=own.bias,
            adn_ordering=own.order,
            **given(norm=own.norm, act=own.activation),
        )


class BasicUNetArguments(Frozen):
    """MONAI's BasicUNet: widths of five levels, and of the last layer."""

    features: tuple[Width, Width, Width, Width, Width, Width] = (32, 32, 64, 128, 256, 32)
    activation: Activation | None = None
    norm: Norm | None = None
    bias: bool = True
    upsample: Literal["deconv", "pixelshuffle", "nontrainable"] = "deconv"


class BasicUNet(Frozen):
    """A BasicUNet by name."""

    name: Literal["BasicUNet"]
    arguments: BasicUNetArguments

    @property
    def divisor(self) -> Triple:
        """It pads what doesn't divide."""
        return (1, 1, 1)

    def network(self, inputs: int, outputs: int) -> Any:
        """The untrained module."""
        from monai.networks.nets import BasicUNet as MonaiBasicUNet

        own = self.arguments
        return MonaiBasicUNet(
            spatial_dims=3,
            in_channels=inputs,
            out_channels=outputs,
            features=own.features,
            bias=own.bias,
            upsample=own.upsample,
            **given(act=own.activation, norm=own.norm),
        )


class AttentionUnetArguments(Frozen):
    """MONAI's AttentionUnet: ``channels`` a level, ``strides`` between levels."""

    channels: tuple[Width, ...] = Field(min_length=2, max_length=10)
    strides: tuple[Size, ...]
    kernel: Size | Triple = 3
    up_kernel: Size | Triple = 3

    @model_validator(mode="after")
    def _one_between_levels(self) -> AttentionUnetArguments:
        if len(self.strides) != len(self.channels) - 1:
            raise ValueError("strides has one entry less than channels")
        return self


class AttentionUnet(Frozen):
    """An AttentionUnet by name."""

    name: Literal["AttentionUnet"]
    arguments: AttentionUnetArguments

    @property
    def divisor(self) -> Triple:
        """What each edge of a window must be divisible by."""
        return product_of_strides(self.arguments.strides)

    def network(self, inputs: int, outputs: int) -> Any:
        """The untrained module."""
        from monai.networks.nets import AttentionUnet as MonaiAttentionUnet

        own = self.arguments
        return MonaiAttentionUnet(
            spatial_dims=3,
            in_channels=inputs,
            out_channels=outputs,
            channels=own.channels,
            strides=own.strides,
            kernel_size=own.kernel,
            up_kernel_size=own.up_kernel,
        )


class VNetArguments(Frozen):
    """MONAI's VNet: of fixed widths."""

    activation: Activation | None = None
    bias: bool = False


class VNet(Frozen):
    """A VNet by name."""

    name: Literal["VNet"]
    arguments: VNetArguments

    @property
    def divisor(self) -> Triple:
        """What each edge of a window must be divisible by."""
        return (16, 16, 16)

    def network(self, inputs: int, outputs: int) -> Any:
        """The untrained module."""
        from monai.networks.nets import VNet as MonaiVNet

        own = self.arguments
        return MonaiVNet(
            spatial_dims=3,
            in_channels=inputs,
            out_channels=outputs,
            bias=own.bias,
            **given(act=own.activation),
        )

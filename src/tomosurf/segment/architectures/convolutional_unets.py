"""The two U-Nets that nnU-Net plans: their arguments, typed and closed. The layers are in ``unet_layers``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from tomosurf.frozen import Frozen

Edge = Annotated[int, Field(ge=1, le=15)]
Step = Annotated[int, Field(ge=1, le=16)]
Count = Annotated[int, Field(ge=1, le=32)]
Width = Annotated[int, Field(ge=1, le=4096)]
Kernel = tuple[Edge, Edge, Edge]
Stride = tuple[Step, Step, Step]


class ConvolutionalUNetArguments(Frozen):
    """One entry a level, from the input's resolution down; ``up`` has one less, from the coarsest level up.

    ``blocks`` counts a level's convolutions (PlainConvUNet) or residual blocks (ResidualEncoderUNet), ``up``
    the convolutions after each upsampling. ``bias`` is that of the convolutions; the last one always has one.
    ``epsilon`` and ``affine`` belong to the normalisation, ``slope`` to a leaky ReLU below zero.
    """

    features: tuple[Width, ...] = Field(min_length=2, max_length=10)
    kernels: tuple[Kernel, ...]
    strides: tuple[Stride, ...]
    blocks: tuple[Count, ...]
    up: tuple[Count, ...]
    bias: bool = True
    norm: Literal["instance", "batch", "none"] = "instance"
    epsilon: float = Field(default=1e-5, gt=0, le=1)
    affine: bool = True
    nonlinearity: Literal["leaky_relu", "relu"] = "leaky_relu"
    slope: float = Field(default=0.01, ge=0, le=1)

    @model_validator(mode="after")
    def _one_a_level(self) -> ConvolutionalUNetArguments:
        levels = len(self.features)
        if not levels == len(self.kernels) == len(self.strides) == len(self.blocks) == len(self.up) + 1:
            raise ValueError("features, kernels, strides and blocks have one entry a level, up one less")
        if self.strides[0] != (1, 1, 1):
            raise ValueError("the first level's stride is 1: the output has the input's resolution")
        if any(edge % 2 == 0 for kernel in self.kernels for edge in kernel):
            raise ValueError("kernels have odd edges")
        return self


class PlainConvUNetArguments(ConvolutionalUNetArguments):
    """Convolution, normalisation, nonlinearity; ``nonlinearity_first`` swaps the last two."""

    nonlinearity_first: bool = False


class ResidualEncoderUNetArguments(ConvolutionalUNetArguments):
    """Basic residual blocks on the way down, behind a stem of ``stem`` channels."""

    stem: Width


class PlainConvUNet(Frozen):
    """nnU-Net's usual network by name (Isensee et al. 2021, Nat Methods 18:203)."""

    name: Literal["PlainConvUNet"]
    arguments: PlainConvUNetArguments

    @property
    def divisor(self) -> tuple[int, int, int]:
        """What each edge of a window must be divisible by."""
        return _divisor(self.arguments.strides)

    def network(self, inputs: int, outputs: int) -> Any:
        """The untrained module: (n, inputs, x, y, z) to (n, outputs, x, y, z) logits."""
        from tomosurf.segment.architectures.unet_layers import UNet, plain_encoder

        given = self.arguments
        return UNet(plain_encoder(given, inputs), given, outputs, given.nonlinearity_first)


class ResidualEncoderUNet(Frozen):
    """nnU-Net's residual encoder by name (Isensee et al. 2024, arXiv:2404.09556)."""

    name: Literal["ResidualEncoderUNet"]
    arguments: ResidualEncoderUNetArguments

    @property
    def divisor(self) -> tuple[int, int, int]:
        """What each edge of a window must be divisible by."""
        return _divisor(self.arguments.strides)

    def network(self, inputs: int, outputs: int) -> Any:
        """The untrained module: (n, inputs, x, y, z) to (n, outputs, x, y, z) logits."""
        from tomosurf.segment.architectures.unet_layers import UNet, residual_encoder

        given = self.arguments
        return UNet(residual_encoder(given, inputs), given, outputs)


def _divisor(strides: tuple[Stride, ...]) -> tuple[int, int, int]:
    result = [1, 1, 1]
    for stride in strides:
        result = [a * b for a, b in zip(result, stride, strict=True)]
    return (result[0], result[1], result[2])

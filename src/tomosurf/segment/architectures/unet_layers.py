"""The layers of nnU-Net's two U-Nets, with the names of parameters that its weights have.

The structure is that of the package dynamic-network-architectures (DKFZ, Apache-2.0), written anew so that no
further package is needed to run a model; a test holds both to the same outputs. What only training needs
(dropout, heads at coarser levels) isn't here.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn

from tomosurf.segment.architectures.convolutional_unets import (
    ConvolutionalUNetArguments,
    Kernel,
    PlainConvUNetArguments,
    ResidualEncoderUNetArguments,
    Stride,
)

ONCE: Stride = (1, 1, 1)
POINT: Kernel = (1, 1, 1)


class Block(nn.Module):  # type: ignore[misc]  # torch is not followed
    """A convolution, then a normalisation, then a nonlinearity; the last two may be absent or swapped."""

    def __init__(self, conv: nn.Module, norm: nn.Module | None, after: nn.Module | None, swap: bool = False):
        super().__init__()
        self.conv = conv
        self.norm = norm
        self.after = after
        self.swap = swap

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, c, x, y, z) to the convolution's channels, divided by its stride."""
        x = self.conv(x)
        for layer in (self.after, self.norm) if self.swap else (self.norm, self.after):
            if layer is not None:
                x = layer(x)
        return x


class Chain(nn.Module):  # type: ignore[misc]  # torch is not followed
    """Blocks one after the other, under a name of their own."""

    def __init__(self, convs: list[nn.Module]):
        super().__init__()
        self.convs = nn.Sequential(*convs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """All blocks in order."""
        result: torch.Tensor = self.convs(x)
        return result


class Residual(nn.Module):  # type: ignore[misc]  # torch is not followed
    """Two blocks and a way past them (ResNet-D: the way past is averaged, then projected)."""

    def __init__(self, layers: Layers, inputs: int, outputs: int, shape: tuple[Kernel, Stride]):
        super().__init__()
        kernel, stride = shape
        self.conv1 = layers.block(inputs, outputs, kernel, stride)
        self.conv2 = layers.block(outputs, outputs, kernel, ONCE, bare=True)
        past: list[nn.Module] = [nn.AvgPool3d(stride, stride)] if stride != ONCE else []
        if inputs != outputs:
            past.append(layers.block(inputs, outputs, POINT, ONCE, bare=True, bias=False))
        self.skip = nn.Sequential(*past)
        self.after = layers.after()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, inputs, x, y, z) to (n, outputs, ...), divided by the stride."""
        result: torch.Tensor = self.after(self.conv2(self.conv1(x)) + self.skip(x))
        return result


class ResidualLevel(nn.Module):  # type: ignore[misc]  # torch is not followed
    """Residual blocks one after the other, under a name of their own."""

    def __init__(self, blocks: list[nn.Module]):
        super().__init__()
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """All blocks in order."""
        result: torch.Tensor = self.blocks(x)
        return result


class Encoder(nn.Module):  # type: ignore[misc]  # torch is not followed
    """Levels from the input's resolution down; what each one gives is kept for the way up."""

    def __init__(self, stages: list[nn.Module], stem: nn.Module | None = None):
        super().__init__()
        self.stem = stem
        self.stages = nn.Sequential(*stages)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """One tensor a level."""
        if self.stem is not None:
            x = self.stem(x)
        levels = []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        return levels


class Decoder(nn.Module):  # type: ignore[misc]  # torch is not followed
    """Levels from the coarsest up: upsample, join what the encoder kept, convolve; a last 1x1x1 at the end."""

    def __init__(self, layers: Layers, arguments: ConvolutionalUNetArguments, outputs: int):
        super().__init__()
        widths = arguments.features
        pairs = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        strides = arguments.strides[:0:-1]
        kernels = arguments.kernels[-2::-1]
        self.transpconvs = nn.ModuleList(
            nn.ConvTranspose3d(below, width, stride, stride, bias=arguments.bias)
            for (below, width), stride in zip(pairs, strides, strict=True)
        )
        self.stages = nn.ModuleList(
            layers.chain(2 * width, width, kernel, count)
            for (_, width), kernel, count in zip(pairs, kernels, arguments.up, strict=True)
        )
        self.head = nn.Conv3d(widths[0], outputs, 1)

    def forward(self, levels: list[torch.Tensor]) -> torch.Tensor:
        """The encoder's tensors to logits at the input's resolution."""
        x = levels[-1]
        for up, stage, kept in zip(self.transpconvs, self.stages, levels[-2::-1], strict=True):
            x = stage(torch.cat((up(x), kept), dim=1))
        result: torch.Tensor = self.head(x)
        return result


class UNet(nn.Module):  # type: ignore[misc]  # torch is not followed
    """An encoder and the way back up."""

    def __init__(
        self,
        encoder: Encoder,
        arguments: ConvolutionalUNetArguments,
        outputs: int,
        nonlinearity_first: bool = False,
    ):
        super().__init__()
        self.encoder = encoder
        self.decoder = Decoder(Layers(arguments, nonlinearity_first), arguments, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, inputs, x, y, z) to (n, outputs, x, y, z) logits; edges divisible by the strides' product."""
        result: torch.Tensor = self.decoder(self.encoder(x))
        return result


class Layers:
    """Makes layers as one set of arguments wants them."""

    def __init__(self, arguments: ConvolutionalUNetArguments, nonlinearity_first: bool = False):
        self.arguments = arguments
        self.swap = nonlinearity_first

    def block(self, inputs: int, outputs: int, kernel: Kernel, stride: Stride, **other: bool) -> Block:
        """One block; ``bare`` has no nonlinearity, ``bias`` goes before the arguments' own."""
        padding = tuple((edge - 1) // 2 for edge in kernel)
        bias = other.get("bias", self.arguments.bias)
        conv = nn.Conv3d(inputs, outputs, kernel, stride, padding, bias=bias)
        return Block(conv, self.norm(outputs), None if other.get("bare") else self.after(), self.swap)

    def chain(self, inputs: int, outputs: int, kernel: Kernel, count: int, stride: Stride = ONCE) -> Chain:
        """``count`` blocks, the first with the stride."""
        first = self.block(inputs, outputs, kernel, stride)
        return Chain([first, *(self.block(outputs, outputs, kernel, ONCE) for _ in range(count - 1))])

    def norm(self, channels: int) -> nn.Module | None:
        """The normalisation of so many channels."""
        given = self.arguments
        if given.norm == "none":
            return None
        kind = nn.InstanceNorm3d if given.norm == "instance" else nn.BatchNorm3d
        made: nn.Module = kind(channels, eps=given.epsilon, affine=given.affine)
        return made

    def after(self) -> nn.Module:
        """The nonlinearity."""
        if self.arguments.nonlinearity == "relu":
            return nn.ReLU(inplace=True)
        return nn.LeakyReLU(self.arguments.slope, inplace=True)


def plain_encoder(arguments: PlainConvUNetArguments, inputs: int) -> Encoder:
    """Chains of convolutions; a level's first one has its stride."""
    layers = Layers(arguments, arguments.nonlinearity_first)
    stages: list[nn.Module] = []
    for width, kernel, stride, count in _levels(arguments):
        stages.append(nn.Sequential(layers.chain(inputs, width, kernel, count, stride)))
        inputs = width
    return Encoder(stages)


def residual_encoder(arguments: ResidualEncoderUNetArguments, inputs: int) -> Encoder:
    """A stem, then chains of residual blocks; a level's first one has its stride."""
    layers = Layers(arguments)
    stem = layers.chain(inputs, arguments.stem, arguments.kernels[0], 1)
    stages: list[nn.Module] = []
    inputs = arguments.stem
    for width, kernel, stride, count in _levels(arguments):
        further = partial(Residual, layers, width, width, (kernel, ONCE))
        first = Residual(layers, inputs, width, (kernel, stride))
        stages.append(ResidualLevel([first, *(further() for _ in range(count - 1))]))
        inputs = width
    return Encoder(stages, stem)


def _levels(arguments: ConvolutionalUNetArguments) -> Any:
    return zip(arguments.features, arguments.kernels, arguments.strides, arguments.blocks, strict=True)

"""Which networks the kernels can run: a U-Net's parts at its two finest levels, recognised in its module.

Known are MONAI's DynUNet and nnU-Net's two U-Nets: convolutions with instance norm and leaky ReLU, joined level by
level. Residual encoders are left to torch, their decoders aren't. Whatever isn't known to the letter isn't planned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from tomosurf.segment.architectures.unet_layers import Chain, UNet

WIDTHS = (32, 64)
"""Channels of the finest level and of the next."""
MOST_INPUTS = 4
MOST_CLASSES = 128


@dataclass(frozen=True, slots=True)
class Block:
    """A 3x3x3 convolution of stride 1, then instance norm, then leaky ReLU.

    Smaller kernels are filled up with zeros. The convolution's bias isn't kept: the norm takes the mean away, and
    the bias with it.
    """

    weight: torch.Tensor
    gamma: torch.Tensor | None
    beta: torch.Tensor | None
    epsilon: float
    slope: float


@dataclass(frozen=True, slots=True)
class Level:
    """One level: ``enter`` (torch's), ``down``, something coarser and back, joined with ``down``'s output; ``up``.

    Without ``enter`` the first block of ``down`` takes the image itself. ``below`` is the next level with the
    transposed convolution ``raised`` behind it, or a module that does all of that.
    """

    enter: nn.Module | None
    down: tuple[Block, ...]
    below: Level | nn.Module
    raised: nn.ConvTranspose3d | None
    up: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """A network: its finest level, and the 1x1x1 convolution that makes its outputs."""

    finest: Level
    head: nn.Conv3d

    @property
    def slope(self) -> float:
        """What the leaky ReLUs multiply negative values by."""
        return self.finest.up[0].slope

    def takes(self, channels: int) -> bool:
        """Whether an image of so many channels can enter."""
        return self.finest.enter is not None or self.finest.down[0].weight.shape[1] == channels


@dataclass(frozen=True, slots=True)
class Parts:
    """A U-shaped network taken apart: stages down, and on the way back (transposed convolution, stage) in order."""

    down: list[Any]
    up: list[tuple[Any, Any]]
    head: Any


class Below(nn.Module):  # type: ignore[misc]  # torch is not followed
    """All of a U-Net below some level: stages down, and back up, with the way up into that level."""

    def __init__(self, parts: Parts, depth: int) -> None:
        """Of the network's ``parts`` those that come ``depth`` stages down."""
        super().__init__()
        *up, (last, _) = parts.up[: len(parts.up) - depth + 1]
        self.down = nn.ModuleList(parts.down[depth:])
        self.raised = nn.ModuleList(raised for raised, _ in up)
        self.up = nn.ModuleList(stage for _, stage in up)
        self.last = last

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """(n, channels, x, y, z) to the same sizes."""
        skips = []
        for stage in self.down:
            values = stage(values)
            skips.append(values)
        skips.pop()
        for raised, stage in zip(self.raised, self.up, strict=True):
            values = stage(torch.cat((raised(values), skips.pop()), dim=1))
        return self.last(values)


def plan(network: nn.Module) -> Plan | None:
    """The network's parts, or None where any isn't what the kernels compute."""
    parts = _dynunet(network) or _nnunet(network)
    if parts is None or len(parts.down) < 3 or not _points(parts.head):
        return None
    finest = _finest(parts)
    if finest is None:
        return None
    blocks = [*finest.down, *finest.up]
    if isinstance(finest.below, Level):
        blocks += [*finest.below.down, *finest.below.up]
    return Plan(finest, parts.head) if len({block.slope for block in blocks}) == 1 else None


def _finest(parts: Parts) -> Level | None:
    """The finest level, with the next in it where the kernels can run that too."""
    width, (raised, stage) = WIDTHS[0], parts.up[-1]
    up = _blocks(_stage(stage))
    if not up or not _joins(up, width) or not isinstance(raised, nn.ConvTranspose3d):
        return None
    enter, down = None, _blocks(_stage(parts.down[0]))
    inputs = down[0].weight.shape[1] if down else 0
    if not 0 < inputs <= MOST_INPUTS or not _widths(down, [inputs, *[width] * len(down)]):
        enter, down = parts.down[0], ()
    next_ = _next(parts) if _doubles(raised) else None
    if next_ is None:
        return Level(enter, down, Below(parts, 1), None, up)
    return Level(enter, down, next_, raised, up)


def _next(parts: Parts) -> Level | None:
    """The level below the finest: at least its first block, which has a stride, is left to torch."""
    width = WIDTHS[1]
    up = _blocks(_stage(parts.up[-2][1]))
    if not up or not _joins(up, width):
        return None
    first, *rest = _stage(parts.down[1])
    down = _blocks(rest)
    if down and _widths(down, [width] * (len(down) + 1)):
        return Level(nn.Sequential(*first), down, Below(parts, 2), None, up)
    return Level(parts.down[1], (), Below(parts, 2), None, up)


def _widths(blocks: Sequence[Block], widths: Sequence[int]) -> bool:
    """Whether the blocks lead from each number of channels to the next."""
    found = [tuple(block.weight.shape[1::-1]) for block in blocks]
    return found == list(pairwise(widths))


def _joins(blocks: Sequence[Block], width: int) -> bool:
    """Whether the blocks lead from two joined tensors of ``width`` channels to one."""
    return _widths(blocks, [2 * width, *[width] * len(blocks)])


def _dynunet(network: Any) -> Parts | None:
    """The parts of MONAI's DynUNet."""
    if _kind(network) != "monai.networks.nets.dynunet.DynUNet":
        return None
    return Parts(
        [network.input_block, *network.downsamples, network.bottleneck],
        [(_only(each.transp_conv), each.conv_block) for each in network.upsamples],
        _bare(_only(network.output_block.conv)),
    )


def _nnunet(network: Any) -> Parts | None:
    """The parts of nnU-Net's U-Nets; a stem belongs to the first stage."""
    if type(network) is not UNet:
        return None
    encoder, decoder = network.encoder, network.decoder
    first, *further = encoder.stages
    if encoder.stem is not None:
        first = nn.Sequential(encoder.stem, first)
    up = list(zip(decoder.transpconvs, decoder.stages, strict=True))
    return Parts([first, *further], up, _bare(decoder.head))


def _stage(stage: Any) -> list[list[Any]]:
    """The layers of each block of a stage; one block without layers where the stage is of no known kind."""
    if isinstance(stage, nn.Sequential) and len(stage) == 1:
        stage = stage[0]
    if _kind(stage) == "monai.networks.blocks.dynunet_block.UnetBasicBlock":
        return [
            [_only(stage.conv1), stage.norm1, stage.lrelu],
            [_only(stage.conv2), stage.norm2, stage.lrelu],
        ]
    if type(stage) is Chain:
        return [[] if each.swap else [each.conv, each.norm, each.after] for each in stage.convs]
    return [[]]


def _blocks(stage: list[list[Any]]) -> tuple[Block, ...]:
    """The stage's blocks; none where one isn't what the kernels compute."""
    blocks = [_block(*layers) if len(layers) == 3 else None for layers in stage]
    return () if None in blocks else tuple(block for block in blocks if block)


def _block(convolution: Any, norm: Any, activation: Any) -> Block | None:
    """The three as a block, or None where one has another kind or setting."""
    fits = (
        type(convolution) is nn.Conv3d
        and all(size in {1, 3} for size in convolution.kernel_size)
        and tuple(convolution.padding) == tuple(size // 2 for size in convolution.kernel_size)
        and set(convolution.stride) == set(convolution.dilation) == {1}
        and convolution.padding_mode == "zeros"
        and convolution.groups == 1
        and type(norm) is nn.InstanceNorm3d
        and not norm.track_running_stats
        and type(activation) is nn.LeakyReLU
        and 0 <= activation.negative_slope <= 1
    )
    if not fits:
        return None
    rims = [side for size in reversed(convolution.kernel_size) for side in [(3 - size) // 2] * 2]
    weight = nn.functional.pad(convolution.weight.detach(), rims)
    return Block(weight, norm.weight, norm.bias, norm.eps, activation.negative_slope)


def _doubles(module: nn.ConvTranspose3d) -> bool:
    """Whether it doubles each axis from the next level to the finest, each voxel giving eight of its own."""
    return (
        tuple(module.kernel_size) == tuple(module.stride) == (2, 2, 2)
        and not any((*module.padding, *module.output_padding))
        and set(module.dilation) == {1}
        and module.groups == 1
        and (module.out_channels, module.in_channels) == WIDTHS
    )


def _points(module: Any) -> bool:
    """Whether it is a convolution of single voxels of the finest level."""
    return (
        type(module) is nn.Conv3d
        and set(module.kernel_size) == set(module.stride) == {1}
        and not any(module.padding)
        and module.groups == 1
        and module.in_channels == WIDTHS[0]
        and module.out_channels <= MOST_CLASSES
    )


def _only(module: Any) -> Any:
    """The one module that MONAI's Convolution holds; the Convolution itself where it holds more."""
    inside = list(module.children())
    return inside[0] if len(inside) == 1 else module


def _bare(module: Any) -> Any:
    """The head itself where the engine keeps it in float32."""
    return module.inner if _kind(module) == "tomosurf.segment.engine.head.Float32Head" else module


def _kind(module: Any) -> str:
    kind = type(module)
    return f"{kind.__module__}.{kind.__qualname__}"

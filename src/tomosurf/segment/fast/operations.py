"""The kernels as operations on tensors: (n, z, y, x, channels) float16 in and out, on torch's current stream.

A tensor whose norm and activation are still to be applied is :class:`Values` with a norm.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

import torch

from tomosurf.errors import ModelError
from tomosurf.segment.fast import layout
from tomosurf.segment.fast.nvrtc import Kernel, Module
from tomosurf.segment.fast.plan import Block

ARCHITECTURE = "sm_90a"
BASE = "base.cu"
KERNELS = {
    "first.cu": {"first_1": 0, "first_2": 0, "first_4": 0},
    "walk.cu": {"conv_32": 158_592, "conv_64": 231_680, "conv_32_32": 231_680},
    "norm.cu": {"finish_norm": 0, "apply_norm": 0},
    "raise.cu": {"raise_64": 32_768},
    "head.cu": {"head_16": 0, "head_32": 0, "head_48": 0, "head_64": 0, "head_128": 0},
}
"""Each file's kernels and the bytes of shared memory that they ask for: weights and input planes."""


@dataclass(frozen=True, slots=True)
class Values:
    """A tensor, and (n, channels, 2) float32 scale and shift that its reader applies, with the leaky ReLU."""

    tensor: torch.Tensor
    norm: torch.Tensor | None = None


@dataclass(frozen=True, slots=True)
class Weights:
    """A block's weights in its kernel's order, one tensor a pass over the input, and its norm's."""

    passes: tuple[torch.Tensor, ...]
    outputs: int
    gamma: torch.Tensor | None
    beta: torch.Tensor | None
    epsilon: float

    @classmethod
    def of_first(cls, block: Block, device: torch.device) -> Weights:
        """For :meth:`Operations.first`."""
        return cls._of(block, (layout.first(_plain(block.weight)),), device)

    @classmethod
    def of(cls, block: Block, device: torch.device) -> Weights:
        """For :meth:`Operations.convolved`, 64 input channels a pass."""
        weight = _plain(block.weight)
        return cls._of(block, tuple(layout.walked(part) for part in weight.split(64, dim=1)), device)

    @classmethod
    def _of(cls, block: Block, passes: tuple[torch.Tensor, ...], device: torch.device) -> Weights:
        gamma, beta = (
            None if tensor is None else tensor.detach().float().to(device).contiguous()
            for tensor in (block.gamma, block.beta)
        )
        passes = tuple(each.to(device) for each in passes)
        return cls(passes, block.weight.shape[0], gamma, beta, block.epsilon)


class Operations:
    """The kernels, compiled for the current device, with the slope of the leaky ReLU."""

    def __init__(self, device: torch.device, slope: float) -> None:
        self._slope = slope
        self._processors = torch.cuda.get_device_properties(device).multi_processor_count
        folder = files(__package__) / "cuda"
        base = (folder / BASE).read_text(encoding="utf-8")
        self._kernels: dict[str, Kernel] = {}
        for file, kernels in KERNELS.items():
            module = Module(base + (folder / file).read_text(encoding="utf-8"), ARCHITECTURE)
            self._kernels |= {name: Kernel(module, name, shared) for name, shared in kernels.items()}

    def first(self, windows: torch.Tensor, weights: Weights) -> Values:
        """3x3x3 convolution of (n, 1 to 4, z, y, x) to 32 channels."""
        n, channels, depth, height, width = windows.shape
        grid = (-(-width // 64) * -(-height // 4), -(-depth // 4), n)
        out = windows.new_empty((n, depth, height, width, 32))
        partial = _partial(out, grid)
        self._kernels[f"first_{channels if channels < 3 else 4}"](
            grid, 256, windows, weights.passes[0], out, partial, channels, depth, height, width
        )
        return Values(out, self._norm(out, partial, weights))

    def convolved(self, weights: Weights, one: Values, two: Values | None = None) -> Values:
        """3x3x3 convolution of one tensor, or of two joined, of 32 or 64 channels each.

        Two of 64 channels take two passes; their sum is rounded to float16 in between.
        """
        n, depth, height, width, channels = one.tensor.shape
        blocks = weights.outputs // 32
        wide = 32 if channels == 32 and two is None else 16
        columns = -(-width // wide) * -(-height // 8)
        length = run_length(depth, columns * n * blocks, self._processors)
        grid = (columns, -(-depth // length), n * blocks)
        out = one.tensor.new_empty((n, depth, height, width, weights.outputs))
        partial = _partial(out, grid)
        for name, first, second, values, add in _passes(weights, one, two):
            self._kernels[name](
                grid, 384, first.tensor, first.norm, second and second.tensor, second and second.norm,
                values, out, partial, depth, height, width, length, blocks, add, self._slope,
            )  # fmt: skip
        return Values(out, self._norm(out, partial, weights))

    def normed(self, values: Values) -> Values:
        """The values with norm and activation applied, in place."""
        if values.norm is None:
            return values
        tensor = values.tensor
        n, channels = tensor.shape[0], tensor.shape[-1]
        voxels = tensor[0, ..., 0].numel()
        grid = (min(-(-voxels * channels // 8 // 256), self._processors * 16), n, 1)
        self._kernels["apply_norm"](
            grid, 256, tensor, values.norm, tensor, voxels, channels // 8, self._slope
        )
        return Values(tensor)

    def raised(
        self, values: Values, weights: torch.Tensor, bias: torch.Tensor | None, like: torch.Tensor
    ) -> Values:
        """Transposed convolution of size and stride 2, from 64 channels to 32, of the sizes of ``like``.

        Raises:
            ModelError: those aren't twice the values' sizes.
        """
        n, depth, height, width, _ = values.tensor.shape
        if like.shape != (n, 2 * depth, 2 * height, 2 * width, 32):
            raise ModelError("the network's levels aren't in steps of two")
        out = torch.empty_like(like)
        grid = (min(-(-depth * height * width // 256), self._processors * 2), n, 1)
        sizes = (depth, height, width)
        self._kernels["raise_64"](
            grid, 256, values.tensor, values.norm, weights, bias, out, *sizes, self._slope
        )
        return Values(out)

    def outputs(self, values: Values, weights: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        """Norm, activation and 1x1x1 convolution: (n, outputs, z, y, x) float32."""
        n, *sizes, _ = values.tensor.shape
        count, voxels = bias.numel(), values.tensor[0, ..., 0].numel()
        out = bias.new_empty((n, count, *sizes))
        grid = (min(-(-voxels // 256), self._processors * 8), n, 1)
        most = next(most for most in (16, 32, 48, 64, 128) if count <= most)
        self._kernels[f"head_{most}"](
            grid, 256, values.tensor, values.norm, weights, bias, out, voxels, count, self._slope
        )
        return out

    def _norm(self, out: torch.Tensor, partial: torch.Tensor, weights: Weights) -> torch.Tensor:
        """(n, channels, 2): each channel's scale and shift."""
        n, channels, _, parts = partial.shape
        norm = torch.empty((n, channels, 2), dtype=torch.float32, device=out.device)
        voxels = float(out[0, ..., 0].numel())
        arguments = (weights.gamma, weights.beta, norm, parts, voxels, weights.epsilon)
        self._kernels["finish_norm"]((channels, n, 1), 128, partial, *arguments)
        return norm


def run_length(depth: int, columns: int, processors: int) -> int:
    """How many planes a block of the walking convolution takes: the fewest steps over all rounds of blocks.

    A block pays two planes more than it gives.
    """

    def steps(runs: int) -> int:
        return -(-columns * runs // processors) * (-(-depth // runs) + 2)

    best = min(range(1, depth + 1), key=steps)
    return -(-depth // best)


def _passes(
    weights: Weights, one: Values, two: Values | None
) -> list[tuple[str, Values, Values | None, torch.Tensor, int]]:
    """Each pass: kernel, its inputs and weights, and whether it adds to what the one before made."""
    channels = one.tensor.shape[-1]
    if two is None:
        return [(f"conv_{channels}", one, None, weights.passes[0], 0)]
    if channels == 32:
        return [("conv_32_32", one, two, weights.passes[0], 0)]
    return [("conv_64", one, None, weights.passes[0], 0), ("conv_64", two, None, weights.passes[1], 1)]


def _partial(out: torch.Tensor, grid: tuple[int, int, int]) -> torch.Tensor:
    """Room for sums of a channel and its squares, one a block of the grid's first two axes."""
    shape = (out.shape[0], out.shape[-1], 2, grid[0] * grid[1])
    return torch.empty(shape, dtype=torch.float32, device=out.device)


def _plain(weights: torch.Tensor) -> torch.Tensor:
    return weights.detach().float().cpu().contiguous()

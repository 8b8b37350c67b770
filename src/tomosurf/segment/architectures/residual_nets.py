"""MONAI's residual encoders with light decoders: SegResNet and SegResNetDS."""

from __future__ import annotations

from math import log2
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from tomosurf.frozen import Frozen
from tomosurf.segment.architectures.layers import Activation, Norm, Size, Triple, given

Blocks = Annotated[tuple[Size, ...], Field(min_length=1, max_length=8)]
Upsampling = Literal["nontrainable", "deconv", "pixelshuffle"]


class SegResNetArguments(Frozen):
    """MONAI's SegResNet: residual blocks a level on the way down and up."""

    init_filters: Annotated[int, Field(ge=1, le=256)] = 16
    blocks_down: Blocks = (1, 2, 2, 4)
    blocks_up: tuple[Size, ...] = (1, 1, 1)
    norm: Norm | None = None
    activation: Activation | None = None
    upsample: Upsampling = "nontrainable"

    @model_validator(mode="after")
    def _fits(self) -> SegResNetArguments:
        if len(self.blocks_up) != len(self.blocks_down) - 1:
            raise ValueError("blocks_up has one entry less than blocks_down")
        groups = self.norm.groups if self.norm and self.norm.kind == "group" else None if self.norm else 8
        if groups and self.init_filters % groups:
            raise ValueError(f"init_filters must be divisible by the {groups} groups of its norm")
        return self


class SegResNet(Frozen):
    """A SegResNet by name."""

    name: Literal["SegResNet"]
    arguments: SegResNetArguments

    @property
    def divisor(self) -> Triple:
        """What each edge of a window must be divisible by."""
        whole = 2 ** (len(self.arguments.blocks_down) - 1)
        return (whole, whole, whole)

    def network(self, inputs: int, outputs: int) -> Any:
        """The untrained module."""
        from monai.networks.nets import SegResNet as MonaiSegResNet

        own = self.arguments
        return MonaiSegResNet(
            spatial_dims=3,
            init_filters=own.init_filters,
            in_channels=inputs,
            out_channels=outputs,
            blocks_down=own.blocks_down,
            blocks_up=own.blocks_up,
            upsample_mode=own.upsample,
            **given(norm=own.norm, act=own.activation),
        )


class SegResNetDSArguments(Frozen):
    """MONAI's SegResNetDS; ``heads`` counts its outputs, of which only the finest is used.

    ``resolution`` is the spacing (mm) of the images that its kernels were shaped for; None: they are cubes.
    """

    init_filters: Annotated[int, Field(ge=1, le=256)] = 32
    blocks_down: Blocks = (1, 2, 2, 4)
    blocks_up: tuple[Size, ...] | None = None
    heads: Annotated[int, Field(ge=1, le=8)] = 1
    norm: Norm | None = None
    activation: Activation | None = None
    upsample: Upsampling = "deconv"
    resolution: tuple[float, float, float] | None = None

    @model_validator(mode="after")
    def _fits(self) -> SegResNetDSArguments:
        if self.blocks_up is not None and len(self.blocks_up) != len(self.blocks_down) - 1:
            raise ValueError("blocks_up has one entry less than blocks_down")
        if self.resolution is not None and min(self.resolution) <= 0:
            raise ValueError("resolution is three lengths above zero")
        return self


class SegResNetDS(Frozen):
    """A SegResNetDS by name."""

    name: Literal["SegResNetDS"]
    arguments: SegResNetDSArguments

    @property
    def divisor(self) -> Triple:
        """What each edge of a window must be divisible by."""
        own = self.arguments
        halvings = len(own.blocks_down) - 1
        if own.resolution is None:
            return (2**halvings, 2**halvings, 2**halvings)
        finer = [int(log2(max(own.resolution) / step)) for step in own.resolution]
        result = [1, 1, 1]
        for level in range(halvings):
            for axis in range(3):
                result[axis] *= 2 if level < finer[axis] or level >= max(finer) else 1
        return (result[0], result[1], result[2])

    def network(self, inputs: int, outputs: int) -> Any:
        """The untrained module."""
        from monai.networks.nets import SegResNetDS as MonaiSegResNetDS

        own = self.arguments
        return MonaiSegResNetDS(
            spatial_dims=3,
            init_filters=own.init_filters,
            in_channels=inputs,
            out_channels=outputs,
            blocks_down=own.blocks_down,
            blocks_up=own.blocks_up,
            dsdepth=own.heads,
            upsample_mode=own.upsample,
            resolution=own.resolution,
            **given(norm=own.norm, act=own.activation),
        )

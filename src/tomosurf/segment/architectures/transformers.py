"""MONAI's networks with transformers as encoders: SwinUNETR and UNETR."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from tomosurf.frozen import Frozen
from tomosurf.segment.architectures.layers import Norm, Size, Triple, Width, given

Heads = Annotated[int, Field(ge=1, le=256)]
Four = tuple[Size, Size, Size, Size]


class SwinUNETRArguments(Frozen):
    """MONAI's SwinUNETR (Hatamizadeh et al. 2022, arXiv:2201.01266)."""

    patch: Annotated[int, Field(ge=2, le=4)] = 2
    depths: Four = (2, 2, 2, 2)
    heads: tuple[Heads, Heads, Heads, Heads] = (3, 6, 12, 24)
    attention_window: Size | Triple = 7
    qkv_bias: bool = True
    mlp_ratio: Annotated[float, Field(gt=0, le=64)] = 4.0
    features: Annotated[int, Field(ge=12, le=1200, multiple_of=12)] = 24
    norm: Norm | None = None
    normalise: bool = True
    patch_norm: bool = False
    downsample: Literal["merging", "mergingv2"] = "merging"
    second_version: bool = False


class SwinUNETR(Frozen):
    """A SwinUNETR by name."""

    name: Literal["SwinUNETR"]
    arguments: SwinUNETRArguments

    @property
    def divisor(self) -> Triple:
        """What each edge of a window must be divisible by."""
        whole = self.arguments.patch**5
        return (whole, whole, whole)

    def network(self, inputs: int, outputs: int) -> Any:
        """The untrained module."""
        from monai.networks.nets import SwinUNETR as MonaiSwinUNETR

        own = self.arguments
        return MonaiSwinUNETR(
            in_channels=inputs,
            out_channels=outputs,
            patch_size=own.patch,
            depths=own.depths,
            num_heads=own.heads,
            window_size=own.attention_window,
            qkv_bias=own.qkv_bias,
            mlp_ratio=own.mlp_ratio,
            feature_size=own.features,
            normalize=own.normalise,
            patch_norm=own.patch_norm,
            spatial_dims=3,
            downsample=own.downsample,
            use_v2=own.second_version,
            **given(norm_name=own.norm),
        )


class UNETRArguments(Frozen):
    """MONAI's UNETR (Hatamizadeh et al. 2022, arXiv:2103.10504): made for windows of one size, ``window``."""

    window: tuple[Width, Width, Width]
    features: Width = 16
    hidden: Width = 768
    mlp: Annotated[int, Field(ge=1, le=16384)] = 3072
    heads: Heads = 12
    projection: Literal["conv", "perceptron"] = "conv"
    norm: Norm | None = None
    convolutions: bool = True
    residual: bool = True
    qkv_bias: bool = False

    @model_validator(mode="after")
    def _fits(self) -> UNETRArguments:
        if self.hidden % self.heads or any(edge % 16 for edge in self.window):
            raise ValueError("hidden must be divisible by heads, and each edge of window by 16")
        return self


class UNETR(Frozen):
    """A UNETR by name."""

    name: Literal["UNETR"]
    arguments: UNETRArguments

    @property
    def divisor(self) -> Triple:
        """What each edge of a window must be divisible by: it takes one size only."""
        return self.arguments.window

    def network(self, inputs: int, outputs: int) -> Any:
        """The untrained module."""
        from monai.networks import nets

        own = self.arguments
        return nets.UNETR(
            in_channels=inputs,
            out_channels=outputs,
            img_size=own.window,
            feature_size=own.features,
            hidden_size=own.hidden,
            mlp_dim=own.mlp,
            num_heads=own.heads,
            proj_type=own.projection,
            conv_block=own.convolutions,
            res_block=own.residual,
            spatial_dims=3,
            qkv_bias=own.qkv_bias,
            **given(norm_name=own.norm),
        )

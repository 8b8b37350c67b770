"""The networks that a model description may name: an allow-list with typed arguments, never an import path.

To add one: a class with a ``name`` of its own in a file of this package, with ``divisor`` and ``network``, and
the class in :data:`Network`. A description can't reach any code but these few lines.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from tomosurf.segment.architectures.convolutional_unets import PlainConvUNet, ResidualEncoderUNet
from tomosurf.segment.architectures.dints import DiNTS, DiNTSArguments
from tomosurf.segment.architectures.layers import Activation, Norm
from tomosurf.segment.architectures.residual_nets import (
    SegResNet,
    SegResNetArguments,
    SegResNetDS,
    SegResNetDSArguments,
)
from tomosurf.segment.architectures.transformers import (
    UNETR,
    SwinUNETR,
    SwinUNETRArguments,
    UNETRArguments,
)
from tomosurf.segment.architectures.unets import (
    AttentionUnet,
    AttentionUnetArguments,
    BasicUNet,
    BasicUNetArguments,
    DynUNet,
    DynUNetArguments,
    UNet,
    UNetArguments,
    VNet,
    VNetArguments,
)

__all__ = [
    "UNETR",
    "Activation",
    "Architecture",
    "AttentionUnet",
    "AttentionUnetArguments",
    "BasicUNet",
    "BasicUNetArguments",
    "DiNTS",
    "DiNTSArguments",
    "DynUNet",
    "DynUNetArguments",
    "Network",
    "Norm",
    "SegResNet",
    "SegResNetArguments",
    "SegResNetDS",
    "SegResNetDSArguments",
    "SwinUNETR",
    "SwinUNETRArguments",
    "UNETRArguments",
    "UNet",
    "UNetArguments",
    "VNet",
    "VNetArguments",
    "build",
]

Network = (
    DynUNet
    | UNet
    | SegResNet
    | SegResNetDS
    | SwinUNETR
    | UNETR
    | VNet
    | BasicUNet
    | AttentionUnet
    | DiNTS
    | PlainConvUNet
    | ResidualEncoderUNet
)
Architecture = Annotated[Network, Field(discriminator="name")]


def build(architecture: Network, inputs: int, outputs: int, deep_heads: int = 0) -> Any:
    """The untrained ``torch.nn.Module``: (n, inputs, x, y, z) float32 to (n, outputs, x, y, z) logits.

    ``deep_heads`` adds that many coarser outputs to a DynUNet for training; the others have none.
    """
    match architecture:
        case DynUNet():
            return architecture.network(inputs, outputs, deep_heads)
        case _:
            return architecture.network(inputs, outputs)

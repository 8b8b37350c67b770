"""What the networks' arguments are made of: sizes, normalisations and activations, typed and closed."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Annotated, Any, Literal

from pydantic import Field

from tomosurf.frozen import Frozen

Size = Annotated[int, Field(ge=1, le=64)]
Triple = tuple[Size, Size, Size]
Width = Annotated[int, Field(ge=1, le=4096)]
NormName = Literal["instance", "batch"]


class Norm(Frozen):
    """A normalisation between layers; what is None is as the network has it by default."""

    kind: Literal["instance", "batch", "group", "layer"]
    affine: bool | None = None
    groups: Annotated[int, Field(ge=1, le=4096)] | None = None
    epsilon: Annotated[float, Field(ge=0, le=1)] | None = None
    tracked: bool | None = None

    def as_monai(self) -> tuple[str, dict[str, Any]]:
        """The pair that MONAI's networks take."""
        named = {
            "affine": self.affine,
            "num_groups": self.groups,
            "eps": self.epsilon,
            "track_running_stats": self.tracked,
        }
        return self.kind, {name: value for name, value in named.items() if value is not None}


class Activation(Frozen):
    """What follows a normalisation: ``slope`` below zero (leaky ReLU) or ``alpha`` (ELU), None: MONAI's own.

    ``parameters`` counts those of a PReLU.
    """

    kind: Literal["relu", "leakyrelu", "prelu", "elu", "gelu", "mish", "swish", "memswish", "relu6", "selu"]
    slope: float | None = None
    alpha: float | None = None
    parameters: Width | None = None

    def as_monai(self) -> tuple[str, dict[str, Any]]:
        """The pair that MONAI's networks take."""
        named = {"negative_slope": self.slope, "alpha": self.alpha, "num_parameters": self.parameters}
        return self.kind, {name: value for name, value in named.items() if value is not None}


def given(**arguments: Any) -> dict[str, Any]:
    """MONAI's arguments, norms and activations in its form; None leaves its default."""
    return {
        name: value.as_monai() if isinstance(value, Norm | Activation) else value
        for name, value in arguments.items()
        if value is not None
    }


def product_of_strides(strides: Iterable[int | Triple]) -> Triple:
    """By how much all strides together make each axis coarser."""
    triples = [(stride,) * 3 if isinstance(stride, int) else stride for stride in strides]
    a, b, c = (prod(triple[axis] for triple in triples) for axis in range(3))
    return (a, b, c)

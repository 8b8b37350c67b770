"""MONAI's DiNTS: a network whose topology was searched for; the findings are numbers in its description."""

from __future__ import annotations

from contextlib import redirect_stdout
from io import StringIO
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from tomosurf.frozen import Frozen
from tomosurf.segment.architectures.layers import Activation, Norm, Triple, given

Bit = Annotated[int, Field(ge=0, le=1)]
Operation = Annotated[int, Field(ge=0, le=4)]


class DiNTSArguments(Frozen):
    """MONAI's DiNTS (He et al. 2021, arXiv:2103.15954).

    ``paths`` (blocks, 3 x depths - 2) says which paths between resolutions exist, ``operations``, of the same
    shape, what is done on each, ``nodes`` (blocks + 1, depths) which nodes are alive; None: all.
    """

    paths: tuple[tuple[Bit, ...], ...] = Field(min_length=1, max_length=64)
    operations: tuple[tuple[Operation, ...], ...]
    nodes: tuple[tuple[Bit, ...], ...] | None = None
    depths: Annotated[int, Field(ge=1, le=6)] = 3
    width: Annotated[float, Field(gt=0, le=8)] = 1.0
    downsample: bool = True
    norm: Norm | None = None
    activation: Activation | None = None

    @model_validator(mode="after")
    def _fits(self) -> DiNTSArguments:
        columns = 3 * self.depths - 2
        if len(self.operations) != len(self.paths) or any(
            len(row) != columns for row in (*self.paths, *self.operations)
        ):
            raise ValueError(f"paths and operations have one row a block, {columns} numbers each")
        if self.nodes is not None and (
            len(self.nodes) != len(self.paths) + 1 or any(len(row) != self.depths for row in self.nodes)
        ):
            raise ValueError("nodes has one row more than paths, one number a depth")
        return self


class DiNTS(Frozen):
    """A DiNTS by name."""

    name: Literal["DiNTS"]
    arguments: DiNTSArguments

    @property
    def divisor(self) -> Triple:
        """What each edge of a window must be divisible by."""
        whole = 2 ** (self.arguments.depths + int(self.arguments.downsample))
        return (whole, whole, whole)

    def network(self, inputs: int, outputs: int) -> Any:
        """The untrained module."""
        import numpy as np
        import torch
        from monai.networks.nets import DiNTS as MonaiDiNTS
        from monai.networks.nets import TopologyInstance

        own = self.arguments
        layers = given(norm_name=own.norm, act_name=own.activation)
        with redirect_stdout(StringIO()):  # it prints
            topology = TopologyInstance(
                arch_code=[np.array(own.paths), np.array(own.operations)],
                channel_mul=own.width,
                num_blocks=len(own.paths),
                num_depths=own.depths,
                use_downsample=own.downsample,
                spatial_dims=3,
                **layers,
            )
        return MonaiDiNTS(
            dints_space=topology,
            in_channels=inputs,
            num_classes=outputs,
            spatial_dims=3,
            use_downsample=own.downsample,
            node_a=None if own.nodes is None else torch.tensor(own.nodes),
            **layers,
        )

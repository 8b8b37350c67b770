"""Which networks the fast kernels take, that a plan has all of the network, and the order of weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional

from tomosurf.segment.architectures.convolutional_unets import PlainConvUNet, ResidualEncoderUNet
from tomosurf.segment.fast import layout
from tomosurf.segment.fast.operations import run_length
from tomosurf.segment.fast.plan import Block, Level, Plan, plan
from tomosurf.segment.fast.run import fast_network

CHANNELS = [8 * (c % 8 // 2) + 2 * (c // 8) + c % 2 for c in range(32)]
"""The channel of each column, as kernels.cu says it."""


def dynunet(**changes: Any) -> Any:
    from monai.networks.nets import DynUNet

    settings: dict[str, Any] = {
        "spatial_dims": 3,
        "in_channels": 1,
        "out_channels": 3,
        "kernel_size": [3, 3, 3],
        "strides": [1, 2, 2],
        "upsample_kernel_size": [2, 2],
        "filters": (32, 64, 48),
        "norm_name": ("instance", {"affine": True}),
        **changes,
    }
    torch.manual_seed(3)
    return DynUNet(**settings).eval()


def nnunet(inputs: int = 1, outputs: int = 3, **changes: Any) -> Any:
    arguments: dict[str, Any] = {
        "features": (32, 64, 48),
        "kernels": ((3, 3, 3),) * 3,
        "strides": ((1, 1, 1), (2, 2, 2), (2, 2, 2)),
        "blocks": (2, 2, 2),
        "up": (2, 2),
        **changes,
    }
    torch.manual_seed(5)
    if "stem" in arguments:
        named = {"name": "ResidualEncoderUNet", "arguments": arguments}
        return ResidualEncoderUNet.model_validate(named).network(inputs, outputs).eval()
    network = PlainConvUNet.model_validate({"name": "PlainConvUNet", "arguments": arguments})
    return network.network(inputs, outputs).eval()


def block(values: torch.Tensor, given: Block) -> torch.Tensor:
    values = functional.conv3d(values, given.weight, padding=1)
    values = functional.instance_norm(values, weight=given.gamma, bias=given.beta, eps=given.epsilon)
    return functional.leaky_relu(values, given.slope)


def level(values: torch.Tensor, given: Level) -> torch.Tensor:
    if given.enter is not None:
        values = given.enter(values)
    for each in given.down:
        values = block(values, each)
    if isinstance(given.below, Level):
        assert given.raised is not None
        below = given.raised(level(values, given.below))
    else:
        below = given.below(values)
    values = torch.cat((below, values), dim=1)
    for each in given.up:
        values = block(values, each)
    return values


def computed(given: Plan, windows: torch.Tensor) -> torch.Tensor:
    result: torch.Tensor = given.head(level(windows, given.finest))
    return result


ANISOTROPIC = {
    "kernels": ((1, 3, 3), (3, 3, 3), (3, 3, 3)),
    "strides": ((1, 1, 1), (1, 2, 2), (2, 2, 2)),
    "blocks": (3, 2, 2),
    "affine": False,
}


@pytest.mark.parametrize(
    ("network", "inputs", "levels"),
    [
        (dynunet(), 1, 2),
        (dynunet(trans_bias=True, deep_supervision=True, norm_name="instance"), 1, 2),
        (dynunet(in_channels=4, filters=(32, 48, 48)), 4, 1),
        (nnunet(), 1, 2),
        (nnunet(2, 5, **ANISOTROPIC), 2, 1),
        (nnunet(blocks=(2, 1, 2), slope=0.2), 1, 2),
        (nnunet(bias=False, up=(1, 3)), 1, 2),
        (nnunet(blocks=(1, 2, 2)), 1, 2),
        (nnunet(stem=32, blocks=(1, 3, 2), up=(1, 1)), 1, 2),
        (dynunet(res_block=True), 1, 2),
        (dynunet(in_channels=5), 5, 2),
        (dynunet(kernel_size=[5, 3, 3]), 1, 2),
    ],
)
def test_a_plan_computes_what_the_network_does(network: Any, inputs: int, levels: int) -> None:
    found = plan(network)
    assert found is not None
    assert isinstance(found.finest.below, Level) == (levels == 2)
    with torch.no_grad():
        windows = torch.randn((2, inputs, 16, 24, 16))
        torch.testing.assert_close(computed(found, windows), network(windows), atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "network",
    [
        torch.nn.Conv3d(1, 2, 3),
        dynunet(norm_name="batch"),
        dynunet(filters=(16, 32, 48)),
        dynunet(out_channels=129),
        dynunet(dropout=0.1),
        dynunet(act_name="relu"),
        dynunet(kernel_size=[3, 5, 3]),
        nnunet(norm="none"),
        nnunet(nonlinearity="relu"),
        nnunet(nonlinearity_first=True),
    ],
)
def test_what_is_not_known_is_not_planned(network: Any) -> None:
    assert plan(network) is None


def test_without_a_hopper_gpu_there_is_none_and_a_reason() -> None:
    made, why = fast_network(dynunet(), (1, 1, 16, 16, 16), torch.float16)
    assert made is None
    assert "CUDA" in why


def test_walking_weights_lie_where_the_kernel_reads_them() -> None:
    weights = torch.randn(64, 16, 3, 3, 3)
    laid = layout.walked(weights)
    assert laid.shape == (2, 3, 3, 2, 5, 32, 8)
    for column, channel in enumerate(CHANNELS):
        for place, kz in enumerate((2, 1, 0, 2, 1)):
            expected = weights[32 + channel, 8:16, kz, 1, 2].half()
            assert torch.equal(laid[1, 1, 2, 1, place, column], expected)


def test_every_weight_of_the_other_kernels_is_laid_once() -> None:
    first = torch.arange(1, 2 * 32 * 27 + 1).reshape(32, 2, 3, 3, 3) / 2048.0
    raised = torch.arange(1, 64 * 32 + 1).reshape(64, 32, 1, 1, 1).expand(64, 32, 2, 2, 2) / 2048.0
    heads = torch.arange(1, 25 * 32 + 1).reshape(25, 32, 1, 1, 1) / 1024.0
    for laid, given in (
        (layout.first(first), first),
        (layout.raised(raised.contiguous()), raised),
        (layout.heads(heads), heads),
    ):
        found = laid.flatten()[laid.flatten() != 0].sort().values
        assert torch.equal(found, given.flatten().half().sort().values)


@pytest.mark.parametrize(
    ("depth", "columns"), [(1, 1), (7, 3), (64, 128), (128, 64), (128, 256), (300, 1000)]
)
def test_runs_cover_the_depth(depth: int, columns: int) -> None:
    length = run_length(depth, columns, 132)
    assert 1 <= length <= depth
    assert -(-depth // length) * length >= depth

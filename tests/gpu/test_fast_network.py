"""Our kernels give the network's own outputs, for every shape of it that they take."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.unit.segment.test_fast_plan import ANISOTROPIC, dynunet, nnunet
from tomosurf.segment.fast.run import fast_network, relative_error

HOPPER = torch.cuda.is_available() and torch.cuda.get_device_capability() == (9, 0)
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not HOPPER, reason="this machine has no GPU of compute capability 9.0"),
]


def made(network: Any, shape: tuple[int, int, int, int, int]) -> Any:
    found, why = fast_network(network, shape, torch.float16)
    assert found is not None, why
    return found


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        (dynunet(), (1, 1, 32, 32, 32)),
        (dynunet(trans_bias=True, out_channels=25), (2, 1, 40, 28, 52)),
        (dynunet(in_channels=3, out_channels=117), (1, 3, 16, 36, 20)),
        (dynunet(in_channels=4, filters=(32, 48, 48)), (2, 4, 24, 24, 40)),
        (nnunet(slope=0.2, up=(1, 3)), (3, 1, 24, 40, 68)),
        (nnunet(2, 5, **ANISOTROPIC), (2, 2, 14, 44, 36)),
        (nnunet(blocks=(1, 2, 2), affine=False), (1, 1, 64, 8, 12)),
        (nnunet(2, stem=32, blocks=(1, 3, 2), up=(1, 1)), (2, 2, 24, 32, 16)),
        (dynunet(res_block=True), (1, 1, 20, 32, 36)),
    ],
)
def test_outputs_are_the_networks(network: Any, shape: tuple[int, int, int, int, int]) -> None:
    network = network.cuda()
    fast = made(network, shape)
    assert relative_error(fast, network, shape) < 0.005
    outputs = fast(torch.full(shape, 0.25, device="cuda"))
    assert bool(torch.isfinite(outputs).all())


def test_the_same_windows_give_the_same_bytes_and_fewer_windows_the_same_outputs() -> None:
    network = dynunet().cuda()
    fast = made(network, (3, 1, 32, 48, 32))
    windows = torch.randn((3, 1, 32, 48, 32), device="cuda")
    first = fast(windows).clone()
    fast(torch.randn_like(windows))
    assert torch.equal(fast(windows), first)
    assert torch.equal(fast(windows[:2]), first[:2])
    assert torch.equal(fast(windows.half())[1], first[1])


def test_what_the_kernels_do_not_take_comes_with_a_reason() -> None:
    shape = (1, 1, 32, 32, 32)
    assert fast_network(dynunet().cuda(), shape, torch.bfloat16)[0] is None
    assert fast_network(dynunet(norm_name="batch").cuda(), shape, torch.float16)[0] is None
    assert fast_network(dynunet().cuda(), (1, 2, 32, 32, 32), torch.float16)[0] is None

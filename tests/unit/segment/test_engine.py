"""The engine: every voxel once, whatever the memory, as the networks' own runtimes would."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from scipy.ndimage import gaussian_filter

from tests.two_balls import description, grid
from tests.two_balls import image as two_balls
from tests.unit.conftest import Trained
from tomosurf.config import NetworkMethod
from tomosurf.errors import ModelError
from tomosurf.segment.architectures import Architecture, build
from tomosurf.segment.device import half_precision
from tomosurf.segment.engine.batches import Load
from tomosurf.segment.engine.blend import Blend, Depth
from tomosurf.segment.engine.head import keep_head
from tomosurf.segment.engine.importance import importance
from tomosurf.segment.engine.memory import Footing, depth
from tomosurf.segment.engine.run import Slabs
from tomosurf.segment.engine.tiles import Tiling, tiling
from tomosurf.segment.model.spec import ModelSpec, WeightsFile, Window
from tomosurf.segment.network import segment
from tomosurf.segment.options import SegmentOptions
from tomosurf.segment.outputs.slab import CHUNKS, Slab
from tomosurf.segment.resident import Engine

STRICT = SegmentOptions(device="cpu", precision="float32")
SHAPES = [(24, 24, 24), (31, 20, 45), (12, 40, 17), (9, 10, 11), (20, 16, 33)]


def spec(window: Window | None, folds: int = 1, **changes: Any) -> ModelSpec:
    """The two balls' description with another window; the weights are given apart."""
    files = tuple(
        WeightsFile(file=f"{n}.safetensors", sha256=f"{n:064}", dtype="float32") for n in range(folds)
    )
    return ModelSpec(**{**dict(description()), "window": window, "weights": files, **changes})


def convolutions(channels: int = 3, seed: int = 0) -> torch.nn.Module:
    """A random network that mixes neighbours, with no symmetry along any axis."""
    torch.manual_seed(seed)
    return torch.nn.Sequential(
        torch.nn.Conv3d(1, 6, 5, padding=2), torch.nn.Tanh(), torch.nn.Conv3d(6, channels, 3, padding=1)
    ).eval()


def loaded(*networks: torch.nn.Module) -> Load:
    return lambda: networks


def noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(1, *shape)).astype(np.float32)


def joined(slabs: Iterator[Slab]) -> torch.Tensor:
    """All slabs as one tensor; they must come in order, without gaps."""
    parts = list(slabs)
    at = 0
    for part in parts:
        assert (part.axis, part.start) == (parts[0].axis, at)
        at = part.stop
    return torch.cat([part.values for part in parts], dim=1 + parts[0].axis)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("overlap", [0.25, 0.5, 0.625])
@pytest.mark.parametrize("mode", ["gaussian", "constant"])
def test_outputs_are_those_of_monai(shape: tuple[int, int, int], overlap: float, mode: Any) -> None:
    from monai.inferers import sliding_window_inference

    network, image = convolutions(), noise(shape)
    window = Window(roi=(16, 12, 14), overlap=overlap, mode=mode)
    ours = joined(Slabs(loaded(network), spec(window), image, STRICT))
    with torch.no_grad():
        theirs = sliding_window_inference(
            torch.from_numpy(image)[None], window.roi, 2, network, overlap=overlap, mode=mode
        )[0]
    assert ours.dtype == torch.float32
    assert ours.shape == theirs.shape
    assert float((ours - theirs).abs().max()) <= 1e-5


def nnunet_steps(size: int, roi: int, step: float) -> list[int]:
    """After Isensee et al. 2021: as few windows as the largest step allows, spread evenly."""
    count = int(np.ceil((size - roi) / (roi * step))) + 1
    return [int(np.round((size - roi) / (count - 1) * n)) if count > 1 else 0 for n in range(count)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("overlap", [0.25, 0.5, 0.625])
def test_outputs_are_those_of_nnunets_formulae(shape: tuple[int, int, int], overlap: float) -> None:
    """Zeros around small images, even steps, a Gaussian that was an impulse, in half precision, peak 10."""
    network, image = convolutions(), noise(shape)
    roi = (16, 12, 14)
    window = Window(roi=roi, overlap=overlap, placement="nnunet")
    ours = joined(Slabs(loaded(network), spec(window), image, STRICT))
    impulse = np.zeros(roi)
    impulse[8, 6, 7] = 1
    blurred = gaussian_filter(impulse, [size / 8 for size in roi], 0, mode="constant", cval=0)
    weights = torch.from_numpy(blurred / (blurred.max() / 10)).half().float()
    weights[weights == 0] = weights[weights > 0].min()
    short = [max(edge - size, 0) for edge, size in zip(roi, shape, strict=True)]
    pads = [(n // 2, n - n // 2) for n in short]
    padded = torch.from_numpy(np.pad(image[0], pads))
    total, weight = torch.zeros(3, *padded.shape), torch.zeros(padded.shape)
    sizes = zip(padded.shape, roi, strict=True)
    for start in product(*(nnunet_steps(size, edge, 1 - overlap) for size, edge in sizes)):
        cut = tuple(slice(a, a + n) for a, n in zip(start, roi, strict=True))
        with torch.no_grad():
            total[(slice(None), *cut)] += network(padded[cut][None, None])[0] * weights
        weight[cut] += weights
    inside = tuple(slice(low, low + size) for (low, _), size in zip(pads, shape, strict=True))
    assert float((ours - (total / weight)[(slice(None), *inside)]).abs().max()) <= 1e-5


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 16)] * 3),
    roi=st.tuples(*[st.integers(2, 9)] * 3),
    overlap=st.floats(0, 0.9),
    placement=st.sampled_from(["monai", "nnunet"]),
    extra=st.integers(0, 8),
    thickness=st.integers(1, 9),
)
def test_every_voxel_is_covered_and_the_depth_does_not_matter(
    shape: Any, roi: Any, overlap: float, placement: Any, extra: int, thickness: int
) -> None:
    tiles = tiling(shape, Window(roi=roi, overlap=overlap, placement=placement))
    weights = importance(tiles.window, Window(roi=roi, overlap=overlap, placement=placement))
    assert float(weights.min()) > 0
    for size, edge, starts in zip(tiles.shape, tiles.window, tiles.starts, strict=True):
        assert starts[0] == 0
        assert starts[-1] == size - edge, "no padding beyond need"
        assert all(0 <= b - a <= edge for a, b in pairwise(starts))
    origins = list(tiles.origins())
    assert len(set(origins)) <= len(origins) == tiles.count
    random = torch.Generator().manual_seed(1)
    values = {origin: torch.randn(2, *tiles.window, generator=random) for origin in set(origins)}
    whole = _through(tiles, weights, Depth(tiles.shape[tiles.axis], 1), values)
    rolling = _through(tiles, weights, Depth(tiles.window[tiles.axis] + extra, thickness), values)
    assert len(whole) == 1
    assert torch.equal(joined(iter(whole)), joined(iter(rolling)))
    assert whole[0].spread is not None
    spreads = [slab.spread for slab in rolling if slab.spread is not None]
    assert torch.equal(torch.cat(spreads, dim=tiles.axis), whole[0].spread)
    assert whole[0].values.shape == (2, *shape)
    assert torch.isfinite(whole[0].values).all()


def _through(tiles: Tiling, weights: torch.Tensor, planes: Depth, values: dict[Any, Any]) -> list[Slab]:
    blend, found = None, []
    for origin in tiles.origins():
        window = values[origin]
        blend = blend or Blend(tiles, weights, planes, window, True)
        found += blend.below(origin[tiles.axis])
        blend.add(origin, window, window[0].abs())
    assert blend is not None
    return [*found, *blend.rest()]


def test_without_a_window_the_network_sees_everything_at_once() -> None:
    network, image = convolutions(), noise((13, 17, 11))
    ours = joined(Slabs(loaded(network), spec(None), image, STRICT))
    with torch.no_grad():
        assert torch.equal(ours, network(torch.from_numpy(image)[None])[0])


def test_mirrors_and_folds_are_averaged_and_their_spread_is_told() -> None:
    networks, image = [convolutions(seed=n) for n in range(3)], noise((20, 12, 14))
    window = Window(roi=(12, 12, 14), overlap=0.5)
    model = spec(window, folds=3, mirror_axes=(0, 2))
    slab = next(Slabs(loaded(*networks), model, image, replace(STRICT, mirror=True)))
    weights = importance(window.roi, window)
    total, spread, weight = torch.zeros(3, 20, 12, 14), torch.zeros(20, 12, 14), torch.zeros(20, 12, 14)
    for start in (0, 6, 8):
        cut = slice(start, start + 12)
        given_in = torch.from_numpy(image[:, cut])[None]
        with torch.no_grad():
            each = torch.stack(
                [
                    network(given_in.flip(axes)).flip(axes)[0]
                    for network in networks
                    for axes in ([], [2], [4], [2, 4])
                ]
            )
        mean = each.mean(dim=0)
        best = mean.topk(2, dim=0).indices.expand(12, -1, -1, -1, -1)
        margins = each.gather(1, best)
        total[:, cut] += mean * weights
        spread[cut] += (margins[:, 0] - margins[:, 1]).std(dim=0, correction=0) * weights
        weight[cut] += weights
    assert slab.spread is not None
    torch.testing.assert_close(slab.values, total / weight, atol=1e-5, rtol=0)
    torch.testing.assert_close(slab.spread, spread / weight, atol=1e-4, rtol=0)


class Greedy(torch.nn.Module):
    """At the edge: a network on a device whose memory holds ``most`` windows at a time."""

    def __init__(self, inner: torch.nn.Module, most: int) -> None:
        super().__init__()
        self.inner, self.most = inner, most
        self.seen: list[int] = []

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        self.seen.append(len(windows))
        if len(windows) > self.most:
            raise torch.OutOfMemoryError("no more memory")
        return self.inner(windows)


def test_out_of_memory_gives_smaller_batches_and_the_same_result() -> None:
    image, window = noise((30, 20, 20)), Window(roi=(12, 12, 12))
    plain = joined(Slabs(loaded(convolutions()), spec(window), image, replace(STRICT, batch=8)))
    greedy = Greedy(convolutions(), 2)
    shares: list[float] = []
    run = Slabs(
        loaded(greedy), spec(window), image, replace(STRICT, batch=8), lambda _, part: shares.append(part)
    )
    torch.testing.assert_close(joined(run), plain, atol=1e-6, rtol=0)
    assert greedy.seen[:3] == [8, 4, 2]
    assert run.told["to_save_memory"] == ["4 windows at a time", "2 windows at a time"]
    assert run.told["windows_at_once"] == 2
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_when_nothing_suffices_it_says_so() -> None:
    run = Slabs(
        loaded(Greedy(convolutions(), 0)), spec(Window(roi=(12, 12, 12))), noise((30, 20, 20)), STRICT
    )
    with pytest.raises(ModelError, match="memory doesn't suffice"):
        next(run)


def test_the_ladder_ends_on_the_cpu() -> None:
    footing = Footing(torch.device("cuda"), 4)
    given_up = []
    while lower := footing.lower():
        footing, what = lower
        given_up.append(what)
    assert given_up == [
        "2 windows at a time",
        "1 windows at a time",
        "sums of a few planes at a time",
        "image in the host's memory",
        "network on the CPU",
    ]
    assert footing.device.type == "cpu"
    assert footing.stage == "segment on the CPU"


def test_planes_are_held_within_the_room_there_is() -> None:
    """341 x 341 x 800 and 117 channels: all of it is 44 GB, a window's planes 7 GB."""
    tiles = tiling((341, 341, 800), Window(roi=(128, 128, 128)))
    assert tiles.axis == 2
    plane = 4 * 118 * 341 * 341
    assert depth(tiles, 118, 200 * 10**9, True) == Depth(800, 800)
    held = depth(tiles, 118, 9 * 10**9, True)
    assert held is not None
    assert held.held == 128
    assert held.slab >= 4
    assert plane * (held.held + 2 * held.slab + 4) + CHUNKS <= 9 * 10**9
    assert depth(tiles, 118, plane * (128 + 2 * 3 + 4) + CHUNKS, True) is None, (
        "slabs of three planes take too long"
    )
    assert depth(tiles, 118, 200 * 10**9, False) == Depth(128, 128)
    assert depth(tiles, 118, 6 * 10**9, True) is None
    half = depth(tiles, 118, 6 * 10**9, False, half=True)
    assert half is not None
    assert half.held == 128
    assert plane * (half.held / 2 + 2 * half.slab + 4) + CHUNKS <= 6 * 10**9


def test_sums_in_half_precision_stay_within_its_rounding() -> None:
    """Where a GPU has no room for more: as far off as the network's own half precision."""
    window = Window(roi=(12, 10, 8), overlap=0.5)
    tiles = tiling((20, 16, 33), window)
    weights = importance(tiles.window, window)
    random = torch.Generator().manual_seed(1)
    values = {origin: 10 * torch.randn(2, *tiles.window, generator=random) for origin in tiles.origins()}
    held = tiles.window[tiles.axis]
    exact = joined(iter(_through(tiles, weights, Depth(held, 2), values)))
    near = joined(iter(_through(tiles, weights, Depth(held, 2, half=True), values)))
    assert near.dtype == torch.float32
    assert float((near - exact).abs().max()) < 4 * 2**-11 * float(exact.abs().max())


def test_outputs_that_are_not_finite_are_an_error() -> None:
    network = convolutions()
    with torch.no_grad():
        network[2].bias[1] = torch.inf
    with pytest.raises(ModelError, match="isn't finite"):
        next(Slabs(loaded(network), spec(Window(roi=(12, 12, 12))), noise((20, 20, 20)), STRICT))


def test_networks_stay_loaded_and_the_oldest_goes() -> None:
    engine = Engine(models=2)
    options = replace(STRICT, engine=engine)
    loads: list[int] = []

    def load(number: int) -> Load:
        def networks() -> Sequence[Any]:
            loads.append(number)
            return [convolutions(seed=number)]

        return networks

    def run(number: int) -> None:
        files = (WeightsFile(file="w.safetensors", sha256=f"{number:064}", dtype="float32"),)
        model = spec(Window(roi=(12, 12, 12)), weights=files)
        joined(Slabs(load(number), model, noise((14, 12, 12)), options))

    for number in (1, 2, 1, 3, 1, 2):
        run(number)
    assert loads == [1, 2, 3, 2]
    assert len(engine) == 2


def test_the_same_bytes_twice() -> None:
    image, model = noise((30, 20, 20)), spec(Window(roi=(12, 12, 12)))
    for options in (STRICT, SegmentOptions(device="cpu")):
        one, other = (joined(Slabs(loaded(convolutions()), model, image, options)) for _ in range(2))
        assert torch.equal(one, other)


half_here = pytest.mark.skipif(
    half_precision(torch.device("cpu")) is None, reason="this processor doesn't compute in half precision"
)


@half_here
def test_half_precision_finds_the_same_labels(trained: Trained) -> None:
    volume = two_balls(grid((56, 52, 48), (0.75, 0.875, 1.0)))
    method = NetworkMethod(method="network", model=str(trained.model))
    strict = segment(volume, method, STRICT)
    half = segment(volume, method, SegmentOptions(device="cpu"))
    assert (strict.provenance["precision"], half.provenance["precision"]) == ("float32", "bfloat16")
    assert np.mean(strict.labels == half.labels) >= 0.999
    for label in (1, 2):
        ours, theirs = half.labels == label, strict.labels == label
        assert 2 * (ours & theirs).sum() / (ours.sum() + theirs.sum()) >= 0.999


@half_here
def test_a_model_can_forbid_half_precision() -> None:
    model = spec(Window(roi=(12, 12, 12)), precision="float32")
    run = Slabs(loaded(convolutions()), model, noise((14, 12, 12)), SegmentOptions(device="cpu"))
    joined(run)
    assert run.told["precision"] == "float32"


@half_here
def test_half_precision_that_overflows_is_given_up_and_told() -> None:
    class Overflows(torch.nn.Module):
        """At the edge: a network that only half precision is too narrow for."""

        def forward(self, windows: torch.Tensor) -> torch.Tensor:
            narrow = torch.is_autocast_enabled("cpu")
            return windows.expand(-1, 3, -1, -1, -1) + (torch.inf if narrow else 0)

    run = Slabs(
        loaded(Overflows()), spec(Window(roi=(12, 12, 12))), noise((14, 12, 12)), SegmentOptions(device="cpu")
    )
    assert torch.isfinite(joined(run)).all()
    assert run.told["precision"] == "float32"
    assert run.told["not_in_half_precision"] == "the outputs weren't finite"


@pytest.mark.parametrize("name", ["DynUNet", "UNet"])
def test_outputs_are_float32_to_the_last_layer(name: str) -> None:
    """Outputs in half precision would tie along whole surfaces."""
    arguments: dict[str, Any] = {
        "DynUNet": {
            "filters": (8, 8, 8),
            "kernels": ((3, 3, 3),) * 3,
            "strides": ((1, 1, 1), *((2, 2, 2),) * 2),
        },
        "UNet": {"channels": (8, 16), "strides": (2,), "residual_units": 1},
    }[name]
    architecture = TypeAdapter(Architecture).validate_python({"name": name, "arguments": arguments})
    network = build(architecture, 1, 3).eval()
    assert keep_head(network, (1, 1, 16, 16, 16))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        values = network(torch.randn(1, 1, 16, 16, 16))
    assert values.dtype == torch.float32
    assert not torch.equal(values, values.bfloat16().float())

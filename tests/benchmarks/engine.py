"""The engine against MONAI's sliding window: the same network, the same image, the same windows.

The GPU's part needs no more than torch, MONAI and this file with ``fitted``; without a CUDA device it is left out.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from copy import deepcopy
from functools import partial
from typing import Any

import numpy as np
import torch
from monai.inferers import sliding_window_inference
from monai.networks.nets import DynUNet

from tests.benchmarks.fitted import balls, fit
from tests.benchmarks.harness import Figure, main, measure
from tomosurf.config import CodeSpec, SegmentSpec
from tomosurf.segment.architectures import DynUNet as DynUNetSpec
from tomosurf.segment.architectures import DynUNetArguments
from tomosurf.segment.engine.batches import Load
from tomosurf.segment.engine.compiled import compiled_network
from tomosurf.segment.engine.openvino_network import is_installed
from tomosurf.segment.engine.run import Slabs
from tomosurf.segment.model.spec import InputSpec, ModelSpec, WeightsFile, Window
from tomosurf.segment.model.steps import ZScore
from tomosurf.segment.options import SegmentOptions
from tomosurf.segment.outputs.slab import Slab
from tomosurf.segment.resident import Engine

SMALL, LARGE = (32, 64, 128, 256), (32, 64, 128, 256, 320, 320)
"""Channels of a network that a CPU can run, and of nnU-Net's usual one."""


def figures() -> list[Figure]:
    """The CPU's part, and the GPU's where there is one."""
    found = on_cpu()
    if not torch.cuda.is_available():
        print("no CUDA device: the GPU's figures are left out", file=sys.stderr)
        return found
    return [*found, *on_gpu()]


def on_cpu() -> list[Figure]:
    """A DynUNet on 8 windows of 96^3, as torch runs it, and as OpenVINO does where it is installed."""
    classes, window = 5, Window(roi=(96, 96, 96), overlap=0.5)
    spec = model(SMALL, classes, window)
    network = fit(dynunet(SMALL, classes), classes, steps=100, edge=48)
    image, truth = balls((144, 144, 144), classes)
    theirs = monai(network, image, window, 1).argmax(dim=0).numpy()
    peer = measure(lambda: monai(network, image, window, 1), repeats=2, warmup=0)
    print(f"the fitted network's labels are right on {(theirs == truth).mean():.4f}", file=sys.stderr)
    found = []
    for name in ("torch", "OpenVINO") if is_installed() else ("torch",):
        options = SegmentOptions("cpu", engine=Engine(), compiled=name != "torch")
        slabs = Slabs(loaded(network), spec, image[None], options)
        ours = joined(slabs).argmax(dim=0).numpy()
        print(slabs.told, file=sys.stderr)
        seconds = measure(partial(whole, spec, network, image, options), repeats=2, warmup=0)
        what = f"8 windows of 96^3, DynUNet {SMALL}, bfloat16 by {name}"
        found.append(Figure(what, seconds, peer, "MONAI sliding window, float32", goal=0.6))
        whose = f"MONAI's ({name})"
        worst = dice(ours, theirs)
        found.append(_equal(whose, ours, theirs))
        found.append(Figure(f"worst Dice with {whose}", worst, unit="", goal=0.999, lower_is_better=False))
    return found


def _equal(whose: str, ours: np.ndarray, theirs: np.ndarray) -> Figure:
    equal = float((ours == theirs).mean())
    return Figure(f"labels equal to {whose}", equal, unit="", goal=0.999, lower_is_better=False)


def on_gpu() -> list[Figure]:
    """nnU-Net's usual network, 25 classes, 100 windows of 128^3."""
    classes, window = 25, Window(roi=(128, 128, 128), overlap=0.5)
    spec = model(LARGE, classes, window)
    network = fit(dynunet(LARGE, classes), classes, steps=300, edge=128, device="cuda")
    image, _ = balls((341, 341, 300), classes)
    options = SegmentOptions("cuda", engine=Engine())
    slabs = Slabs(loaded(network), spec, image[None], options)
    ours = joined(slabs).argmax(dim=0)
    print(slabs.told, file=sys.stderr)
    strict = whole(spec, network, image, SegmentOptions("cuda", precision="float32")).argmax(dim=0)
    autocast = monai(network, image, window, 4, "cuda", torch.float16).argmax(dim=0)
    ours, strict, autocast = (labels.cpu().numpy() for labels in (ours, strict, autocast))
    worst = dice(ours, strict), dice(autocast, strict)
    agreement = [
        _equal("float32's", ours, strict),
        Figure(
            "worst Dice with float32's", *worst, "of MONAI's in float16 autocast", "", lower_is_better=False
        ),
    ]
    seconds = measure(lambda: consumed(Slabs(loaded(network), spec, image[None], options)))
    defaults = measure(lambda: synced(lambda: monai(network, image, window, 1, "cuda")))
    eager = measure(lambda: synced(lambda: monai(network, image, window, 4, "cuda", torch.float16)))
    bare = _bare(network)
    tiles = slabs.told["windows"]
    what = f"{tiles} windows of 128^3, DynUNet {LARGE}, {classes} classes, 341x341x300"
    return [
        Figure(what, seconds, defaults, "MONAI sliding window at its defaults", goal=1 / 4.5),
        Figure(what, seconds, eager, "MONAI, 4 windows at a time, float16 autocast", goal=1 / 1.8),
        Figure(
            "time per window, blending and copies included",
            1000 * seconds / tiles,
            1000 * bare,
            "the compiled network alone",
            unit="ms",
            goal=1.15,
        ),
        *agreement,
    ]


def _bare(network: Any) -> float:
    """Seconds a window of the compiled network with nothing around it."""
    made = compiled_network(network, (1, 1, 128, 128, 128), torch.float16)
    windows = torch.randn((1, 1, 128, 128, 128), device="cuda")

    def several() -> None:
        with torch.no_grad():
            for _ in range(20):
                made(windows)

    return measure(lambda: synced(several)) / 20


def dynunet(filters: tuple[int, ...], classes: int) -> Any:
    """MONAI's DynUNet as nnU-Net plans it: 3x3x3, halved at every level."""
    levels = len(filters)
    return DynUNet(
        spatial_dims=3,
        in_channels=1,
        out_channels=classes,
        kernel_size=[3] * levels,
        strides=[1, *[2] * (levels - 1)],
        upsample_kernel_size=[2] * (levels - 1),
        filters=filters,
        norm_name=("instance", {"affine": True}),
    )


def model(filters: tuple[int, ...], classes: int, window: Window) -> ModelSpec:
    """The description of :func:`dynunet`."""
    levels = len(filters)
    arguments = DynUNetArguments(
        filters=filters, kernels=((3, 3, 3),) * levels, strides=((1, 1, 1), *((2, 2, 2),) * (levels - 1))
    )
    code = CodeSpec(value="ball", meaning="Ball", scheme="99TEST")
    return ModelSpec(
        name="benchmark",
        version="1.0.0",
        title="Balls",
        licence="CC0-1.0",
        modality="any",
        architecture=DynUNetSpec(name="DynUNet", arguments=arguments),
        channels=classes,
        input=InputSpec(steps=(ZScore(),)),
        window=window,
        segments=tuple(
            SegmentSpec(label=n, name=f"ball_{n}", code=code, colour=(200, 200, 200))
            for n in range(1, classes)
        ),
        weights=(WeightsFile(file="weights.safetensors", sha256=f"{classes:064}", dtype="float32"),),
    )


def monai(
    network: Any, image: np.ndarray, window: Window, batch: int, device: str = "cpu", half: Any = None
) -> torch.Tensor:
    """MONAI's outputs, from the same array."""
    with torch.inference_mode(), torch.autocast(device, half) if half else nullcontext():
        seen = torch.from_numpy(image)[None, None].to(device)
        found: torch.Tensor = sliding_window_inference(
            seen, window.roi, batch, network, overlap=window.overlap, mode=window.mode
        )
    return found[0]


def loaded(network: Any) -> Load:
    """A loader that gives a copy: the engine may change what it is given."""
    return lambda: (deepcopy(network),)


def joined(slabs: Iterable[Slab]) -> torch.Tensor:
    """All slabs as one tensor."""
    parts = list(slabs)
    return parts[0].values if len(parts) == 1 else torch.cat([p.values for p in parts], dim=1 + parts[0].axis)


def whole(spec: ModelSpec, network: Any, image: np.ndarray, options: SegmentOptions) -> torch.Tensor:
    """The engine's outputs; with ``options.engine`` the network is loaded once."""
    return joined(Slabs(loaded(network), spec, image[None], options))


def consumed(slabs: Iterable[Slab]) -> None:
    """Every slab taken, and the GPU done."""
    synced(lambda: [slab.stop for slab in slabs])


def synced(function: Callable[[], object]) -> None:
    """Called, and the GPU done."""
    function()
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def dice(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The smallest Dice of any label but background that either has in a hundred voxels or more."""
    ours_n, theirs_n = np.bincount(ours.ravel(), minlength=256), np.bincount(theirs.ravel(), minlength=256)
    both = np.bincount(ours[ours == theirs].ravel(), minlength=256)
    there = [n for n in range(1, 256) if max(ours_n[n], theirs_n[n]) >= 100]
    return min(float(2 * both[n] / (ours_n[n] + theirs_n[n])) for n in there)


if __name__ == "__main__":
    raise SystemExit(main("engine", figures))

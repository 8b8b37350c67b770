"""An image through a network, window by window."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tomosurf.errors import ConfigError, ModelError
from tomosurf.progress import Progress
from tomosurf.segment.spec import Window

WINDOWS_AT_ONCE = {"cpu": 1, "cuda": 4}
"""Windows in one batch, by kind of device."""


def choose_device(wanted: str) -> torch.device:
    """The device for "auto", "cpu" or "cuda".

    Raises:
        ConfigError: no such choice.
        ModelError: "cuda" where torch finds no CUDA device.
    """
    if wanted not in {"auto", "cpu", "cuda"}:
        raise ConfigError(f"a device is auto, cpu or cuda, not {wanted!r}")
    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise ModelError("no CUDA device was found; choose the device auto or cpu")
    return torch.device("cuda" if there and wanted != "cpu" else "cpu")


def logits(
    network: Any, image: NDArray[np.float32], window: Window, device: torch.device, progress: Progress
) -> torch.Tensor:
    """The network's outputs on the image's grid: (channels, x, y, z) float32 on ``device``.

    Windows overlap and are blended by MONAI; an image smaller than a window is padded with 0. All
    arithmetic is float32 without TF32 and by deterministic algorithms, so that a GPU gives the labels of a
    CPU. Memory: (channels + 2) times the image, and one batch of windows inside the network.

    Raises:
        ModelError: the GPU's memory doesn't suffice, or the network's output isn't finite.
    """
    from monai.inferers import sliding_window_inference

    batch = WINDOWS_AT_ONCE[device.type]
    steps = -(-window_count(image.shape[1:], window) // batch)
    done = 0

    def run(windows: torch.Tensor) -> torch.Tensor:
        nonlocal done
        output: torch.Tensor = network(windows)
        done += 1
        progress("segment", min(done / steps, 1.0))
        return output

    flags = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
    try:
        with torch.no_grad(), flags:
            result: torch.Tensor = sliding_window_inference(
                torch.from_numpy(np.ascontiguousarray(image))[None].to(device),
                roi_size=window.roi,
                sw_batch_size=batch,
                predictor=run,
                overlap=window.overlap,
                mode=window.mode,
            )[0]
    except torch.OutOfMemoryError as error:
        raise ModelError("the GPU's memory doesn't suffice for this image; choose the device cpu") from error
    if not bool(torch.isfinite(result).all()):
        raise ModelError("the network's output isn't finite; its weights don't fit this image")
    return result


def window_count(shape: tuple[int, ...], window: Window) -> int:
    """How many windows cover an image of that shape."""
    return prod(
        1 if size <= roi else -(-(size - roi) // max(int(roi * (1 - window.overlap)), 1)) + 1
        for size, roi in zip(shape, window.roi, strict=True)
    )

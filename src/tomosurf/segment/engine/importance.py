"""How much each voxel of a window counts where windows overlap: little at its edges, where networks err."""

from __future__ import annotations

from math import prod

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d

from tomosurf.segment.engine.tiles import Triple
from tomosurf.segment.model.spec import Window

SIGMA = 0.125
"""Of the Gaussian, as a fraction of the window's edge: MONAI's ``sigma_scale`` and nnU-Net's own."""
LEAST = 1e-3
"""MONAI's Gaussian never counts a voxel less than this."""
PEAK = 10.0
"""nnU-Net scales its Gaussian to this before it rounds to half precision."""


def importance(shape: Triple, window: Window | None) -> torch.Tensor:
    """Weights (x, y, z), float32 on the CPU, all above 0; those of the placement's own runtime."""
    if window is None or window.mode == "constant":
        return torch.ones(shape)
    return monai_gaussian(shape) if window.placement == "monai" else nnunet_gaussian(shape)


def monai_gaussian(shape: Triple) -> torch.Tensor:
    """A Gaussian from voxel centre to voxel centre, clamped (monai.data.utils.compute_importance_map, 1.6)."""
    result = torch.ones(())
    for size in shape:
        offsets = torch.arange(-(size - 1) / 2, (size - 1) / 2 + 1, dtype=torch.float32)
        result = result[..., None] * torch.exp(offsets**2 / (-2 * (size * SIGMA) ** 2))
    return result.clamp(min=max(float(result.min()), LEAST))


def nnunet_gaussian(shape: Triple) -> torch.Tensor:
    """A filtered impulse in half precision, zeros raised to the least weight (nnunetv2 2.6, compute_gaussian)."""
    lines = []
    for size in shape:
        impulse = np.zeros(size)
        impulse[size // 2] = 1
        lines.append(gaussian_filter1d(impulse, size * SIGMA, mode="constant"))
    whole = lines[0][:, None, None] * lines[1][:, None] * lines[2]
    whole *= PEAK / prod(float(line.max()) for line in lines)
    rounded = whole.astype(np.float16).astype(np.float32)
    rounded[rounded == 0] = rounded[rounded > 0].min()
    return torch.from_numpy(rounded)

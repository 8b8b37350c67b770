"""Networks fitted for a minute to a phantom of balls, so that their labels have boundaries and aren't noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Shape = tuple[int, int, int]


def balls(shape: Shape, classes: int, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """An image and its labels: balls of ``classes - 1`` kinds, a kind an intensity, with a little noise."""
    random = np.random.default_rng(seed)
    labels = np.zeros(shape, np.uint8)
    for number in range(max(int(np.prod(shape)) // 20_000, 3 * classes)):
        centre, radius = random.uniform(0, shape), random.uniform(6, 16)
        low = np.maximum(np.floor(centre - radius), 0).astype(int)
        high = np.minimum(np.ceil(centre + radius) + 1, shape).astype(int)
        x, y, z = (
            np.arange(a, b, dtype=np.float32) - np.float32(c)
            for a, b, c in zip(low, high, centre, strict=True)
        )
        inside = x[:, None, None] ** 2 + y[:, None] ** 2 + z**2 < radius**2
        box = labels[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
        box[inside] = 1 + number % (classes - 1)
    levels = np.linspace(-1.5, 1.5, classes, dtype=np.float32)
    levels = np.concatenate([levels[classes // 2 : classes // 2 + 1], np.delete(levels, classes // 2)])
    noise = random.standard_normal(shape, dtype=np.float32)
    return levels[labels] + 0.05 * noise, labels


def fit(network: Any, classes: int, steps: int, edge: int, device: str = "cpu") -> Any:
    """``network``, in evaluation mode, after ``steps`` of Adam on crops of ``edge`` voxels."""
    torch.manual_seed(0)
    image, labels = balls((2 * edge, 2 * edge, 2 * edge), classes, seed=1)
    seen, truth = torch.from_numpy(image).to(device), torch.from_numpy(labels.astype(np.int64)).to(device)
    network = network.to(device).train()
    optimiser = torch.optim.Adam(network.parameters(), 2e-3)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    random = np.random.default_rng(2)
    for _ in range(steps):
        cut = tuple(slice(a, a + edge) for a in random.integers(0, edge + 1, 3).tolist())
        with torch.autocast(device, torch.bfloat16):
            loss = torch.nn.functional.cross_entropy(network(seen[cut][None, None]).float(), truth[cut][None])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        rate.step()
    return network.eval().requires_grad_(False)

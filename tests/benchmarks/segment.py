"""The network segmenter against MONAI alone: the same weights, the same windows, the same result."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from tests.benchmarks.harness import Figure, main, measure
from tests.two_balls import grid, image
from tomosurf.config import NetworkMethod
from tomosurf.data.volume import Volume
from tomosurf.segment.model.catalogue import find_model
from tomosurf.segment.model.spec import ModelSpec, load_spec
from tomosurf.segment.model.weights import load_networks
from tomosurf.segment.network import segment
from tomosurf.segment.options import SegmentOptions


def figures() -> list[Figure]:
    """One crop through the shipped model."""
    volume = image(grid((36, 50, 36), (1.0, 1.0, 1.0)))
    folder = find_model("mr-hippocampus")
    spec = load_spec(folder)
    (network,) = load_networks(folder, spec)
    method = NetworkMethod(method="network", model="mr-hippocampus")
    options = SegmentOptions("cpu")
    ours = segment(volume, method, options).labels
    theirs = _monai(volume, spec, network)
    return [
        Figure(
            "one crop to labels and margins, weights loaded each time",
            measure(lambda: segment(volume, method, options)),
            measure(lambda: _monai(volume, spec, network)),
            "MONAI Orientation, normalisation, sliding window, argmax and back, weights resident",
            goal=1.3,
        ),
        Figure(
            "voxels whose label differs from MONAI's",
            float((ours != theirs).sum()),
            unit="voxels",
            goal=0,
        ),
    ]


def _monai(volume: Volume, spec: ModelSpec, network: Any) -> np.ndarray:
    import nibabel
    from monai.data import MetaTensor
    from monai.inferers import sliding_window_inference
    from monai.transforms import Orientation

    ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.geometry.affine
    tensor = MetaTensor(torch.from_numpy(volume.array.copy())[None], affine=torch.from_numpy(ras))
    seen = Orientation(axcodes="RAS", labels=None)(tensor)
    low, high = np.percentile(seen.numpy(), spec.input.steps[0].clip_percentiles)
    seen = seen.clip(float(low), float(high))
    seen = (seen - seen.mean()) / seen.std(unbiased=False)
    with torch.inference_mode():
        logits = sliding_window_inference(
            seen[None].as_tensor(), spec.window.roi, 1, network, spec.window.overlap, spec.window.mode
        )
    winner = MetaTensor(logits[0].argmax(dim=0)[None], affine=seen.affine)
    back = Orientation(axcodes="".join(nibabel.aff2axcodes(ras)), labels=None)(winner)
    return np.asarray(back[0].numpy().astype(np.uint8))


if __name__ == "__main__":
    raise SystemExit(main("segment", figures))

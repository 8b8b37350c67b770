"""A prepared image through a network, window by window; networks stay loaded from case to case."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tomosurf.progress import Progress
from tomosurf.segment.inference import choose_device, logits
from tomosurf.segment.options import SegmentOptions
from tomosurf.segment.prepare import Prepared
from tomosurf.segment.slab import Slab
from tomosurf.segment.spec import ModelSpec
from tomosurf.segment.weights import load_networks


def slabs(
    folder: Path, spec: ModelSpec, seen: Prepared, options: SegmentOptions, progress: Progress
) -> Iterator[Slab]:
    """The network's outputs on the image's grid, in slabs.

    Raises:
        ModelError: the weights don't fit, the memory doesn't suffice, or the output isn't finite.
    """
    device = choose_device(options.device)
    (network,) = load_networks(folder, spec)
    if spec.window is None:
        raise NotImplementedError
    yield Slab(0, 0, logits(network.to(device), seen.image, spec.window, device, progress))

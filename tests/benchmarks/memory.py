"""Memory of a very long scan with many classes on a GPU: an array to labels, margins and doubt.

512x512x1200 voxels of 1 mm are 342x342x800 on the network's grid of 1.5 mm; 117 classes of outputs on it are 44 GB.
The network has nnU-Net's size and weights as they were drawn, and would name noise. So each slab of its outputs is
overwritten with those of 116 compact structures, as an anatomy has them, before it goes back to the scan's grid:
margins and labels take the memory that a patient's would.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import numpy as np
import torch

from tests.benchmarks.engine import LARGE, dynunet, loaded, model
from tests.benchmarks.harness import Figure, main, peak_memory_mb
from tomosurf.data.geometry import Geometry
from tomosurf.data.volume import Volume
from tomosurf.segment.engine.run import Slabs
from tomosurf.segment.model.spec import InputSpec, ModelSpec, Window
from tomosurf.segment.model.steps import Resample, Standardise
from tomosurf.segment.options import SegmentOptions
from tomosurf.segment.outputs.collect import collect
from tomosurf.segment.outputs.slab import Slab
from tomosurf.segment.prepare.prepare import prepare

SHAPE, CLASSES = (512, 512, 1200), 117
BOUNDS_GB = (12.0, 80.0)
"""Cards of these sizes; what CUDA itself takes of them is left free."""

FOR_CUDA_GB = 1.0


def figures() -> list[Figure]:
    """Both sizes of a card; without a GPU there are no figures."""
    if not torch.cuda.is_available():
        print("no CUDA device: no figures", file=sys.stderr)
        return []
    return [figure for bound in BOUNDS_GB for figure in through(SHAPE, CLASSES, bound)]


def through(
    shape: tuple[int, int, int],
    classes: int,
    bound_gb: float,
    device: str = "cuda",
    filters: tuple[int, ...] = LARGE,
    window: int = 128,
) -> list[Figure]:
    """One scan through; the peaks, and the time without what the overwriting took."""
    spec, network = _model(filters, classes, window)
    on_gpu = device == "cuda"
    if on_gpu:
        torch.zeros(1, device=device)  # CUDA's own memory on the host is there before the scan is
        torch.cuda.reset_peak_memory_stats()
    before = peak_memory_mb()
    volume = _scan(shape)
    began = time.perf_counter()
    seen = prepare((volume,), spec.input)
    prepared = time.perf_counter() - began
    options = SegmentOptions(device, gpu_memory_gb=bound_gb - FOR_CUDA_GB)
    run = Slabs(loaded(network), spec, seen.image, options)
    structures = Structures(run, seen.grid)
    found = collect(structures, seen, volume, spec)
    if on_gpu:
        torch.cuda.synchronize()
    seconds = time.perf_counter() - began - structures.making
    print(run.told, f"prepared in {prepared:.1f} s, {structures.count} slabs", file=sys.stderr)
    named = len(np.unique(found.labels[:: shape[0] // 64, :: shape[1] // 64, :: shape[2] // 64]))
    print(f"{len(found.margins)} margins, {named} labels in a sample", file=sys.stderr)
    card = f"{'x'.join(map(str, shape))}, {classes} classes, card of {bound_gb:g} GB"
    size_mb = float(np.prod(shape)) * 4 / 1e6
    total, grown = peak_memory_mb(), peak_memory_mb() - before
    return [
        Figure(f"{card}: GPU memory, CUDA's own included", _gpu_gb(), unit="GB", goal=bound_gb),
        Figure(f"{card}: host memory since before the scan was made", grown / 1000, unit="GB"),
        Figure(f"{card}: the same, of the volume's float32 size", grown / size_mb, unit="", goal=3),
        Figure(f"{card}: host memory of the whole process so far", total / 1000, unit="GB"),
        Figure(f"{card}: array to labels, margins and doubt, the network's compiling included", seconds),
        Figure(f"{card}: structures with a margin", len(found.margins), unit=""),
    ]


class Structures(Iterator[Slab]):
    """The slabs of ``run`` with the outputs of compact structures in them; ``making`` is the time that took."""

    def __init__(self, run: Slabs, nodes: Geometry) -> None:
        self._run, self._nodes = run, nodes
        self.making, self.count = 0.0, 0

    def __next__(self) -> Slab:
        slab = next(self._run)
        if slab.values.is_cuda:
            torch.cuda.synchronize()
        began = time.perf_counter()
        self._overwrite(slab)
        if slab.values.is_cuda:
            torch.cuda.synchronize()
        self.making += time.perf_counter() - began
        self.count += 1
        return slab

    def _overwrite(self, slab: Slab) -> None:
        """20 tanh of the depth in a ball, in 5 mm, a ball a channel; -20 far outside, background 0."""
        slab.values.fill_(-20)
        slab.values[0] = 0
        starts = [slab.start if axis == slab.axis else 0 for axis in range(3)]
        for channel, (centre, radius) in enumerate(balls(self._nodes.shape, len(slab.values)), 1):
            cut, squared = [], []
            for axis, (start, count) in enumerate(zip(starts, slab.values.shape[1:], strict=True)):
                low = int(np.clip(np.floor(centre[axis] - radius - 12) - start, 0, count))
                high = int(np.clip(np.ceil(centre[axis] + radius + 13) - start, low, count))
                cut.append(slice(low, high))
                places = torch.arange(low, high, device=slab.values.device, dtype=torch.float32)
                squared.append((places + float(start - centre[axis])) ** 2)
            distance = (squared[0][:, None, None] + squared[1][:, None] + squared[2]).sqrt_()
            here = slab.values[(channel, *cut)]
            here.copy_(torch.tanh((radius - distance) * (1.5 / 5)).mul_(20))


def balls(shape: tuple[int, int, int], channels: int) -> Iterator[tuple[np.ndarray, float]]:
    """Centres and radii in nodes: balls of about the same size that touch, spread over the whole image."""
    edge = (np.prod(shape) / (channels - 1)) ** (1 / 3)
    counts = np.maximum(np.rint(np.array(shape) / edge), 1).astype(int)
    while np.prod(counts) < channels - 1:
        counts[np.argmax(np.array(shape) / counts)] += 1
    cells = np.array(shape) / counts
    for number in range(channels - 1):
        place = np.array(np.unravel_index(number, tuple(counts))) + 0.5
        yield place * cells, 0.52 * float(cells.min()) * (1 + 0.08 * np.sin(number))


def _model(filters: tuple[int, ...], classes: int, window: int) -> tuple[ModelSpec, object]:
    spec = model(filters, classes, Window(roi=(window,) * 3, overlap=0.5))
    steps = (Resample(spacing_mm=(1.5, 1.5, 1.5)), Standardise(mean=40.0, deviation=130.0))
    torch.manual_seed(0)
    return (
        spec.model_copy(update={"input": InputSpec(steps=steps)}),
        dynunet(filters, classes).eval().requires_grad_(False),
    )


def _scan(shape: tuple[int, int, int]) -> Volume:
    """Noise in HU, in the numbers that a CT's file holds."""
    noise = np.random.default_rng(0).integers(-200, 300, shape[::-1], np.int16)
    return Volume(Geometry(shape, np.eye(4)), noise.T, "CT", "HU")


def _gpu_gb() -> float:
    """The most that torch has taken since the last reset, and what the driver counts besides."""
    if not torch.cuda.is_available():
        return 0.0
    free, total = torch.cuda.mem_get_info()
    besides = total - free - torch.cuda.memory_reserved()
    return (torch.cuda.max_memory_reserved() + besides) / 1e9


if __name__ == "__main__":
    raise SystemExit(main("memory", figures))

"""Outputs on a network's grid to labels, margins and doubt on the scan's, against interpolating everything.

``export_figures(device)`` is the whole of it, on a GPU too: nothing here reads a file or needs a model.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch

from tests.benchmarks.harness import Figure, main, peak_memory_mb
from tomosurf.config import CodeSpec, SegmentSpec
from tomosurf.data.geometry import Geometry
from tomosurf.data.volume import Volume
from tomosurf.segment.architectures import UNet, UNetArguments
from tomosurf.segment.model.spec import InputSpec, ModelDescription
from tomosurf.segment.model.steps import Resample
from tomosurf.segment.outputs.collect import Collected, collect
from tomosurf.segment.outputs.slab import Slab
from tomosurf.segment.prepare.model_grid import covering
from tomosurf.segment.prepare.prepare import Prepared

PLANES = 48
"""Planes of a slab."""


def figures() -> list[Figure]:
    """On a GPU where there is one, else on the CPU."""
    return export_figures("cuda" if torch.cuda.is_available() else "cpu")


def export_figures(device: str) -> list[Figure]:
    """9 channels against torch; 117 channels by themselves, with slabs made on the fly (not timed)."""
    first = Outputs(9, scan((0.8, 0.8, 1.0), (64, 64, 64)), device)  # imports, and a GPU's kernels
    first.labels()
    everything(first)
    few = Outputs(9, scan((0.8, 0.8, 1.0)), device)
    label = few.labels()
    theirs, seconds = everything(few)
    differing, wrong = compared(few, label.found.labels, theirs)
    del theirs
    memory = peak_memory_mb()
    many = Outputs(117, scan((1.0, 1.0, 1.5)), device)
    whole = many.labels()
    return [
        Figure(
            f"9 channels at 1.5 mm {few.nodes.shape} to labels, margins and doubt, scan of 512x512x300",
            label.seconds,
            seconds,
            "torch interpolate of every channel, argmax, by planes",
            goal=0.2 if device == "cpu" else None,  # a GPU interpolates as fast as it reads
        ),
        Figure("voxels whose label differs from torch's in float32", differing, unit="voxels"),
        Figure("of these, voxels where float64 doesn't say as we do", wrong, unit="voxels", goal=0),
        Figure("host memory of this process so far, the peer's labels included", memory, unit="MB"),
        Figure(
            f"117 classes {many.nodes.shape} to labels, margins and doubt, scan of 512x512x300, {device}",
            whole.seconds,
            goal=3.0 if device == "cuda" else None,
        ),
        Figure("host memory of this process so far", peak_memory_mb(), unit="MB", goal=6000),
    ]


def scan(spacing: tuple[float, float, float], shape: tuple[int, int, int] = (512, 512, 300)) -> Volume:
    """An image of nothing, of a CT's size."""
    geometry = Geometry(shape, np.diag([*spacing, 1.0]))
    return Volume(geometry, np.broadcast_to(np.int16(0), geometry.shape), "CT", "HU")


@dataclass
class Labels:
    """What came out, and how long it took without the making of the slabs."""

    found: Collected
    seconds: float


@dataclass
class Outputs:
    """Logits of touching balls in a scan, each a channel, as smooth as a network's near its boundaries."""

    channels: int
    volume: Volume
    device: str
    nodes: Geometry = field(init=False)
    making: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self.nodes = covering(self.volume.geometry, (1.5, 1.5, 1.5))

    def labels(self) -> Labels:
        """Through our code."""
        self.making = 0.0
        _settle(self.device)
        began = time.perf_counter()
        seen = Prepared(np.zeros((1, 1, 1, 1), np.float32), self.nodes)
        found = collect(self.slabs(), seen, self.volume, described(self.channels))
        _settle(self.device)
        return Labels(found, time.perf_counter() - began - self.making)

    def slabs(self) -> Iterator[Slab]:
        """All planes, in order."""
        for start in range(0, self.nodes.shape[0], PLANES):
            began = time.perf_counter()
            made = [Slab(0, start, self.values(start, min(start + PLANES, self.nodes.shape[0])))]
            _settle(self.device)
            self.making += time.perf_counter() - began
            yield made.pop()  # kept here, it would be there beside the next one

    def values(self, start: int, stop: int) -> torch.Tensor:
        """(channels, planes, y, z) float32: 20 tanh of the distance inside a ball, in 5 mm; background is 0."""
        x, y, z = (
            torch.arange(first, last, device=self.device, dtype=torch.float32) * 1.5
            for first, last in zip((start, 0, 0), (stop, *self.nodes.shape[1:]), strict=True)
        )
        edge = int(np.ceil((self.channels - 1) ** (1 / 3)))
        extent = torch.tensor(self.nodes.shape) * 1.5
        values = torch.zeros((self.channels, len(x), len(y), len(z)), device=self.device)
        for channel in range(1, self.channels):
            place = np.array(np.unravel_index(channel - 1, (edge,) * 3)) + 0.5
            a, b, c = (place / edge * extent.numpy()).tolist()
            radius = 0.55 * float(extent.min()) / edge * (1 + 0.1 * np.sin(channel))
            squared = ((x - a) ** 2)[:, None, None] + ((y - b) ** 2)[:, None] + ((z - c) ** 2)
            torch.tanh((radius - squared.sqrt_()) / 5, out=values[channel]).mul_(20)
        return values


def described(channels: int) -> ModelDescription:
    """A model with a segment for every channel but the first."""
    code = CodeSpec(value="ball", meaning="Ball", scheme="99TEST")
    return ModelDescription(
        name="balls",
        version="1.0.0",
        title="Balls",
        licence="CC0-1.0",
        modality="CT",
        architecture=UNet(name="UNet", arguments=UNetArguments(channels=(8, 16), strides=(2,))),
        channels=channels,
        input=InputSpec(steps=(Resample(spacing_mm=(1.5, 1.5, 1.5)),)),
        window=None,
        segments=tuple(
            SegmentSpec(label=n, name=f"ball_{n}", code=code, colour=(9, 9, 9)) for n in range(1, channels)
        ),
    )


def everything(outputs: Outputs) -> tuple[np.ndarray, float]:
    """Labels by interpolating every channel at every voxel, by planes of the scan, and the seconds."""
    whole = torch.cat([slab.values for slab in outputs.slabs()], dim=1)
    index_map = np.linalg.solve(outputs.nodes.affine, outputs.volume.geometry.affine)
    labels = np.zeros(outputs.volume.geometry.shape, np.uint8)
    _settle(outputs.device)
    began = time.perf_counter()
    places = []
    for axis, count in enumerate(labels.shape):
        place = index_map[axis, axis] * np.arange(count) + index_map[axis, 3]
        place = (2 * place + 1) / outputs.nodes.shape[axis] - 1
        places.append(torch.from_numpy(place.astype(np.float32)).to(outputs.device))
    for start in range(0, labels.shape[0], 16):
        x, y, z = torch.meshgrid(places[0][start : start + 16], places[1], places[2], indexing="ij")
        grid = torch.stack([z, y, x], dim=-1)[None]
        read = torch.nn.functional.grid_sample(
            whole[None], grid, mode="bilinear", padding_mode="border", align_corners=False
        )
        labels[start : start + 16] = read[0].argmax(dim=0).to(torch.uint8).cpu().numpy()
    _settle(outputs.device)
    return labels, time.perf_counter() - began


def compared(outputs: Outputs, ours: np.ndarray, theirs: np.ndarray) -> tuple[int, int]:
    """Voxels with another label than the peer's, and those of them that float64 decides otherwise than we do."""
    index = np.argwhere(ours != theirs)
    places = outputs.nodes.to_index(outputs.volume.geometry.to_world(index))
    places = places.clip(0, np.array(outputs.nodes.shape) - 1)
    lower = np.minimum(np.floor(places), np.array(outputs.nodes.shape) - 2).astype(int)
    fraction, values = places - lower, np.zeros((len(index), outputs.channels))
    for corner in np.ndindex(2, 2, 2):
        weight = np.where(corner, fraction, 1 - fraction).prod(axis=1)
        for number, node in enumerate(lower + corner):
            read = outputs.values(node[0], node[0] + 1)[:, 0, node[1], node[2]]
            values[number] += weight[number] * read.double().cpu().numpy()
    return len(index), int((values.argmax(axis=1) != ours[tuple(index.T)]).sum())


def _settle(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    raise SystemExit(main("labels", figures))

"""What a run may take of a device's memory, and what it gives up first when that doesn't suffice."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch

from tomosurf.segment.device import free_gpu_bytes
from tomosurf.segment.engine.blend import Depth
from tomosurf.segment.engine.tiles import Tiling
from tomosurf.segment.outputs.slab import CHUNKS, ROOM_A_NODE

VOXELS_AT_ONCE = 2 * 128**3
"""Windows are put into one batch up to this many voxels: an H100 takes 9 % less time for two at once."""
MOST_AT_ONCE = 8
SHARE = 0.4
"""Of the free memory, for the sums of the whole image; what comes after needs some, too."""

LEAST_PLANES = 4
"""Of a slab: thinner ones take longer to bring back than sums in half precision are worth avoiding."""

KEPT_PLANES = 4
"""Planes of earlier slabs that whoever takes slabs keeps or joins to the next."""


@dataclass(frozen=True, slots=True)
class Footing:
    """How a run uses memory: ``batch`` windows at a time, the sums of the ``whole`` image or of a few planes, the
    image on the device (``image_here``) or on the host. ``fallen``: the GPU's memory didn't suffice."""

    device: torch.device
    batch: int
    whole: bool = True
    image_here: bool = True
    fallen: bool = False

    @classmethod
    def first(cls, device: torch.device, tiling: Tiling, batch: int | None = None) -> Footing:
        """As fast as it goes."""
        x, y, z = tiling.window
        most = 1 if device.type == "cpu" else max(1, min(VOXELS_AT_ONCE // (x * y * z), MOST_AT_ONCE))
        return cls(device, min(batch or most, tiling.count))

    @property
    def stage(self) -> str:
        """The stage that progress tells of: that a run ended up on the CPU is news for those who wait for it."""
        return "segment on the CPU" if self.fallen else "segment"

    def lower(self) -> tuple[Footing, str] | None:
        """The next that takes less, and what it gives up; None when nothing is left to give up."""
        if self.batch > 1:
            return replace(self, batch=self.batch // 2), f"{self.batch // 2} windows at a time"
        if self.whole:
            return replace(self, whole=False), "sums of a few planes at a time"
        if self.device.type == "cpu":
            return None
        if self.image_here:
            return replace(self, image_here=False), "image in the host's memory"
        return replace(self, device=torch.device("cpu"), fallen=True), "network on the CPU"


def free_bytes(device: torch.device) -> int:
    """What can still be taken."""
    return free_gpu_bytes(device) if device.type == "cuda" else _free_host_bytes()


def depth(tiling: Tiling, channels: int, room: int, whole: bool, half: bool = False) -> Depth | None:
    """The planes to hold in ``room`` bytes: all if they may be and fit, else a window's; None if not even these.

    Slabs leave as float32; ``half`` sums take 2 bytes a number. Beside the sums there is room for a slab twice
    over, and for the work of whoever takes it.
    """
    axis = tiling.axis
    size, window = tiling.shape[axis], tiling.window[axis]
    x, y, z = tiling.shape
    slab_plane = 4 * channels * (x * y * z // size)
    plane = slab_plane // 2 if half else slab_plane
    if whole and plane * size <= SHARE * room:
        return Depth(size, size)
    a_plane = 2 * slab_plane + ROOM_A_NODE * (x * y * z // size)
    spare = room - plane * window - CHUNKS - KEPT_PLANES * slab_plane
    planes = min(spare // a_plane, window)
    return Depth(window, planes) if planes >= min(LEAST_PLANES, window) else None


@contextmanager
def bounded(device: torch.device, gigabytes: float | None) -> Iterator[None]:
    """While it lasts, torch takes no more than this of the GPU's memory: asking for more is an OutOfMemoryError."""
    if gigabytes is None or device.type != "cuda":
        yield
        return
    number = torch.cuda.current_device() if device.index is None else device.index
    total = torch.cuda.get_device_properties(number).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(min(gigabytes * 1e9 / total, 1.0), number)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, number)


def _free_host_bytes() -> int:
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):  # not on this system
        return 4 << 30

"""What a caller may choose about how a segmenter runs; never about what it finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tomosurf.segment.resident import Engine


@dataclass(frozen=True, slots=True)
class SegmentOptions:
    """How to run a segmenter.

    ``device`` is "auto" (the first CUDA device when there is one, else the CPU), "cpu" or "cuda".

    ``precision`` "auto" computes in half precision where the hardware is made for it and the model allows it,
    with sums in float32; "float32" never does, and then labels don't depend on the device. ``deterministic``
    gives the same bytes twice on the same machine; None: on the CPU always, on a GPU only with float32.
    ``mirror`` averages over mirrored images along the axes that the model was trained for. ``compiled`` lets
    torch compile the network where that pays. ``gpu_memory_gb`` bounds what is taken of the GPU's memory;
    ``batch`` is the number of windows at a time to begin with, None: by the window's size. ``threads`` of the CPU
    compute, None: as many as torch would take; on how many hangs the order of sums, so the last bits. ``engine``
    holds networks that are loaded already and keeps those that will be; None: they are loaded for this case alone.
    """

    device: str = "auto"
    precision: Literal["auto", "float32"] = "auto"
    deterministic: bool | None = None
    mirror: bool = False
    compiled: bool = True
    gpu_memory_gb: float | None = None
    batch: int | None = None
    threads: int | None = None
    engine: Engine | None = None

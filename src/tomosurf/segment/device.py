"""Which device networks run on, and which number format it is made for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from tomosurf.errors import ConfigError, ModelError

TENSOR_CORES = (7, 0)
"""The first compute capability whose half precision is faster than float32."""


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


def half_precision(device: torch.device) -> torch.dtype | None:
    """The half precision that the hardware itself computes in; None when it only pretends to."""
    if device.type == "cuda":
        return torch.float16 if torch.cuda.get_device_capability(device) >= TENSOR_CORES else None
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if native else None


def device_name(device: torch.device) -> str:
    """The device as a manifest names it."""
    return str(torch.cuda.get_device_name(device)) if device.type == "cuda" else "cpu"


def free_gpu_bytes(device: torch.device) -> int:
    """What torch can still take of a GPU's memory, within the share that it may take at most.

    What captured graphs work in counts as taken: it is theirs between two runs, too.
    """
    number = torch.cuda.current_device() if device.index is None else device.index
    reserved, allocated = torch.cuda.memory_reserved(number), torch.cuda.memory_allocated(number)
    free, total = torch.cuda.mem_get_info(number)
    allowed = int(torch.cuda.get_per_process_memory_fraction(number) * total) - reserved
    graphs = sum(
        segment["total_size"] - segment["allocated_size"]
        for segment in torch.cuda.memory_snapshot()
        if segment["device"] == number and tuple(segment["segment_pool_id"]) != (0, 0)
    )
    return int(min(free, allowed) + reserved - allocated - graphs)


@contextmanager
def on_threads(count: int | None) -> Iterator[None]:
    """While it lasts, torch shares out what it computes on the CPU among so many threads; None: as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(before if count is None else count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def device_count() -> int:
    """How many CUDA devices this process may use."""
    return int(torch.cuda.device_count())

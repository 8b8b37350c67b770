"""The processes that train one network together: started by torchrun, or one alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import distributed

PATIENCE = timedelta(days=1)
"""How long the others wait while the first process scores and calibrates."""


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process's number among ``count``; number 0 writes the files."""

    own: int = 0
    count: int = 1

    @property
    def writes(self) -> bool:
        """Whether this process writes."""
        return self.own == 0

    def wait(self) -> None:
        """Until every process is here."""
        if self.count > 1:
            distributed.barrier()

    def share(self, size: int) -> slice:
        """This process's part of a batch of ``size``."""
        return slice(self.own * size // self.count, (self.own + 1) * size // self.count)


@contextmanager
def joined(device: torch.device) -> Iterator[tuple[Ranks, torch.device]]:
    """Join the processes that torchrun started, each with a GPU of its own: NCCL on GPUs, gloo on CPUs."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Ranks(), device
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield Ranks(distributed.get_rank(), count), device
    finally:
        distributed.destroy_process_group()

"""A model's networks, made ready for one device and one precision: windows in, float32 outputs out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from tomosurf.segment.device import choose_device, half_precision
from tomosurf.segment.engine import openvino_network as intel
from tomosurf.segment.engine.compiled import Made, Shape, cache_folder, compiled_network, graphs_kept_in
from tomosurf.segment.engine.head import keep_head
from tomosurf.segment.model.spec import ModelSpec
from tomosurf.segment.options import SegmentOptions

WORTH_TRACING = 8
"""Runs of a network on the CPU from which on OpenVINO saves more time than it takes to trace the network."""


@dataclass(frozen=True, slots=True)
class Way:
    """How networks compute: where, in which half precision if any, compiled or not, the same bytes twice or not.

    Compiled graphs are kept in the folder ``graphs``.
    """

    device: torch.device
    half: torch.dtype | None
    compiled: bool
    deterministic: bool
    graphs: Path

    @classmethod
    def chosen(cls, options: SegmentOptions, spec: ModelSpec, runs: int) -> Way:
        """The way for these options that the model allows, for an image that takes so many runs of a network.

        Raises:
            ConfigError, ModelError: as :func:`choose_device`.
        """
        device = choose_device(options.device)
        strict = "float32" in (options.precision, spec.precision)
        half = None if strict else half_precision(device)
        deterministic = options.deterministic
        if deterministic is None:
            deterministic = half is None or device.type == "cpu"
        pays = runs >= WORTH_TRACING if device.type == "cpu" else not deterministic
        return cls(
            device, half, options.compiled and half is not None and pays, deterministic, cache_folder()
        )

    @property
    def precision(self) -> str:
        """The number format's name."""
        return str(self.half or torch.float32).removeprefix("torch.")


class Runner:
    """Networks of one model, one a fold, resident on one device.

    Each runs as the fastest of these that works: kernels of our own, compiled by torch, by OpenVINO (the extra,
    on the CPU), as torch runs it; ``runtime`` says which it became, ``not_used`` why not a faster one. Half
    precision keeps its sums and the last layer in float32. In float32 there is no TF32, and cuDNN's algorithms
    are deterministic, so that a GPU gives the labels of a CPU.
    """

    def __init__(self, networks: Sequence[Any], way: Way) -> None:
        self.way = way
        self.runtime = "torch"
        self.not_used: dict[str, str] = {}
        self._networks = [network.to(way.device) for network in networks]
        self._made: dict[tuple[int, Shape], Made] = {}

    @property
    def folds(self) -> int:
        """How many networks there are."""
        return len(self._networks)

    @property
    def bytes(self) -> int:
        """What the weights take of the device's memory, once."""
        return sum(
            tensor.numel() * tensor.element_size()
            for network in self._networks
            for tensor in (*network.parameters(), *network.buffers())
        )

    def prepare(self, shape: Sequence[int]) -> bool:
        """Make every network ready for windows of that shape; False when they are. Takes more memory than running.

        Raises:
            torch.OutOfMemoryError: as :meth:`run`.
        """
        n, channels, x, y, z = shape
        missing = [fold for fold in range(self.folds) if (fold, (n, channels, x, y, z)) not in self._made]
        with torch.no_grad(), self._arithmetic():
            for fold in missing:
                self._make(fold, (n, channels, x, y, z))
        return bool(missing)

    def forget(self) -> None:
        """Let go of what was made for the batches so far; the weights stay."""
        self._made.clear()

    def run(self, fold: int, windows: torch.Tensor) -> torch.Tensor:
        """Outputs (n, channels, x, y, z), float32, of ``windows`` (n, inputs, x, y, z) float32 on the device.

        They may lie in memory that the next call overwrites.

        Raises:
            torch.OutOfMemoryError: the device's memory doesn't suffice for so many windows.
        """
        n, channels, x, y, z = windows.shape
        shape = (n, channels, x, y, z)
        with torch.no_grad(), self._arithmetic():
            made = self._made.get((fold, shape)) or self._make(fold, shape)
            return made(windows)

    def _make(self, fold: int, shape: Shape) -> Made:
        """The network for windows of that shape, as the fastest runtime that takes it."""
        made: Made | None = None
        for name, make in self._makers(self._networks[fold], shape):
            if name not in self.not_used:
                made = self._attempt(name, make)
            if made:
                break
        if made is None:
            made = self._as_torch_runs_it(self._networks[fold], shape)
        self._made[fold, shape] = made
        return made

    def _makers(self, network: Any, shape: Shape) -> Iterator[tuple[str, Callable[[], Made | str]]]:
        """Runtimes by name, the fastest first; each gives the network or says why not."""
        half, device = self.way.half, self.way.device
        if not self.way.compiled or half is None:
            return
        if device.type == "cuda":
            from tomosurf.segment.fast.run import fast_network

            def ours() -> Made | str:
                made, why = fast_network(network, shape, half)
                return made or why

            yield "kernels of our own", ours
            keep_head(network, shape)
            yield "torch.compile", partial(compiled_network, network, shape, half)
        elif intel.is_installed():
            yield f"OpenVINO {intel.version()}", partial(intel.openvino_network, network, shape)

    def _attempt(self, name: str, make: Callable[[], Made | str]) -> Made | None:
        try:
            with graphs_kept_in(self.way.graphs):
                made = make()
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # noqa: BLE001  (whatever a compiler raises: torch itself still works, and it is told)
            made = type(error).__name__
        if isinstance(made, str):
            self.not_used[name] = made
            return None
        self.runtime = name
        return made

    def _as_torch_runs_it(self, network: Any, shape: Shape) -> Made:
        if self.way.half is not None:
            keep_head(network, shape)

        def run(windows: torch.Tensor) -> torch.Tensor:
            output: torch.Tensor = network(windows)
            return output.float()

        return run

    @contextmanager
    def _arithmetic(self) -> Iterator[None]:
        """The backends' switches for this way; others' work between two windows doesn't see them."""
        way = self.way
        flags = torch.backends.cudnn.flags(
            enabled=True, benchmark=not way.deterministic, deterministic=way.deterministic, allow_tf32=False
        )
        with ExitStack() as stack:
            stack.enter_context(flags)
            if way.half is not None:
                stack.enter_context(torch.autocast(way.device.type, dtype=way.half))
            yield

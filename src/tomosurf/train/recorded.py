"""A step of training as one CUDA graph: a small network's kernels end sooner than a host can start them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

Work = Callable[[Sequence[torch.Tensor]], None]

EAGER = 3
"""Calls before recording: they compile, choose algorithms and allocate what stays."""


class Recorded:
    """``work`` on tensors of always the same shapes, recorded at the fourth call and replayed from then on.

    It must ask nothing of the host and leave its results in tensors that were there before. ``generator`` is what
    it draws from; seeding that between calls does what it does without a graph.

    Reference: CUDA C++ Programming Guide, CUDA Graphs.
    """

    def __init__(self, work: Work, generator: torch.Generator) -> None:
        self._work, self._generator = work, generator
        self._graph: torch.cuda.CUDAGraph | None = None
        self._given: tuple[torch.Tensor, ...] = ()
        self._calls = 0

    def __call__(self, given: Sequence[torch.Tensor]) -> None:
        """Run it once."""
        self._calls += 1
        if self._calls <= EAGER:
            self._aside(given)
            return
        if self._graph is None:
            self._graph = self._recorded(given)
        for kept, new in zip(self._given, given, strict=True):
            kept.copy_(new)
        self._graph.replay()

    def _aside(self, given: Sequence[torch.Tensor]) -> None:
        """On a stream of its own, as recording does, so that libraries set up what they need for it."""
        main, aside = torch.cuda.current_stream(), torch.cuda.Stream()
        aside.wait_stream(main)
        with torch.cuda.stream(aside):
            self._work(given)
        main.wait_stream(aside)

    def _recorded(self, given: Sequence[torch.Tensor]) -> torch.cuda.CUDAGraph:
        self._given = tuple(tensor.clone() for tensor in given)
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self._generator)
        with torch.cuda.graph(graph):
            self._work(self._given)
        return graph

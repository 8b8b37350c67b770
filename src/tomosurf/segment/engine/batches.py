"""Batches of windows through the networks, within the memory there is: what doesn't fit is tried with less."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch

from tomosurf.errors import ModelError
from tomosurf.segment.device import device_name
from tomosurf.segment.engine.ensemble import Members, flips_along, outputs
from tomosurf.segment.engine.memory import Footing, free_bytes
from tomosurf.segment.engine.runner import Runner, Way
from tomosurf.segment.engine.source import Source
from tomosurf.segment.engine.tiles import Tiling, Triple
from tomosurf.segment.model.spec import ModelSpec
from tomosurf.segment.options import SegmentOptions
from tomosurf.segment.resident import Engine

Load = Callable[[], Sequence[Any]]
Outputs = tuple[torch.Tensor, torch.Tensor | None]


class Batches:
    """Outputs of one batch of windows after the other; ``load`` gives the networks, one a fold.

    ``footing`` says how memory is used at present; ``told`` how everything was computed.
    """

    def __init__(
        self, load: Load, spec: ModelSpec, source: Source, tiling: Tiling, options: SegmentOptions
    ) -> None:
        self._load, self._spec, self._source, self._tiling = load, spec, source, tiling
        self._flips = flips_along(spec.mirror_axes if options.mirror else ())
        runs = tiling.count * len(self._flips) * len(spec.weights)
        self._way = Way.chosen(options, spec, runs)
        self._engine = Engine() if options.engine is None else options.engine
        self._runner: Runner | None = None
        self._checked = False
        self._notes: dict[str, Any] = {}
        self._given_up: list[str] = []
        self.footing = Footing.first(self._way.device, tiling, options.batch)

    @property
    def device(self) -> torch.device:
        """Where the run began."""
        return self._way.device

    @property
    def half(self) -> bool:
        """Whether the networks compute in half precision."""
        return self._way.half is not None

    @property
    def told(self) -> dict[str, Any]:
        """How the outputs were computed, for the provenance; it holds no times."""
        runner = self._runner
        notes = dict(self._notes)
        if runner and runner.not_used:
            notes["runtimes_not_used"] = dict(runner.not_used)
        if self._given_up:
            notes["to_save_memory"] = list(self._given_up)
        return {
            "device": device_name(self._way.device),
            "precision": self._way.precision,
            "deterministic": self._way.deterministic,
            "threads": torch.get_num_threads(),
            "runtime": runner.runtime if runner else "",
            "windows": self._tiling.count,
            "windows_at_once": self.footing.batch,
            "mirrored_axes": list(self._flips[-1]),
            "folds": len(self._spec.weights),
            **notes,
        }

    def outputs(self, group: Sequence[Triple]) -> Outputs:
        """Logits (n, channels, x, y, z) float32 of the windows that begin there, and their spread if there is any.

        Raises:
            ModelError: the weights don't fit the description.
            torch.OutOfMemoryError: :meth:`step_down`, then try again.
        """
        runner = self._runner or self._start()
        members = Members(
            runner,
            self._flips,
            self._spec.activation == "softmax",
            self._room_for_members(runner),
        )
        windows = self._source.windows(group, self.footing.batch, self.footing.device)
        new = runner.prepare(windows.shape) or not self._checked
        if new and windows.is_cuda:
            torch.cuda.reset_peak_memory_stats(windows.device)  # room() asks what running takes
        found = outputs(members, windows)
        if self.half and not self._checked and not bool(torch.isfinite(found[0]).all()):
            self._notes["not_in_half_precision"] = "the outputs weren't finite"
            self._way, self._runner = replace(self._way, half=None, compiled=False), None
            return self.outputs(group)
        self._checked = True
        return found

    def _room_for_members(self, runner: Runner) -> int:
        """What the outputs of several folds and mirror images may take beside each other."""
        several = runner.folds * len(self._flips) > 1
        return free_bytes(self.footing.device) // 4 if several else 0

    def room(self) -> int:
        """The bytes that batches like the last one leave free on the device."""
        device = self.footing.device
        free = free_bytes(device)
        if device.type == "cuda":
            free -= torch.cuda.max_memory_allocated(device) - torch.cuda.memory_allocated(device)
        return free

    def note(self, given_up: str) -> None:
        """Write down what was given up to save memory."""
        if given_up not in self._given_up:
            self._given_up.append(given_up)

    def step_down(self) -> None:
        """Take less memory from now on.

        Raises:
            ModelError: there is nothing left to give up.
        """
        lower = self.footing.lower()
        if lower is None:
            raise ModelError("the memory doesn't suffice for one window of this model; use a larger machine")
        before, (self.footing, given_up) = self.footing, lower
        self.note(given_up)
        if self._runner is not None and self.footing.batch != before.batch:
            self._runner.forget()  # what was made for larger batches keeps its memory
        if not self.footing.image_here or self.footing.device != before.device:
            self._source.release()
        if self.footing.device != before.device:
            self._engine.drop(self._key)
            self._way = replace(self._way, device=self.footing.device, half=None, compiled=False)
            self._runner = None
        if before.device.type == "cuda":
            torch.cuda.empty_cache()

    def _start(self) -> Runner:
        device = self.footing.device
        self._runner = self._engine.get(self._key, self._loaded)
        if self.footing.image_here and device.type == "cuda":
            self._source.hold(device, free_bytes(device))
        return self._runner

    @property
    def _key(self) -> tuple[Any, ...]:
        digests = tuple(weights.sha256 for weights in self._spec.weights)
        return digests, self._spec.architecture.model_dump_json(), self._way

    def _loaded(self) -> Runner:
        return Runner(self._load(), self._way)

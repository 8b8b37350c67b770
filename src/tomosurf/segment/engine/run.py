"""A prepared image through a network, window by window, as slabs of finished planes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tomosurf.errors import ModelError
from tomosurf.progress import Progress, silent
from tomosurf.segment.engine.batches import Batches, Load, Outputs
from tomosurf.segment.engine.blend import Blend, Depth
from tomosurf.segment.engine.importance import importance
from tomosurf.segment.engine.memory import bounded, depth, free_bytes
from tomosurf.segment.engine.source import Source
from tomosurf.segment.engine.tiles import tiling
from tomosurf.segment.model.spec import ModelSpec
from tomosurf.segment.model.weights import load_networks
from tomosurf.segment.options import SegmentOptions
from tomosurf.segment.outputs.slab import Slab
from tomosurf.segment.prepare.prepare import Prepared


def slabs(
    folder: Path, spec: ModelSpec, seen: Prepared, options: SegmentOptions, progress: Progress
) -> Slabs:
    """The outputs of the model in ``folder`` on the image's grid, in slabs; see :class:`Slabs`.

    Raises:
        ConfigError, ModelError: there is no such device.
    """
    return Slabs(partial(load_networks, folder, spec), spec, seen.image, options, progress)


class Slabs(Iterator[Slab]):
    """Slabs in order along one axis, computed as they are asked for; ``load`` gives the networks, one a fold.

    ``image`` is (channels, x, y, z) float32. Memory on the device: weights, one batch of windows, and the sums
    of as many planes as fit, at least a window's; when it doesn't suffice, the run goes on with less
    (:class:`~tomosurf.segment.engine.memory.Footing`), on the CPU in the end.

    Raises, when asked for a slab:
        ModelError: the weights don't fit, no memory suffices, or the outputs aren't finite.
    """

    def __init__(
        self,
        load: Load,
        spec: ModelSpec,
        image: NDArray[np.float32],
        options: SegmentOptions = SegmentOptions(),  # noqa: B008  (frozen)
        progress: Progress = silent,
    ) -> None:
        x, y, z = image.shape[1:]
        self._tiling = tiling((x, y, z), spec.window)
        self._importance = importance(self._tiling.window, spec.window)
        self._source = Source(image, self._tiling)
        self._batches = Batches(load, spec, self._source, self._tiling, options)
        self._bound = options.gpu_memory_gb
        self._progress = progress
        self._steps = self._finite()

    def __next__(self) -> Slab:
        return next(self._steps)

    @property
    def told(self) -> dict[str, Any]:
        """How the outputs were computed, for the provenance: complete once the last slab is out."""
        return self._batches.told

    def _finite(self) -> Iterator[Slab]:
        try:
            with bounded(self._batches.device, self._bound):
                for slab in self._blended():
                    if not bool(torch.isfinite(slab.values).all()):
                        raise ModelError(
                            "the network's output isn't finite; its weights don't fit this image"
                            + ("; choose the precision float32" if self._batches.half else "")
                        )
                    yield slab
        except torch.OutOfMemoryError as error:
            raise ModelError("the memory doesn't suffice for this image; choose the device cpu") from error
        finally:
            self._source.release()

    def _blended(self) -> Iterator[Slab]:
        """Windows, in order, into the sums; what is finished goes out."""
        origins, axis = list(self._tiling.origins()), self._tiling.axis
        blend: Blend | None = None
        done = 0
        while done < len(origins):
            group = origins[done : done + self._batches.footing.batch]
            found: Outputs | None = None
            try:
                found = self._batches.outputs(group)
                blend = blend or self._blend(found)
            except torch.OutOfMemoryError:
                found = None  # its memory is needed below
            if found is None or blend is None:
                self._batches.step_down()
                if blend is not None and blend.whole and not self._batches.footing.whole:
                    blend, done = None, 0  # nothing is out yet: begin again with thinner sums
                continue
            for number, origin in enumerate(group):
                yield from blend.below(origin[axis])
                blend.add(origin, found[0][number], None if found[1] is None else found[1][number])
            done += len(group)
            del found
            self._progress(self._batches.footing.stage, done / len(origins))
        if blend is not None:
            yield from blend.rest()

    def _blend(self, found: Outputs) -> Blend:
        """The sums of as many planes as batches leave room for.

        If not even a window's fit: fewer windows at a time first, then sums in half precision where the network
        computes so itself, then sums on the host, which takes many times as long.

        Raises:
            torch.OutOfMemoryError: the room was taken meanwhile, or fewer windows at a time would make some.
        """
        values, spread = found
        channels = int(values.shape[1]) + (1 if spread is None else 2)
        whole, room = self._batches.footing.whole, self._batches.room()
        planes = depth(self._tiling, channels, room, whole)
        if planes is not None:
            with suppress(torch.OutOfMemoryError):  # the room may be in pieces
                return self._sums(planes, found)
        if self._batches.footing.batch > 1:
            raise torch.OutOfMemoryError("no room for the sums beside so many windows")
        planes = depth(self._tiling, channels, room, False, half=True) if self._batches.half else None
        if planes is not None:
            with suppress(torch.OutOfMemoryError):
                blend = self._sums(replace(planes, half=True), found)
                self._batches.note("sums in half precision")
                return blend
        host = torch.device("cpu")
        planes = depth(self._tiling, channels, free_bytes(host), False) or Depth(1, 1)
        self._batches.note("sums in the host's memory")
        return self._sums(planes, (values[:1].to(host), spread))

    def _sums(self, planes: Depth, found: Outputs) -> Blend:
        """Empty sums where the outputs are."""
        values, spread = found
        return Blend(self._tiling, self._importance, planes, values[0], spread is not None)

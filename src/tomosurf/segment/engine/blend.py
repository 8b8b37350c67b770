"""Overlapping windows to one field, plane by plane: as soon as no later window touches a plane, it is finished."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from tomosurf.segment.engine.tiles import Tiling, Triple
from tomosurf.segment.outputs.slab import Slab


@dataclass(frozen=True, slots=True)
class Depth:
    """How many planes are held, at least a window's, and how many a slab has at most; ``half`` sums or not."""

    held: int
    slab: int
    half: bool = False


class Blend:
    """Sums of weighted windows for ``depth.held`` planes; the rest are finished or still to come.

    Sums are float32, or float16 where ``depth.half``. The planes are a ring: plane p of the padded image lies
    at p modulo the depth. Windows must come in the order of :meth:`Tiling.origins`; the sums are made like the
    first one's outputs (channels, x, y, z), on their device, and the result is the same to the last bit for any
    depth. Memory: held planes times (channels + 1, and 1 for spread), and one slab. When all planes are held
    there is one slab.

    Raises:
        torch.OutOfMemoryError: there is no room for the sums.
    """

    def __init__(
        self, tiling: Tiling, importance: torch.Tensor, depth: Depth, like: torch.Tensor, spread: bool
    ) -> None:
        size = tiling.shape[tiling.axis]
        self._tiling = tiling
        self._held = min(max(depth.held, tiling.window[tiling.axis]), size)
        self._slab_planes = max(depth.slab, 1)
        self._finished = 0
        self._dtype = torch.float16 if depth.half else torch.float32
        self._importance = importance.to(like.device, self._dtype)
        self._sums = self._zeros(like)
        self._weights = self._zeros(self._importance[None])
        self._spread = self._zeros(self._importance[None]) if spread else None

    @property
    def device(self) -> torch.device:
        """Where the sums are."""
        return self._sums.device

    @property
    def whole(self) -> bool:
        """Whether all planes are held, and nothing goes out before the end."""
        return self._held == self._tiling.shape[self._tiling.axis]

    def add(self, origin: Triple, values: torch.Tensor, spread: torch.Tensor | None) -> None:
        """One window's outputs (channels, x, y, z) and spread (x, y, z), at ``origin`` of the padded image."""
        values = values.to(self.device, self._dtype)
        for where, part in self._places(origin):
            importance = self._importance[part]
            self._sums[(slice(None), *where)].addcmul_(values[(slice(None), *part)], importance)
            self._weights[(0, *where)].add_(importance)
            if self._spread is not None and spread is not None:
                self._spread[(0, *where)].addcmul_(spread.to(self.device, self._dtype)[part], importance)

    def below(self, plane: int) -> Iterator[Slab]:
        """The slabs that are finished when every later window starts at ``plane`` or beyond."""
        if self.whole and plane < self._held:
            return
        while self._finished < plane:
            at = self._finished % self._held
            count = min(plane - self._finished, self._held - at)
            if not self.whole:
                count = min(count, self._slab_planes)
            try:
                slab = self._slab(self._finished, at, count)
            except torch.OutOfMemoryError:
                if count == 1:
                    raise
                self._slab_planes = count // 2
                continue
            self._finished += count
            if slab is not None:
                yield slab

    def rest(self) -> Iterator[Slab]:
        """The slabs that remain after the last window."""
        yield from self.below(self._tiling.shape[self._tiling.axis])

    def _slab(self, start: int, at: int, count: int) -> Slab | None:
        """Planes ``start`` and on, which lie at ``at``: divided by their weights, without padding, and cleared."""
        tiling, axis = self._tiling, self._tiling.axis
        first = max(start, tiling.before[axis])
        last = min(start + count, tiling.before[axis] + tiling.image[axis])
        if first >= last:
            return None
        inside = [slice(a, a + n) for a, n in zip(tiling.before, tiling.image, strict=True)]
        inside[axis] = slice(at + first - start, at + last - start)
        cut = (slice(None), *inside)
        ours = [self._sums[cut]] if self._spread is None else [self._sums[cut], self._spread[cut]]
        weights = self._weights[cut]
        if self.whole:
            parts = [part.div_(weights) for part in ours]
        else:
            parts = [part.float() / weights for part in ours]
            planes: list[slice] = [slice(None)] * 3
            planes[axis] = slice(at, at + count)
            for sums in (self._sums, self._weights, self._spread):
                if sums is not None:
                    sums[(slice(None), *planes)] = 0
        return Slab(axis, first - tiling.before[axis], parts[0], parts[1][0] if len(parts) > 1 else None)

    def _places(self, origin: Triple) -> Iterator[tuple[tuple[slice, ...], tuple[slice, ...]]]:
        """Where a window lies in the ring, and which part of it: two places where the ring closes."""
        axis, held = self._tiling.axis, self._held
        size = self._tiling.window[axis]
        at = origin[axis] % held
        straight = min(size, held - at)
        for ring, part in ((at, slice(0, straight)), (0, slice(straight, size))):
            if part.start < part.stop:
                where = [slice(a, a + n) for a, n in zip(origin, self._tiling.window, strict=True)]
                where[axis] = slice(ring, ring + part.stop - part.start)
                parts = [slice(None)] * 3
                parts[axis] = part
                yield tuple(where), tuple(parts)

    def _zeros(self, like: torch.Tensor) -> torch.Tensor:
        """Zeros for every held plane; channels lie innermost where they do in ``like``: adding is fast then."""
        x, y, z = (
            self._held if axis == self._tiling.axis else size for axis, size in enumerate(self._tiling.shape)
        )
        channels = like.shape[0]
        if channels > 1 and like.stride(0) == 1:
            return torch.zeros((x, y, z, channels), device=like.device, dtype=self._dtype).permute(3, 0, 1, 2)
        return torch.zeros((channels, x, y, z), device=like.device, dtype=self._dtype)

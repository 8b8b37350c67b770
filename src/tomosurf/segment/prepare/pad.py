"""Voxels added around an image so that it suits its network, and taken off the network's outputs again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tomosurf.segment.model.steps import Pad
from tomosurf.segment.outputs.slab import Slab
from tomosurf.segment.prepare.prepared import NO_PADDING, Padding, Prepared


def pad(state: Prepared, step: Pad) -> Prepared:
    """Pad until each edge is long enough and divisible."""
    widths = []
    for size, least, divisor in zip(state.image.shape[1:], step.at_least, step.divisor, strict=True):
        extra = -(-max(size, least) // divisor) * divisor - size
        before = 0 if step.where == "end" else extra // 2
        widths.append((before, extra - before))
    return extend(state, (widths[0], widths[1], widths[2]), step.value)


def extend(state: Prepared, widths: Padding, value: float | Literal["edge"]) -> Prepared:
    """``widths`` voxels of ``value`` before and after each axis; "edge" repeats the outermost."""
    if widths == NO_PADDING:
        return state
    x, y, z = (n + a + b for n, (a, b) in zip(state.image.shape[1:], widths, strict=True))
    a, b, c = ((had[0] + new[0], had[1] + new[1]) for had, new in zip(state.padding, widths, strict=True))
    return Prepared(
        _padded(state.image, widths, value),
        state.grid.cropped((-widths[0][0], -widths[1][0], -widths[2][0]), (x, y, z)),
        None if state.measured is None else np.pad(state.measured, widths, constant_values=True),
        (a, b, c),
    )


def _padded(
    image: NDArray[np.float32], widths: Padding, value: float | Literal["edge"]
) -> NDArray[np.float32]:
    if value == "edge":
        return np.pad(image, ((0, 0), *widths), mode="edge")
    return np.pad(image, ((0, 0), *widths), constant_values=value)


def without_padding(seen: Prepared) -> Prepared:
    """The same less the voxels that were added."""
    if seen.padding == NO_PADDING:
        return seen
    cut = tuple(slice(a, n - b) for n, (a, b) in zip(seen.grid.shape, seen.padding, strict=True))
    image = seen.image[(slice(None), *cut)]
    start = (seen.padding[0][0], seen.padding[1][0], seen.padding[2][0])
    shape = (image.shape[1], image.shape[2], image.shape[3])
    measured = None if seen.measured is None else seen.measured[cut]
    return Prepared(image, seen.grid.cropped(start, shape), measured)


def unpadded(slabs: Iterable[Slab], seen: Prepared) -> Iterator[Slab]:
    """``slabs`` on the grid of :func:`without_padding`."""
    if seen.padding == NO_PADDING:
        yield from slabs
        return
    for slab in slabs:
        first, last = seen.padding[slab.axis][0], seen.grid.shape[slab.axis] - seen.padding[slab.axis][1]
        start, stop = max(slab.start, first), min(slab.stop, last)
        if start >= stop:
            continue
        cut = [slice(a, n - b) for n, (a, b) in zip(seen.grid.shape, seen.padding, strict=True)]
        cut[slab.axis] = slice(start - slab.start, stop - slab.start)
        yield replace(
            slab,
            start=start - first,
            values=slab.values[(slice(None), *cut)],
            spread=None if slab.spread is None else slab.spread[tuple(cut)],
        )

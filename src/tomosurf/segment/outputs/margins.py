"""Margins of segments from a network's outputs, which come in pieces and go again."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tomosurf.data.geometry import Geometry
from tomosurf.data.segmentation import Margin
from tomosurf.errors import DataError
from tomosurf.segment.grids import turn, turned
from tomosurf.segment.outputs.decision import Decision
from tomosurf.segment.outputs.extents import extents
from tomosurf.segment.outputs.label_map import empty_labels
from tomosurf.segment.outputs.part import Part
from tomosurf.segment.outputs.picking import on_host

BORDER = 2
"""Voxels around a segment's box that its margin keeps, unless the grid ends there."""


@dataclass(slots=True)
class _Found:
    """What is known of one segment: per plane, its box within the plane; fields kept so far, and their range."""

    extents: dict[int, NDArray[np.int_]] = field(default_factory=dict)
    fields: list[tuple[NDArray[np.int_], NDArray[np.float32]]] = field(default_factory=list)
    lowest: float = np.inf
    highest: float = -np.inf


class MarginFields:
    """Margins in the making: slabs come in order along ``axis`` of ``grid`` and aren't kept.

    A segment's margin is kept, slab by slab, in the box of what lies of it within ``BORDER`` planes of the
    slab, ``BORDER`` voxels wider. In the box of all of it, what wasn't kept is outside like its lowest kept
    value. One slab keeps all of the box. Memory: the boxes, and ``BORDER`` planes of the outputs.
    """

    def __init__(self, grid: Geometry, axis: int, decision: Decision) -> None:
        self._grid, self._axis, self._decision = grid, axis, decision
        self._found: dict[int, _Found] = {}
        self._waiting: deque[Part] = deque()

    def add(self, part: Part) -> None:
        """Outputs that follow those before."""
        last = part.stop == self._grid.shape[self._axis]
        ready = part.planes if last else max(part.planes - BORDER, 0)
        self._look(part)
        while self._waiting and (last or self._waiting[0].stop + BORDER <= part.stop):
            self._keep(self._waiting.popleft())
        if ready:
            self._keep(part.between(0, ready))
        if ready < part.planes:  # the slab goes, its last planes stay
            self._waiting.append(part.between(ready, part.planes).cloned())

    def margins(self) -> dict[int, Margin]:
        """Label to margin for each segment that is anywhere above zero; call it once, at the end."""
        margins = {}
        for label in sorted(self._found):
            found = self._found.pop(label)
            if not found.highest > 0:  # equal scores make no winner
                continue
            box = self._box(found, 0, self._grid.shape[self._axis])
            start, shape = box[:, 0], box[:, 1] - box[:, 0]
            place = tuple(start.tolist())
            if len(found.fields) == 1:  # one slab keeps all of the box
                ((_, values),) = found.fields
                margins[label] = Margin(self._grid.cropped(place, values.shape), np.asfortranarray(values))
                continue
            whole = np.full(tuple(shape), found.lowest, np.float32, order="F")
            for corner, values in found.fields:
                cut = tuple(slice(a, a + n) for a, n in zip(corner - start, values.shape, strict=True))
                whole[cut] = values
            margins[label] = Margin(self._grid.cropped(place, whole.shape), whole)
        return margins

    def _look(self, part: Part) -> None:
        """Note where in each plane each segment wins."""
        for label, plane, ends in extents(part.leaders.winner, self._axis, self._decision):
            self._found.setdefault(label, _Found()).extents[part.start + plane] = ends

    def _keep(self, part: Part) -> None:
        """Keep what a part holds of each segment that is near."""
        for label, found in self._found.items():
            if not any(plane in found.extents for plane in range(part.start - BORDER, part.stop + BORDER)):
                continue
            box = self._box(found, part.start, part.stop)
            cut = tuple(slice(a, b) for a, b in box - np.array(part.corner)[:, None])
            margin = self._margin(label, part, cut)
            low, high = torch.stack(margin.aminmax()).tolist()
            found.lowest, found.highest = min(found.lowest, low), max(found.highest, high)
            found.fields.append((box[:, 0], on_host(margin)))

    def _box(self, found: _Found, start: int, stop: int) -> NDArray[np.int_]:
        """(3, 2) start and stop of what is kept between two planes; none of it lies outside them."""
        near = [plane for plane in found.extents if start - BORDER <= plane < stop + BORDER]
        inside = np.array([found.extents[plane] for plane in near])
        box = np.empty((3, 2), int)
        others = [axis for axis in range(3) if axis != self._axis]
        box[others, 0] = np.maximum(inside[:, :, 0].min(axis=0) - BORDER, 0)
        box[others, 1] = np.minimum(inside[:, :, 1].max(axis=0) + BORDER, np.array(self._grid.shape)[others])
        box[self._axis] = max(start, min(near) - BORDER, 0), min(stop, max(near) + 1 + BORDER)
        return box

    def _margin(self, label: int, part: Part, cut: tuple[slice, ...]) -> torch.Tensor:
        """Score of ``label`` less the best other one, in a box of ``part``."""
        choices = self._decision.choices_of(label)
        near = part.values[(slice(None), *cut)]
        if len(choices) == 1:
            leaders = part.leaders
            own = leaders.winner[cut] == choices[0]
            rival = torch.where(own, leaders.second[cut], leaders.best[cut])
            return self._decision.score(near, choices[0]) - rival
        own, rival = torch.full_like(near[0], -torch.inf), torch.full_like(near[0], -torch.inf)
        for choice, score in self._decision.scores(near):
            side = own if choice in choices else rival
            torch.maximum(side, score, out=side)
        return own - rival


def sharing(grid: Geometry, geometry: Geometry) -> Geometry | None:
    """``grid`` with the axes of ``geometry``, when they share their voxel centres (a cut or padded one may)."""
    index = geometry.to_index(grid.corners())
    low, high = np.rint(index.min(axis=0)).astype(int), np.rint(index.max(axis=0)).astype(int)
    start, shape = low.tolist(), (high - low + 1).tolist()
    own = geometry.cropped((start[0], start[1], start[2]), (shape[0], shape[1], shape[2]))
    return None if turn(grid, own) is None else own


def on_voxels_of(geometry: Geometry, margin: Margin) -> Margin:
    """The same margin with the axes of ``geometry``, whose voxel centres it must share, and not beyond it."""
    own, values = on_axes_of(geometry, margin.geometry, margin.values)
    return Margin(own, values)


def on_axes_of(geometry: Geometry, grid: Geometry, values: NDArray[Any]) -> tuple[Geometry, NDArray[Any]]:
    """``values`` on ``grid`` with the axes of ``geometry``, cut to it.

    Raises:
        DataError: they don't share their voxel centres.
    """
    own = sharing(grid, geometry)
    same = None if own is None else turn(grid, own)
    if own is None or same is None:
        raise DataError("a field doesn't share the voxels of its image")
    first = np.rint(geometry.to_index([own.origin])[0]).astype(int)
    start = np.maximum(-first, 0)
    stop = np.maximum(np.minimum(np.array(geometry.shape) - first, own.shape), start)
    cut = tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
    here = np.asfortranarray(turned(values, same)[cut])
    a, b, c = start.tolist()
    return own.cropped((a, b, c), here.shape), here


def labels_from_margins(margins: Mapping[int, Margin], geometry: Geometry, top: int) -> NDArray[Any]:
    """The label map of margins on ``geometry``'s own voxels: each where its margin is above zero.

    It can hold labels up to ``top``.
    """
    labels = empty_labels(geometry.shape, top)
    for label, margin in margins.items():
        start = np.rint(geometry.to_index([margin.geometry.origin])[0]).astype(int)
        cut = tuple(slice(a, a + n) for a, n in zip(start, margin.geometry.shape, strict=True))
        labels[cut][margin.values > 0] = label
    return labels

"""Where the voxels of an image lie between the nodes of a network's grid.

A voxel between the nodes is read by linear interpolation from the corners of its *cell*; the outermost nodes
are repeated beyond themselves, as grid_sample's "border" does, up to the outer faces of their voxels. Farther
out the network saw nothing, and nothing is read. Nodes in a model's padding aren't read either.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from tomosurf.data.geometry import Geometry
from tomosurf.segment.grids import SLAB_VOXELS, TURN_TOLERANCE
from tomosurf.segment.outputs.picking import picked

PARALLEL_TOLERANCE = 1e-5
"""Largest drift, in nodes over the whole image, of an axis that still counts as parallel to the nodes'."""

ON_NODE = 1e-6
"""A voxel this close to a node (in nodes) lies on it."""

OVERHANG = 0.499
"""How far beyond the image's outer face, in nodes, a node may lie and still be one that saw the image.

Grids that cover an image end less than half a node beyond it; farther out a model's padding begins.
"""

OUTSIDE = -1
"""What a lookup gives for voxels that lie in none of the cells asked about."""

Span = tuple[int, int]
Box = tuple[Span, Span, Span]
"""Start and stop along three axes."""


class Reading(Protocol):
    """How an image's voxels are read from a grid of nodes."""

    @property
    def nearest(self) -> int | None:
        """The axis of the nodes along which the nearest is taken: there every node is a cell of its own."""

    def boxes(self, cells: Box, voxels: int = SLAB_VOXELS) -> Iterator[Box]:
        """Boxes of about ``voxels`` at most that together hold all voxels in ``cells``."""

    def lookup(self, values: torch.Tensor, corner: tuple[int, ...], box: Box) -> torch.Tensor:
        """(nk, nj, ni): for each voxel of ``box`` the value of its cell, ``OUTSIDE`` where that isn't given.

        ``values`` (cx, cy, cz), signed integers, are those of the cells from ``corner`` on.
        """

    def lower(self, index: torch.Tensor) -> torch.Tensor:
        """For (3, n) voxels i, j, k: the lower corner of each one's cell (3, n) int64."""

    def beyond(self, index: torch.Tensor) -> torch.Tensor:
        """How far beyond their cells' lower corners voxels (3, n) lie, 0 to 1: (3, n) float32."""


@dataclass(frozen=True, slots=True, eq=False)
class Along:
    """One axis of the nodes: the image's axis beside it, and for each voxel along that one where it lies."""

    axis: int
    lower: NDArray[np.int64]
    fraction: NDArray[np.float32]
    inside: Span


@dataclass(frozen=True, slots=True)
class ParallelReading:
    """Axes that run beside each other: three lists of coordinates say everything."""

    along: tuple[Along, Along, Along]
    nearest: int | None = None

    def boxes(self, cells: Box, voxels: int = SLAB_VOXELS) -> Iterator[Box]:
        """Boxes that hold the voxels in ``cells`` and no others."""
        ends = [(0, 0)] * 3
        for along, (start, stop) in zip(self.along, cells, strict=True):
            here = np.flatnonzero((along.lower >= start) & (along.lower < stop))
            low, high = (int(here[0]), int(here[-1]) + 1) if len(here) else (0, 0)
            ends[along.axis] = (max(low, along.inside[0]), min(high, along.inside[1]))
        return pieces((ends[0], ends[1], ends[2]), voxels)

    def lookup(self, values: torch.Tensor, corner: tuple[int, ...], box: Box) -> torch.Tensor:
        """See :class:`Reading`; ``box`` is one of :meth:`boxes`, so that nothing lies outside."""
        order = sorted(range(3), key=lambda source: -self.along[source].axis)
        k, j, i = (
            self.along[source].lower[slice(*box[self.along[source].axis])] - corner[source]
            for source in order
        )
        turned = values.permute(order)
        if values.device.type == "cpu":  # numpy is many times faster here
            first = int(k.min())
            array = turned.numpy()[first : int(k.max()) + 1]
            return torch.from_numpy(array.take(k - first, axis=0).take(j, axis=1).take(i, axis=2))
        at_k, at_j, at_i = (torch.from_numpy(places).to(values.device) for places in (k, j, i))
        return turned[at_k[:, None, None], at_j[None, :, None], at_i[None, None, :]]

    def interpolated(self, values: torch.Tensor, corner: tuple[int, ...], box: Box) -> torch.Tensor:
        """(channels, nk, nj, ni): all ``values`` (channels, x, y, z), nodes from ``corner`` on, read in ``box``.

        The last axis comes first, as it does where voxels are read one by one: the numbers are the same.
        """
        for source in (2, 1, 0):
            along = self.along[source]
            here = slice(*box[along.axis])
            lower = torch.from_numpy(along.lower[here] - corner[source]).to(values.device)
            near = values.index_select(1 + source, lower)
            if along.fraction[here].any():
                upper = (lower + 1).clamp_(max=values.shape[1 + source] - 1)
                weights = torch.from_numpy(along.fraction[here]).to(values.device)
                shape = [len(weights) if axis == source else 1 for axis in range(3)]
                near = near.lerp_(values.index_select(1 + source, upper), weights.view(shape))
            values = near
        order = sorted(range(3), key=lambda source: -self.along[source].axis)
        return values.permute(0, *(1 + source for source in order))

    def lower(self, index: torch.Tensor) -> torch.Tensor:
        """See :class:`Reading`."""
        lists = [torch.from_numpy(along.lower).to(index.device) for along in self.along]
        return torch.stack(
            [picked(own, index[along.axis]) for own, along in zip(lists, self.along, strict=True)]
        )

    def beyond(self, index: torch.Tensor) -> torch.Tensor:
        """See :class:`Reading`."""
        lists = [torch.from_numpy(along.fraction).to(index.device) for along in self.along]
        return torch.stack(
            [picked(own, index[along.axis]) for own, along in zip(lists, self.along, strict=True)]
        )


@dataclass(frozen=True, slots=True, eq=False)
class ObliqueReading:
    """Any two affines, shear included: each voxel's place is computed (on the CPU)."""

    index_map: NDArray[np.float64]
    nodes: tuple[int, int, int]
    voxels: tuple[int, int, int]
    nearest: None = None

    def boxes(self, cells: Box, voxels: int = SLAB_VOXELS) -> Iterator[Box]:
        """Boxes that hold the voxels in ``cells``, and others."""
        ends = [
            (start - 0.5 * (start == 0), stop + 0.5 * (stop == own))
            for (start, stop), own in zip(cells, self._cells, strict=True)
        ]
        corners = np.array([(x, y, z) for x in ends[0] for y in ends[1] for z in ends[2]])
        back = np.linalg.solve(self.index_map[:, :3], (corners - self.index_map[:, 3]).T)
        low = np.maximum(np.floor(back.min(axis=1) - TURN_TOLERANCE).astype(int), 0)
        high = np.minimum(np.ceil(back.max(axis=1) + TURN_TOLERANCE).astype(int) + 1, self.voxels)
        spans = [(int(a), int(b)) for a, b in zip(low, np.maximum(high, low), strict=True)]
        return pieces((spans[0], spans[1], spans[2]), voxels // 8)

    def lookup(self, values: torch.Tensor, corner: tuple[int, ...], box: Box) -> torch.Tensor:
        """See :class:`Reading`."""
        k, j, i = (np.arange(*box[axis]) for axis in (2, 1, 0))
        places = self._places(np.stack(np.broadcast_arrays(i, j[:, None], k[:, None, None])))
        ends = np.array(self.nodes).reshape(3, 1, 1, 1) - 0.5 + TURN_TOLERANCE
        asked = ((places >= -0.5 - TURN_TOLERANCE) & (places <= ends)).all(axis=0)
        local = self._lower(places) - np.array(corner).reshape(3, 1, 1, 1)
        asked &= ((local >= 0) & (local < np.array(values.shape).reshape(3, 1, 1, 1))).all(axis=0)
        found = np.full(asked.shape, OUTSIDE, values.cpu().numpy().dtype)
        found[asked] = values.cpu().numpy()[tuple(local[:, asked])]
        return torch.from_numpy(found)

    def lower(self, index: torch.Tensor) -> torch.Tensor:
        """See :class:`Reading`."""
        return torch.from_numpy(self._lower(self._places(index.cpu().numpy()))).to(index.device)

    def beyond(self, index: torch.Tensor) -> torch.Tensor:
        """See :class:`Reading`."""
        places = self._places(index.cpu().numpy())
        last = np.array(self.nodes)[:, None] - 1
        fraction = (np.clip(places, 0, last) - self._lower(places)).astype(np.float32)
        return torch.from_numpy(fraction).to(index.device)

    def _places(self, index: NDArray[np.int64]) -> NDArray[np.float64]:
        """Where voxels (3, ...) lie among the nodes."""
        turned = np.tensordot(self.index_map[:, :3], index.astype(np.float64), axes=1)
        return _on_nodes(turned + self.index_map[:, 3].reshape(3, *[1] * (index.ndim - 1)))

    def _lower(self, places: NDArray[np.float64]) -> NDArray[np.int64]:
        last = np.array(self._cells).reshape(3, *[1] * (places.ndim - 1)) - 1
        return np.clip(np.floor(places), 0, last).astype(np.int64)

    @property
    def _cells(self) -> tuple[int, int, int]:
        x, y, z = (max(n - 1, 1) for n in self.nodes)
        return x, y, z


def reading_of(nodes: Geometry, image: Geometry, nearest: int | None = None) -> Reading:
    """How the voxels of ``image`` are read from ``nodes``.

    ``nearest`` is an axis of the nodes along which the nearest is taken instead of a mean of two.
    """
    index_map = np.linalg.solve(nodes.affine, image.affine)[:3].astype(np.float64, copy=False)
    axes, seeing = parallel_axes(nodes, image), seeing_nodes(nodes, image)
    if axes is None or seeing is None:
        return ObliqueReading(index_map, nodes.shape, image.shape)
    x, y, z = (
        _along(
            index_map[source, axis] * np.arange(image.shape[axis]) + index_map[source, 3],
            axis,
            seeing[source],
            source == nearest,
        )
        for source, axis in enumerate(axes)
    )
    return ParallelReading((x, y, z), nearest)


def seeing_nodes(nodes: Geometry, image: Geometry) -> Box | None:
    """The nodes that saw the image, from the first to behind the last, if axes are parallel; else None."""
    axes = parallel_axes(nodes, image)
    if axes is None:
        return None
    index_map = np.linalg.solve(image.affine, nodes.affine)
    spans = []
    for source, axis in enumerate(axes):
        step = index_map[axis, source]
        places = step * np.arange(nodes.shape[source]) + index_map[axis, 3]
        reach = 0.5 + OVERHANG * abs(step)
        here = np.flatnonzero((places >= -reach) & (places <= image.shape[axis] - 1 + reach))
        spans.append((int(here[0]), int(here[-1]) + 1) if len(here) else (0, 1))
    return spans[0], spans[1], spans[2]


def parallel_axes(nodes: Geometry, image: Geometry) -> tuple[int, int, int] | None:
    """For each axis of the nodes the image's axis that runs beside it, either way; None where one doesn't."""
    steps = np.linalg.solve(nodes.affine, image.affine)[:3, :3]
    travelled = np.abs(steps) * (np.array(image.shape) - 1).clip(1)
    x, y, z = (int(axis) for axis in np.abs(steps).argmax(axis=1))
    if {x, y, z} != {0, 1, 2}:
        return None
    travelled[range(3), (x, y, z)] = 0
    return (x, y, z) if travelled.max() <= PARALLEL_TOLERANCE else None


def pieces(box: Box, voxels: int) -> Iterator[Box]:
    """``box`` cut along its last axis, then its second, into boxes of about ``voxels`` at most; none when empty."""
    (i0, i1), (j0, j1), (k0, k1) = box
    if min(i1 - i0, j1 - j0, k1 - k0) <= 0:
        return
    rows = max(1, voxels // (i1 - i0))
    for j in range(j0, j1, rows):
        until = min(j + rows, j1)
        deep = max(1, rows // (until - j))
        for k in range(k0, k1, deep):
            yield (i0, i1), (j, until), (k, min(k + deep, k1))


def _along(places: NDArray[np.float64], axis: int, seeing: Span, nearest: bool) -> Along:
    first, last = seeing[0], seeing[1] - 1
    places = _on_nodes(places)
    within = (places >= first - 0.5 - TURN_TOLERANCE) & (places <= last + 0.5 + TURN_TOLERANCE)
    here = np.flatnonzero(within)
    inside = (int(here[0]), int(here[-1]) + 1) if len(here) else (0, 0)
    places = places.clip(first, last)
    # halfway between two slices the later one is taken, whatever noise the affine brings
    lower = np.floor(places + 0.5 + ON_NODE if nearest else places)
    lower = lower.clip(first, last if nearest else max(last - 1, first)).astype(np.int64)
    fraction = np.zeros(len(places)) if nearest else places - lower
    return Along(axis, lower, fraction.astype(np.float32), inside)


def _on_nodes(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Places with those that are all but on a node put onto it: the noise of an affine gives no cell."""
    near = np.rint(places)
    return np.where(np.abs(places - near) < ON_NODE, near, places)

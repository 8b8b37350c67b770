"""A shape as partial volume: which fraction of each voxel it fills."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.geometry import Geometry
from tomosurf.testing.shape import Points, Shape, Union

BLOCK = 8
"""Edge in voxels of the blocks that are tested as a whole first."""

CHUNK = 1 << 16
"""Points evaluated at once: few enough to stay in the processor's cache."""


def rasterise(shape: Shape, geometry: Geometry, supersampling: int = 4) -> NDArray[np.float32]:
    """The fraction of each voxel that ``shape`` fills, 0 to 1; float32, geometry's shape, Fortran-ordered.

    Blocks and voxels whose centre is farther from the surface than their corners are all in or all out;
    only the rest is sampled, at ``supersampling`` cubed evenly spaced points a voxel. The parts of a
    :class:`Union` are added, as they don't overlap.

    Reference: partial volume as the mean of an indicator over the voxel.
    """
    fraction = np.zeros(geometry.shape, np.float32, order="F")
    add(shape, geometry, fraction, supersampling)
    return np.minimum(fraction, 1.0, out=fraction)


def add(shape: Shape, geometry: Geometry, onto: NDArray[np.float32], supersampling: int = 4) -> None:
    """Add the fractions that ``shape`` fills to the array ``onto``, in place."""
    if isinstance(shape, Union):
        for part in shape.parts:
            add(part, geometry, onto, supersampling)
        return
    box = _index_box(shape, geometry)
    if box is None:
        return
    low, high = box
    blocks = np.stack(
        np.meshgrid(*(np.arange(a, b, BLOCK) for a, b in zip(low, high, strict=True)), indexing="ij"), axis=-1
    ).reshape(-1, 3)
    half_block = (BLOCK - 1) / 2.0
    inside, near = _sorted_out(shape, geometry, (blocks + half_block).astype(np.float64), half_block + 0.5)
    ends = np.array(high)
    for start in blocks[inside]:
        stop = np.minimum(start + BLOCK, ends)
        onto[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))] += 1.0
    offsets = np.array(list(product(range(BLOCK), repeat=3)))
    for some in _chunks(blocks[near], BLOCK**3):
        voxels = (some[:, None, :] + offsets).reshape(-1, 3)
        _add_voxels(shape, geometry, voxels[(voxels < ends).all(axis=1)], onto, supersampling)


def _add_voxels(
    shape: Shape, geometry: Geometry, voxels: NDArray[np.int64], onto: NDArray[np.float32], samples: int
) -> None:
    """Add the fractions of the given voxels, (n, 3) indices, each occurring once."""
    inside, near = _sorted_out(shape, geometry, voxels.astype(np.float64), 0.5)
    onto[tuple(voxels[inside].T)] += 1.0
    steps = (np.arange(samples) + 0.5) / samples - 0.5
    inner = np.array(list(product(steps, repeat=3))) @ geometry.affine[:3, :3].T
    for some in _chunks(voxels[near], len(inner)):
        points = (geometry.to_world(some)[:, None, :] + inner).reshape(-1, 3)
        filled = shape.contains(points).reshape(len(some), len(inner))
        onto[tuple(some.T)] += filled.mean(axis=1, dtype=np.float32)


def _sorted_out(
    shape: Shape, geometry: Geometry, centres: Points, half_edge: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which cells (centres in indices, half edge in voxels) lie wholly inside, and which near the surface."""
    corners = np.array(list(product((-half_edge, half_edge), repeat=3))) @ geometry.affine[:3, :3].T
    reach = float(np.linalg.norm(corners, axis=1).max())
    distance = np.concatenate(
        [shape.signed_distance(geometry.to_world(some)) for some in _chunks(centres, 1)] or [np.empty(0)]
    )
    return distance < -reach, np.abs(distance) <= reach


def _chunks(rows: NDArray[Any], weight: int) -> list[NDArray[Any]]:
    step = max(1, CHUNK // weight)
    return [rows[start : start + step] for start in range(0, len(rows), step)]


def _index_box(shape: Shape, geometry: Geometry) -> tuple[list[int], list[int]] | None:
    """The range of indices that can hold part of the shape, or None."""
    low, high = shape.bounds
    ends = np.stack([low, high])
    corners = [[ends[a, 0], ends[b, 1], ends[c, 2]] for a, b, c in product((0, 1), repeat=3)]
    index = geometry.to_index(corners)
    first = np.maximum(np.floor(index.min(axis=0)).astype(int), 0)
    last = np.minimum(np.ceil(index.max(axis=0)).astype(int) + 1, geometry.shape)
    return (first.tolist(), last.tolist()) if (first < last).all() else None

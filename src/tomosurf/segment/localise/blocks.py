"""A coarser image whose voxels are the means of blocks of the finer one's."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.geometry import Geometry


def block_means(
    array: NDArray[Any], geometry: Geometry, block: tuple[int, int, int]
) -> tuple[NDArray[np.float32], Geometry]:
    """Means (float32) over blocks of so many voxels along i, j and k, and their grid; odd ends are left out.

    An axis with fewer voxels than one block becomes one voxel. Extra memory: one plane of the result's blocks.
    """
    edges = tuple(min(edge, count) for edge, count in zip(block, array.shape, strict=True))
    a, b, c = (count // edge for count, edge in zip(array.shape, edges, strict=True))
    means = np.empty((a, b, c), np.float32, order="F")
    for k in range(c):
        slab = array[: a * edges[0], : b * edges[1], k * edges[2] : (k + 1) * edges[2]]
        slab = slab.sum(axis=2, dtype=np.float64).reshape(a, edges[0], b, edges[1])
        means[:, :, k] = slab.sum(axis=(1, 3)) / (edges[0] * edges[1] * edges[2])
    affine = geometry.affine.copy()
    affine[:3, :3] = affine[:3, :3] * edges
    affine[:3, 3] = geometry.to_world([(np.array(edges) - 1) / 2])[0]
    return means, Geometry((a, b, c), affine, geometry.frame_of_reference_uid)

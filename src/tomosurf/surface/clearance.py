"""Keeping a surface's vertices apart from each other, by keeping them off the lattice points."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LATTICE_CLEARANCE = 1e-3
"""Least distance of a vertex from the voxel centres at both ends of its lattice edge, in voxels."""


def keep_clear_of_lattice(field: NDArray[np.float32], clearance: float = LATTICE_CLEARANCE) -> None:
    """Raise ``|field|`` in place where its zero level would come nearer than ``clearance`` to a voxel.

    Where a field is exactly zero on a voxel centre (common with integer intensities), up to six vertices
    fall together there. The mesh is sound as a graph, but every reader that merges equal coordinates, as all
    must for STL, makes it non-manifold. The crossing between p and q lies at ``|p| / (|p| + |q|)``, so a
    floor of ``clearance / (1 - clearance)`` times the neighbour keeps any two vertices about ``clearance``
    voxels apart, moves none farther than that, and changes no sign: no voxel changes sides.

    Args:
        field: (ni, nj, nk) float32, finite, Fortran-ordered; inside is ``>= 0``. Its outermost layer is
            looked at but stays as it is.
        clearance: voxels, in (0, 0.5).
    """
    ratio = np.float32(clearance / (1.0 - clearance))
    flat = field.reshape(-1, order="F")
    low = _at_most(field, ratio * max(abs(field.min()), abs(field.max())))
    steps = [step for stride in field.strides for step in (stride // 4, -stride // 4)]
    while len(low):
        values = flat[low]
        floor = np.zeros_like(values)
        for step in steps:
            neighbours = flat[low + step]
            across = (neighbours >= 0) != (values >= 0)
            np.maximum(floor, np.abs(neighbours) * ratio, out=floor, where=across)
        raised = np.abs(values) < floor
        if not raised.any():
            return
        # A raised value may now be too much for another low one. Each round's floors are smaller by the
        # ratio, so that two or three rounds do.
        flat[low[raised]] = np.where(values[raised] >= 0, floor[raised], -floor[raised])


def _at_most(field: NDArray[np.float32], bound: np.float32) -> NDArray[np.intp]:
    """Flat indices, i fastest, of all but the outermost voxels with a magnitude of at most ``bound``."""
    ni, nj, nk = field.shape
    found = []
    for k in range(1, nk - 1):
        j, i = np.nonzero(np.abs(field.T[k, 1:-1, 1:-1]) <= bound)
        found.append((k * nj + j + 1) * ni + i + 1)
    return np.concatenate(found)

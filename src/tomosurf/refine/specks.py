"""Pieces of a margin that lie between the voxels of the label map."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomosurf import components
from tomosurf.data.geometry import Geometry
from tomosurf.data.segmentation import Margin


def without_specks(margin: Margin, kept: NDArray[np.bool_], grid: Geometry) -> Margin:
    """The margin with its sign flipped in every component that holds no voxel of ``kept``, a mask on ``grid``.

    A network's grid may be finer than the label map's, or lie between its voxels: a piece that no voxel's centre
    meets is in no label map, and yet would be contoured. Components are counted as in
    :mod:`tomosurf.components`. A voxel lies in that component which adds most to what is interpolated at its
    centre. Peak memory: 5 bytes a voxel of the margin.
    """
    numbered = components.label_components(margin.values > 0)
    count = int(numbered.max(initial=0))
    met = np.zeros(count + 1, bool)
    met[0] = True
    for k in np.flatnonzero(kept.any(axis=(0, 1))):
        if met.all():
            return margin
        plane = np.argwhere(kept[:, :, k])
        index = np.column_stack([plane, np.full(len(plane), k)])
        met[_components_at(margin, numbered, margin.geometry.to_index(grid.to_world(index)))] = True
    if met.all():
        return margin
    values = margin.values.copy(order="K")
    specks = ~met[numbered]
    values[specks] *= -1
    return Margin(margin.geometry, values)


def _components_at(margin: Margin, numbered: NDArray[Any], index: NDArray[np.float64]) -> NDArray[Any]:
    """(n,) the component at each place (n, 3) in voxels of the margin; 0 where all around is outside."""
    first = np.floor(index).astype(np.intp)
    beyond = index - first
    most = np.zeros(len(index))
    found = np.zeros(len(index), numbered.dtype)
    limits = np.array(margin.values.shape)
    for corner in product((0, 1), repeat=3):
        node = first + corner
        inside = np.all((node >= 0) & (node < limits), axis=1)
        node = np.where(inside[:, None], node, 0)
        weight = np.where(corner, beyond, 1 - beyond).prod(axis=1)
        adds = np.where(inside, weight * margin.values[tuple(node.T)], 0)
        more = adds > most
        most[more], found[more] = adds[more], numbered[tuple(node[more].T)]
    return found

"""Where labels change along the edges of their lattice: the places that surfaces run through."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

Arrays = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True, slots=True, eq=False)
class Crossings:
    """The lattice edges whose two ends carry different labels.

    Args:
        shape: of the lattice, (ni, nj, nk).
        starts: for each axis, the flat index ``i + ni * (j + nj * k)`` of the lower end of every such edge along
            it, ascending, int64.
    """

    shape: tuple[int, int, int]
    starts: Arrays

    def __len__(self) -> int:
        return sum(map(len, self.starts))


def find_crossings(labels: NDArray[np.integer]) -> Crossings:
    """All edges of the lattice of ``labels`` ((ni, nj, nk), Fortran-ordered) along which the label changes."""
    counts = _count(labels)
    places = np.zeros_like(counts)
    places[1:] = np.cumsum(counts, axis=0)[:-1]
    totals = counts.sum(axis=0)
    starts: Arrays = tuple(np.empty(n, np.int64) for n in totals)  # type: ignore[assignment]
    _fill(labels, places, *starts)
    ni, nj, nk = labels.shape
    return Crossings((ni, nj, nk), starts)


@numba.njit(parallel=True, cache=True)
def _count(labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """(nk, 3) numbers of crossings that start in each plane, along each axis."""
    ni, nj, nk = labels.shape
    counts = np.zeros((nk, 3), np.int64)
    for k in numba.prange(nk):
        along_i = along_j = along_k = 0
        for j in range(nj):
            for i in range(ni):
                label = labels[i, j, k]
                if i + 1 < ni and labels[i + 1, j, k] != label:
                    along_i += 1
                if j + 1 < nj and labels[i, j + 1, k] != label:
                    along_j += 1
                if k + 1 < nk and labels[i, j, k + 1] != label:
                    along_k += 1
        counts[k, 0], counts[k, 1], counts[k, 2] = along_i, along_j, along_k
    return counts


@numba.njit(parallel=True, cache=True)
def _fill(
    labels: NDArray[np.integer],
    places: NDArray[np.int64],
    starts_i: NDArray[np.int64],
    starts_j: NDArray[np.int64],
    starts_k: NDArray[np.int64],
) -> None:
    ni, nj, nk = labels.shape
    for k in numba.prange(nk):
        at_i, at_j, at_k = places[k, 0], places[k, 1], places[k, 2]
        for j in range(nj):
            for i in range(ni):
                label = labels[i, j, k]
                place = i + ni * (j + nj * k)
                if i + 1 < ni and labels[i + 1, j, k] != label:
                    starts_i[at_i] = place
                    at_i += 1
                if j + 1 < nj and labels[i, j + 1, k] != label:
                    starts_j[at_j] = place
                    at_j += 1
                if k + 1 < nk and labels[i, j, k + 1] != label:
                    starts_k[at_k] = place
                    at_k += 1

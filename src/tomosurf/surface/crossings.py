"""Where labels change along the edges of their lattice: the places that surfaces run through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

Arrays = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
Values = NDArray[np.float32]

_CHUNK = 8  # words of eight bytes that are compared together


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

    def by_axis(self, values: Values) -> tuple[Values, Values, Values]:
        """Views of what all crossings have, those along i, j, k in turn, one an axis."""
        first = len(self.starts[0])
        second = first + len(self.starts[1])
        return values[:first], values[first:second], values[second:]

    def rows(self) -> NDArray[np.int64]:
        """(3, nj * nk + 1): where each row's crossings along each axis begin, counted over all of them."""
        ni, nj, nk = self.shape
        rows = np.zeros((3, nj * nk + 1), np.int64)
        before = 0
        for axis, starts in enumerate(self.starts):
            _rows(starts, ni, rows[axis])
            rows[axis] += before
            before += len(starts)
        return rows


def find_crossings(labels: NDArray[np.integer[Any]]) -> Crossings:
    """All edges of the lattice of ``labels`` ((ni, nj, nk), unsigned) along which the label changes.

    Eight bytes are compared at a time. That takes no copy where ``labels`` is Fortran-ordered and a row of it
    fills a whole number of eight bytes.
    """
    ni, nj, nk = labels.shape
    words, lattice = _words(labels)
    mixed = np.zeros((nk, nj, -(-words.shape[2] // _CHUNK)), bool)
    counts = np.zeros((nk, nj, 3), np.int32)
    _count(words, lattice, ni, mixed, counts)
    places = np.zeros(counts.shape, np.int64)
    places.reshape(-1, 3)[1:] = np.cumsum(counts.reshape(-1, 3), axis=0, dtype=np.int64)[:-1]
    i, j, k = (np.empty(n, np.int64) for n in counts.sum(axis=(0, 1), dtype=np.int64))
    _fill(lattice, ni, mixed, places, (i, j, k))
    return Crossings((ni, nj, nk), (i, j, k))


def _words(labels: NDArray[np.integer[Any]]) -> tuple[NDArray[np.uint64], NDArray[np.integer[Any]]]:
    """The labels as (nk, nj, words) of eight bytes, and the same memory as (nk, nj, labels)."""
    by_rows = labels.T
    each = 8 // labels.itemsize
    if not by_rows.flags.c_contiguous or labels.shape[0] % each:
        whole = np.empty((*by_rows.shape[:2], -(-labels.shape[0] // each) * each), labels.dtype)
        whole[:, :, : labels.shape[0]] = by_rows
        whole[:, :, labels.shape[0] :] = by_rows[:, :, -1:]
        by_rows = whole
    return by_rows.view(np.uint64), by_rows


@numba.njit(parallel=True, cache=True)
def _count(
    words: NDArray[np.uint64],
    lattice: NDArray[np.integer[Any]],
    ni: int,
    mixed: NDArray[np.bool_],
    counts: NDArray[np.int32],
) -> None:
    """Which chunks of each row have a crossing, and how many start in each row along each axis."""
    nk, nj, length = words.shape
    bits = np.uint64(64 * length // lattice.shape[2])
    rest = np.uint64(64) - bits
    for k in numba.prange(nk):
        above = words[min(k + 1, nk - 1)]
        for j in range(nj):
            row, beside, over = words[k, j], words[k, min(j + 1, nj - 1)], above[j]
            for chunk in range(mixed.shape[2]):
                low, high = chunk * _CHUNK, min((chunk + 1) * _CHUNK, length)
                difference = np.uint64(0)
                for w in range(low, high):
                    difference |= (row[w] ^ beside[w]) | (row[w] ^ over[w])
                for w in range(low, min(high, length - 1)):
                    difference |= row[w] ^ ((row[w] >> bits) | (row[w + 1] << rest))
                if high == length:  # a row's last label has no next
                    difference |= (row[length - 1] ^ (row[length - 1] >> bits)) << bits
                if difference:
                    mixed[k, j, chunk] = True
                    _count_chunk(lattice, ni, chunk, k, j, counts)


@numba.njit(cache=True)
def _count_chunk(
    lattice: NDArray[np.integer[Any]], ni: int, chunk: int, k: int, j: int, counts: NDArray[np.int32]
) -> None:
    nk, nj, _ = lattice.shape
    each = _CHUNK * 8 // lattice.itemsize
    here, beside, over = lattice[k, j], lattice[k, min(j + 1, nj - 1)], lattice[min(k + 1, nk - 1), j]
    along_i = along_j = along_k = 0
    for i in range(chunk * each, min(chunk * each + each, ni)):
        along_i += here[min(i + 1, ni - 1)] != here[i]
        along_j += beside[i] != here[i]
        along_k += over[i] != here[i]
    counts[k, j, 0] += along_i
    counts[k, j, 1] += along_j
    counts[k, j, 2] += along_k


@numba.njit(parallel=True, cache=True)
def _fill(
    lattice: NDArray[np.integer[Any]],
    ni: int,
    mixed: NDArray[np.bool_],
    places: NDArray[np.int64],
    starts: Arrays,
) -> None:
    nk, nj, _ = lattice.shape
    each = _CHUNK * 8 // lattice.itemsize
    starts_i, starts_j, starts_k = starts
    for k in numba.prange(nk):
        for j in range(nj):
            at_i, at_j, at_k = places[k, j, 0], places[k, j, 1], places[k, j, 2]
            here, beside, over = lattice[k, j], lattice[k, min(j + 1, nj - 1)], lattice[min(k + 1, nk - 1), j]
            for chunk in range(mixed.shape[2]):
                if not mixed[k, j, chunk]:
                    continue
                for i in range(chunk * each, min(chunk * each + each, ni)):
                    place = i + ni * (j + nj * k)
                    if here[min(i + 1, ni - 1)] != here[i]:
                        starts_i[at_i] = place
                        at_i += 1
                    if beside[i] != here[i]:
                        starts_j[at_j] = place
                        at_j += 1
                    if over[i] != here[i]:
                        starts_k[at_k] = place
                        at_k += 1


@numba.njit(cache=True)
def _rows(starts: NDArray[np.int64], ni: int, rows: NDArray[np.int64]) -> None:
    for start in starts:
        rows[start // ni + 1] += 1
    for row in range(1, len(rows)):
        rows[row] += rows[row - 1]

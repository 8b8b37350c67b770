"""Where labels change along the edges of their lattice: the places that surfaces run through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numba
import numpy as np
from numpy.typing import NDArray

Arrays = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
T = TypeVar("T", bound=np.generic)

_CHUNK = 8  # words of eight bytes that are compared together


@dataclass(frozen=True, slots=True, eq=False)
class Crossings:
    """The lattice edges whose two ends carry different labels: those along i, then those along j, then along k.

    Args:
        shape: of the lattice, (ni, nj, nk).
        places: (n,) int64, the flat index ``i + ni * (j + nj * k)`` of the lower end of every such edge, ascending
            for each axis.
        rows: (3, nj * nk + 1) int64: where each row's crossings along each axis begin.
    """

    shape: tuple[int, int, int]
    places: NDArray[np.int64]
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.places)

    @property
    def starts(self) -> Arrays:
        """The flat indices, an axis each."""
        return self.by_axis(self.places)

    def by_axis(self, values: NDArray[T]) -> tuple[NDArray[T], NDArray[T], NDArray[T]]:
        """Views of what all crossings have, one an axis."""
        _, second, third = self.rows[:, 0]
        return values[:second], values[second:third], values[third:]


def find_crossings(labels: NDArray[np.integer[Any]]) -> Crossings:
    """All edges of the lattice of ``labels`` ((ni, nj, nk), unsigned) along which the label changes.

    Eight bytes are compared at a time. That takes no copy where ``labels`` is Fortran-ordered and a row of it
    fills a whole number of eight bytes.
    """
    ni, nj, nk = labels.shape
    words, lattice = _words(labels)
    mixed = np.zeros((nk, nj, -(-words.shape[2] // _CHUNK)), bool)
    counts = np.zeros((3, nk, nj), np.int32)
    _count(words, lattice, ni, mixed, counts)
    ends = np.cumsum(counts, dtype=np.int64).reshape(3, nk * nj)
    rows = np.zeros((3, nk * nj + 1), np.int64)
    rows[:, 1:], rows[1:, 0] = ends, ends[:-1, -1]
    places = np.empty(rows[-1, -1], np.int64)
    _fill(lattice, ni, mixed, rows, places)
    return Crossings((ni, nj, nk), places, rows)


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
    counts[0, k, j] += along_i
    counts[1, k, j] += along_j
    counts[2, k, j] += along_k


@numba.njit(parallel=True, cache=True)
def _fill(
    lattice: NDArray[np.integer[Any]],
    ni: int,
    mixed: NDArray[np.bool_],
    rows: NDArray[np.int64],
    places: NDArray[np.int64],
) -> None:
    nk, nj, _ = lattice.shape
    each = _CHUNK * 8 // lattice.itemsize
    for k in numba.prange(nk):
        for j in range(nj):
            at_i, at_j, at_k = rows[0, j + nj * k], rows[1, j + nj * k], rows[2, j + nj * k]
            here, beside, over = lattice[k, j], lattice[k, min(j + 1, nj - 1)], lattice[min(k + 1, nk - 1), j]
            for chunk in range(mixed.shape[2]):
                if not mixed[k, j, chunk]:
                    continue
                for i in range(chunk * each, min(chunk * each + each, ni)):
                    place = i + ni * (j + nj * k)
                    if here[min(i + 1, ni - 1)] != here[i]:
                        places[at_i] = place
                        at_i += 1
                    if beside[i] != here[i]:
                        places[at_j] = place
                        at_j += 1
                    if over[i] != here[i]:
                        places[at_k] = place
                        at_k += 1

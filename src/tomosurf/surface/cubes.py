"""The cubes of eight lattice points: which have a crossing, row by row, and what labels their corners have."""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from tomosurf.surface.junctions import Ints, Label


class Rows(NamedTuple):
    """What kernels see: labels as (nk, nj, ni), all crossings, and where their rows begin."""

    labels: NDArray[np.integer[Any]]
    starts: Ints
    rows: Ints


@numba.njit(cache=True)
def mark_row(lattice: Rows, j: int, k: int, edges: Ints, marks: NDArray[np.bool_]) -> tuple[int, int]:
    """Mark the cubes of a row that have a crossing, note theirs in ``edges``; all lie between the two returned."""
    nj = lattice.labels.shape[1]
    low, high = lattice.labels.shape[2], 0
    for b in range(2):
        for span in (
            _note(lattice, 0, j + nj * (k + b), 2 * b, edges, marks),
            _note(lattice, 0, j + 1 + nj * (k + b), 2 * b + 1, edges, marks),
            _note(lattice, 1, j + nj * (k + b), 4 + 2 * b, edges, marks),
            _note(lattice, 2, j + b + nj * k, 8 + 2 * b, edges, marks),
        ):
            low, high = min(low, span[0]), max(high, span[1])
    return low, high


@numba.njit(cache=True)
def _note(
    lattice: Rows, axis: int, row: int, edge: int, edges: Ints, marks: NDArray[np.bool_]
) -> tuple[int, int]:
    """One row of crossings; those along j and k belong to the cube before them too, as its next edge."""
    starts, ni = lattice.starts, lattice.labels.shape[2]
    first, stop = lattice.rows[axis, row], lattice.rows[axis, row + 1]
    if first == stop:
        return ni, 0
    for n in range(first, stop):
        i = starts[n] - row * ni
        edges[i, edge] = n
        marks[i] = True
        if axis > 0:
            edges[i - 1, edge + 1] = n
            marks[i - 1] = True
    return starts[first] - row * ni - int(axis > 0), starts[stop - 1] - row * ni + 1


@numba.njit(cache=True)
def pattern_of(
    labels: NDArray[np.integer[Any]], i: int, j: int, k: int, own: Ints
) -> tuple[Label, Label, int]:
    """The labels of a cube's corners go to ``own``; returns what :func:`two_sided` does."""
    for c in range(2):
        for b in range(2):
            own[4 * c + 2 * b] = labels[k + c, j + b, i]
            own[4 * c + 2 * b + 1] = labels[k + c, j + b, i + 1]
    found: tuple[Label, Label, int] = two_sided(own)
    return found


@numba.njit(cache=True)
def two_sided(own: Ints) -> tuple[Label, Label, int]:
    """The smaller and larger label of a cube and which corners have the larger; -1 for three labels or more."""
    small, large = own[0], own[0]
    for n in range(1, 8):
        small, large = min(small, own[n]), max(large, own[n])
    pattern: int = 0
    for n in range(8):
        if own[n] == large:
            pattern |= 1 << n
        elif own[n] != small:
            return small, large, -1
    if small == large:
        pattern = 0
    return small, large, pattern

"""Where boundaries cross the edges of a lattice, by the margins at both ends."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from tomosurf.surface.crossings import Crossings
from tomosurf.surface.lattice import Lattice, Steps

Ints = NDArray[np.int64]

CLEARANCE = 1e-3
"""Least distance of a vertex from the lattice points at both ends of its edge, in steps.

Where a field is exactly zero on a voxel centre (common with integer intensities) up to six vertices would fall
together there. The mesh would be sound as a graph, but every reader that merges equal coordinates, as all must for
STL, would make it non-manifold.
"""


class Pulls(NamedTuple):
    """For each crossing, how clearly each end has its own label and not the other end's; float32, NaN unknown."""

    lower: NDArray[np.float32]
    upper: NDArray[np.float32]
    slope: NDArray[np.float32]
    """Change of the margin per mm along the boundary's normal."""

    def fractions(self) -> NDArray[np.float32]:
        """How far along its edge each crossing lies: where both pulls balance; half way where one is unknown."""
        with np.errstate(invalid="ignore"):
            along = self.lower / (self.lower + self.upper)
        along = np.clip(along, np.float32(CLEARANCE), np.float32(1 - CLEARANCE))
        along[np.isnan(along)] = 0.5
        return along


class _Field(NamedTuple):
    """One label's margin: where it begins on a lattice of ``shape``, and the inverse of that one's axes in mm."""

    label: int
    shape: Steps
    start: Steps
    values: NDArray[np.float32]
    inverse: NDArray[np.float64]


def pulls_of(lattice: Lattice, crossings: Crossings) -> Pulls:
    """How the margins at both ends of each crossing pull, and how steep they are.

    An end with label A pulls against B by minus B's margin there, which is A's score less B's wherever margins are
    scores less the best other one; by its own margin against background, and where B's is above zero too (what lies
    on top ends where its own margin does). A background end beyond the other's margin isn't known.
    """
    pulls = Pulls(*(np.full(len(crossings), np.nan, np.float32) for _ in range(3)))
    inverse = np.linalg.inv(lattice.geometry.affine[:3, :3]).astype(np.float64)
    plane = lattice.labels.shape[0] * lattice.labels.shape[1]
    flat, shape = lattice.labels.reshape(-1, order="F"), lattice.labels.shape
    for kernel in (_own, _rival):
        for label, (start, values) in lattice.margins.items():
            first = 0
            for axis, starts in enumerate(crossings.starts):
                ends = plane * np.array([start[2] - 1, start[2] + values.shape[2]])
                low, high = np.searchsorted(starts, ends)
                part = Pulls(*(all_[first + low : first + high] for all_ in pulls))
                kernel(flat, starts[low:high], axis, _Field(label, shape, start, values, inverse), part)
                first += len(starts)
    return pulls


@numba.njit(cache=True)
def _own(labels: NDArray[np.integer[Any]], starts: Ints, axis: int, field: _Field, pulls: Pulls) -> None:
    """What a margin says at its own label's ends, and opposite them where background lies."""
    onward = _onward(field.shape, axis)
    for n in range(len(starts)):
        below, above = labels[starts[n]], labels[starts[n] + onward]
        if field.label not in (below, above):
            continue
        lower, upper = _ends(field.shape, starts[n], axis)
        if below == field.label:
            pulls.lower[n] = _at(field, lower)
            if above == 0:
                pulls.upper[n] = -_at(field, upper)
        else:
            pulls.upper[n] = _at(field, upper)
            if below == 0:
                pulls.lower[n] = -_at(field, lower)
        if max(below, above) == field.label:
            pulls.slope[n] = _slope(field, lower, upper)


@numba.njit(cache=True)
def _rival(labels: NDArray[np.integer[Any]], starts: Ints, axis: int, field: _Field, pulls: Pulls) -> None:
    """What a margin says where another structure's label lies opposite."""
    onward = _onward(field.shape, axis)
    for n in range(len(starts)):
        below, above = labels[starts[n]], labels[starts[n] + onward]
        if below == 0 or above == 0 or field.label not in (below, above):
            continue
        lower, upper = _ends(field.shape, starts[n], axis)
        if below == field.label:
            rival = _at(field, upper)
            if rival <= 0:
                pulls.upper[n] = -rival
        else:
            rival = _at(field, lower)
            if rival <= 0:
                pulls.lower[n] = -rival


@numba.njit(cache=True)
def _onward(shape: Steps, axis: int) -> int:
    """From a lattice point to the next along an axis, in a flat list of all."""
    return (1, shape[0], shape[0] * shape[1])[axis]


@numba.njit(cache=True)
def _ends(shape: Steps, start: int, axis: int) -> tuple[Steps, Steps]:
    ni, nj = shape[0], shape[1]
    row = start // ni
    i, j, k = start - row * ni, row % nj, row // nj
    return (i, j, k), (i + (axis == 0), j + (axis == 1), k + (axis == 2))


@numba.njit(cache=True)
def _at(field: _Field, place: Steps) -> float:
    """A margin's value at a lattice point; NaN beyond it."""
    i, j, k = place[0] - field.start[0], place[1] - field.start[1], place[2] - field.start[2]
    ni, nj, nk = field.values.shape
    if i < 0 or j < 0 or k < 0 or i >= ni or j >= nj or k >= nk:
        return math.nan
    return float(field.values[i, j, k])


@numba.njit(cache=True)
def _slope(field: _Field, lower: Steps, upper: Steps) -> float:
    """Length of the margin's gradient in the middle of an edge, per mm."""
    at_lower, at_upper = _steps(field, lower), _steps(field, upper)
    i, j, k = at_lower[0] + at_upper[0], at_lower[1] + at_upper[1], at_lower[2] + at_upper[2]
    total = 0.0
    for along in range(3):
        part = i * field.inverse[0, along] + j * field.inverse[1, along] + k * field.inverse[2, along]
        total += part * part
    return math.sqrt(total)


@numba.njit(cache=True)
def _steps(field: _Field, place: Steps) -> tuple[float, float, float]:
    """Half the margin's change per voxel along each axis at the node of it that is nearest to a lattice point."""
    values = field.values
    ni, nj, nk = values.shape
    i = min(max(place[0] - field.start[0], 0), ni - 1)
    j = min(max(place[1] - field.start[1], 0), nj - 1)
    k = min(max(place[2] - field.start[2], 0), nk - 1)
    before, after = max(i - 1, 0), min(i + 1, ni - 1)
    along_i = (values[after, j, k] - values[before, j, k]) / max(after - before, 1) / 2
    before, after = max(j - 1, 0), min(j + 1, nj - 1)
    along_j = (values[i, after, k] - values[i, before, k]) / max(after - before, 1) / 2
    before, after = max(k - 1, 0), min(k + 1, nk - 1)
    along_k = (values[i, j, after] - values[i, j, before]) / max(after - before, 1) / 2
    return along_i, along_j, along_k

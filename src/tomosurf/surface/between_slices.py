"""Margins between thick slices: places that no slice shows, from slices on both sides, without an extremum of ours.

Where one axis is much coarser than both others, straight lines between its slices cut every curve short. A voxel is
split into thirds along that axis, and its margin goes on through them as a cubic that keeps the slices' own values
and rises and falls only where they do.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from tomosurf.data.geometry import Geometry
from tomosurf.data.segmentation import Margin
from tomosurf.surface.lattice import Lattice, Steps

THICK = 1.5
"""How many times coarser than both others an axis is at least, for margins to be refined along it."""

PARTS = 3
"""Parts that a thick voxel is split into: an odd number keeps its centre; five and seven are hardly truer."""

Values = NDArray[np.float32]


def thick_axis(grid: Geometry) -> int | None:
    """The axis that is ``THICK`` times coarser than both others; None where none is."""
    coarse = int(np.argmax(grid.spacing))
    others = [step for axis, step in enumerate(grid.spacing) if axis != coarse]
    return coarse if grid.spacing[coarse] >= THICK * max(others) else None


def refined_margin(margin: Margin) -> Margin:
    """``margin`` with its voxels split into thirds along its thick axis; the same where no axis is thick."""
    axis = thick_axis(margin.geometry)
    if axis is None:
        return margin
    values = split(margin.values, axis)
    return Margin(_thirds(margin.geometry, axis, -1 / PARTS, values.shape), values)


def refined_lattice(lattice: Lattice) -> Lattice:
    """``lattice`` with its voxels split into thirds along its thick axis; the same for a mask, or if none is thick.

    What was a voxel's centre keeps its label and margins. Between two slices of one label lies that label; between
    two labels, whose margin is above zero. Where both are, the one on top (the other's margin is above zero at its
    slice) goes on to its own end, else the larger margin has it; where neither is, a third label beneath comes to
    light, or the larger of two structures' margins has it: no background appears between structures that touch.
    Pieces that meet across an edge between two slices, and so don't count as one, don't grow together.

    Takes 12 bytes a voxel of each margin and three times the labels.
    """
    axis = thick_axis(lattice.geometry) if lattice.margins else None
    if axis is None:
        return lattice
    ends = lattice.last[axis]
    margins = {}
    for label, (start, values) in lattice.margins.items():
        margins[label] = (_at_axis(start, axis, PARTS * (start[axis] - 1) + 1), split(values, axis))
    labels = _repeated(lattice.labels, axis, ends)
    geometry = _thirds(lattice.geometry, axis, 1 / PARTS, labels.shape)
    last = _at_axis(lattice.last, axis, PARTS * ends)
    refined = replace(lattice, geometry=geometry, labels=labels, last=last, margins=margins)
    changes = _changes(lattice, axis)
    _relabel(refined, changes, axis)
    _keep_apart(refined, changes, axis)
    return refined


def split(values: Values, axis: int) -> Values:
    """``values`` (ni, nj, nk) with three in the place of each along ``axis``, Fortran-ordered float32.

    The middle one of three is the value itself. Those between two values lie on the cubic whose slopes at both are
    fourth-order differences, as far as they keep it monotone: no extremum appears. What belongs to ``-values`` is
    minus what belongs to ``values``, to the bit. Beyond the first and last value nothing changes.

    Reference: Hyman 1983, Accurate monotonicity preserving cubic interpolation, SIAM J Sci Stat Comput 4:645.
    """
    shape = _at_axis(values.shape, axis, PARTS * values.shape[axis])
    result = np.empty(shape, np.float32, order="F")
    _fill(np.moveaxis(values, axis, 0), np.moveaxis(result, axis, 0))
    return result


@numba.njit(cache=True)
def _fill(planes: Values, parts: Values) -> None:
    """Three planes of ``parts`` for each of ``planes``."""
    count, ni, nj = planes.shape
    for k in range(count):
        for j in range(nj):
            for i in range(ni):
                parts[PARTS * k + 1, i, j] = planes[k, i, j]
                if k == 0:
                    parts[0, i, j] = planes[k, i, j]
                if k == count - 1:
                    parts[PARTS * k + 2, i, j] = planes[k, i, j]
                    continue
                here, there = np.float64(planes[k, i, j]), np.float64(planes[k + 1, i, j])
                before, after = _slope(planes, k, i, j), _slope(planes, k + 1, i, j)
                low, high = min(here, there), max(here, there)
                near = ((20 * here + 7 * there) + (4 * before - 2 * after)) / 27  # Hermite's, at one third
                far = ((20 * there + 7 * here) - (4 * after - 2 * before)) / 27
                parts[PARTS * k + 2, i, j] = min(max(near, low), high)
                parts[PARTS * k + 3, i, j] = min(max(far, low), high)


@numba.njit(cache=True, inline="always")
def _step(planes: Values, n: int, i: int, j: int) -> float:
    """Change from plane ``n`` to the next; before the first step and after the last one, steps are mirrored."""
    last = len(planes) - 2
    n = abs(n)
    n = min(max(2 * last - n, 0) if n > last else n, last)
    return np.float64(planes[n + 1, i, j]) - np.float64(planes[n, i, j])


@numba.njit(cache=True)
def _slope(planes: Values, k: int, i: int, j: int) -> float:
    """Change a step at plane ``k``, no steeper than stays monotone."""
    before, after = _step(planes, k - 1, i, j), _step(planes, k, i, j)
    slope = (7 * (before + after) - (_step(planes, k - 2, i, j) + _step(planes, k + 1, i, j))) / 12
    if before > 0 and after > 0:
        return float(min(max(slope, 0.0), 3 * min(before, after)))
    if before < 0 and after < 0:
        return float(max(min(slope, 0.0), 3 * max(before, after)))
    return 0.0


class _Changes(NamedTuple):
    """Where labels differ from one slice to the next."""

    nodes: NDArray[np.int64]
    """(m, 3): on the refined lattice, the lower slice's place."""
    sides: NDArray[np.integer[Any]]
    """(m, 2) labels at the lower and the upper slice."""


class _Said(NamedTuple):
    """What the margins say at both slices and at the two places between them."""

    own: NDArray[np.float32]
    """(m, 4, 2): of the lower and the upper slice's label; NaN for background, or where unknown."""
    best: NDArray[np.float32]
    """(m, 4): the largest above zero of all others."""
    whose: NDArray[np.integer[Any]]
    """(m, 4): its label, or 0."""


def _changes(lattice: Lattice, axis: int) -> _Changes:
    planes = np.moveaxis(lattice.labels, axis, 0)
    nodes, sides = [np.empty((0, 3), np.int64)], [np.empty((0, 2), lattice.labels.dtype)]
    for k in range(1, lattice.last[axis]):
        one, other = np.nonzero(planes[k] != planes[k + 1])
        nodes.append(np.insert(np.column_stack([one, other]), axis, PARTS * k - 1, axis=1))
        sides.append(np.column_stack([planes[k][one, other], planes[k + 1][one, other]]))
    return _Changes(np.concatenate(nodes), np.concatenate(sides))


def _relabel(lattice: Lattice, changes: _Changes, axis: int) -> None:
    """Label the two places of a refined lattice between slices of different labels, margins in agreement."""
    count = len(changes.nodes)
    said = _Said(
        np.full((count, PARTS + 1, 2), np.nan, np.float32),
        np.zeros((count, PARTS + 1), np.float32),
        np.zeros((count, PARTS + 1), lattice.labels.dtype),
    )
    for label, (start, values) in lattice.margins.items():
        _look(label, np.array(start), values, axis, changes, said)
    known = np.isfinite(said.own)
    on_top = (said.own[:, PARTS, 0] > 0, said.own[:, 0, 1] > 0)  # the upper one, the lower one
    for part in range(1, PARTS):
        lower, upper = said.own[:, part, 0], said.own[:, part, 1]
        nearest = np.full(count, part < PARTS / 2)
        larger = np.where(known[:, part].all(axis=1) & (lower != upper), lower > upper, nearest)
        ordered = np.where(on_top[0] == on_top[1], np.where(on_top[0], nearest, larger), on_top[1])
        inside = (lower > 0, upper > 0)
        wins = np.where(inside[0] & inside[1], ordered, np.where(inside[0] | inside[1], inside[0], larger))
        labels = np.where(wins, changes.sides[:, 0], changes.sides[:, 1])
        none = ~(inside[0] | inside[1])
        beneath = none & ((said.whose[:, part] > 0) | (changes.sides == 0).any(axis=1))
        labels[beneath] = said.whose[beneath, part]
        places = changes.nodes.copy()
        places[:, axis] += part
        lattice.labels[tuple(places.T)] = labels
        _agree(
            lattice, places, changes.sides, said.own[:, part], none & ~beneath & known[:, part].all(axis=1)
        )


def _agree(
    lattice: Lattice,
    places: NDArray[np.int64],
    sides: NDArray[np.integer[Any]],
    own: NDArray[np.float32],
    chosen: NDArray[np.bool_],
) -> None:
    """Where two structures touch and neither's margin is above zero, let both say by how much one is ahead."""
    ahead = (own[:, 0] - own[:, 1]) / 2
    for side, sign in ((0, 1), (1, -1)):
        for label in np.unique(sides[chosen, side]).tolist():
            mine = chosen & (sides[:, side] == label)
            start, values = lattice.margins[label]
            values[tuple((places[mine] - start).T)] = sign * ahead[mine]


def _keep_apart(lattice: Lattice, changes: _Changes, axis: int) -> None:
    """Take back what lets a structure that ends above one slice meet what begins below the next one beside it."""
    first, second = (np.eye(3, dtype=np.int64)[other] for other in range(3) if other != axis)
    beside = np.stack([first, -first, second, -second])
    met = np.array(_meetings(lattice.labels, changes, axis, beside), np.int64).reshape(-1, 5)
    for label in np.unique(met[:, 3:]).tolist():
        if not label:
            continue
        start, values = lattice.margins[label]
        for column, sign in ((3, -1), (4, 1)):
            there = met[met[:, column] == label, :3] - start
            there = there[((there >= 0) & (there < values.shape)).all(axis=1)]
            size = np.abs(values[tuple(there.T)])
            values[tuple(there.T)] = sign * np.maximum(size, np.finfo(np.float32).tiny)


@numba.njit(cache=True)
def _meetings(
    labels: NDArray[np.integer[Any]], changes: _Changes, axis: int, beside: NDArray[np.int64]
) -> list[tuple[int, int, int, int, int]]:
    """Relabel the places at which columns of one label meet between slices but at neither: (i, j, k, from, to)."""
    up = (int(axis == 0), int(axis == 1), int(axis == 2))
    found = [(0, 0, 0, 0, 0) for _ in range(0)]
    for n in range(len(changes.nodes)):
        i, j, k = changes.nodes[n]
        lower, upper = changes.sides[n]
        for way in range(4):
            a, b, c = i + beside[way, 0], j + beside[way, 1], k + beside[way, 2]
            over = labels[a + PARTS * up[0], b + PARTS * up[1], c + PARTS * up[2]]
            under = labels[a, b, c]
            if lower == 0 or over != lower or under == lower:
                continue
            for part in range(1, PARTS):
                x, y, z = i + part * up[0], j + part * up[1], k + part * up[2]
                p, q, r = a + part * up[0], b + part * up[1], c + part * up[2]
                if labels[x, y, z] != lower or labels[p, q, r] != lower:
                    continue
                if part > PARTS // 2:
                    labels[x, y, z] = upper
                    found.append((x, y, z, int(lower), int(upper)))
                else:
                    labels[p, q, r] = under
                    found.append((p, q, r, int(lower), int(under)))
    return found


@numba.njit(cache=True)
def _look(
    label: int, start: NDArray[np.int64], values: Values, axis: int, changes: _Changes, said: _Said
) -> None:
    """Add what one label's margin says of each change."""
    for n in range(len(changes.nodes)):
        for part in range(PARTS + 1):
            i, j, k = changes.nodes[n] - start
            i, j, k = i + part * (axis == 0), j + part * (axis == 1), k + part * (axis == 2)
            if min(i, j, k) < 0 or i >= values.shape[0] or j >= values.shape[1] or k >= values.shape[2]:
                continue
            value = values[i, j, k]
            if label == changes.sides[n, 0]:
                said.own[n, part, 0] = value
            elif label == changes.sides[n, 1]:
                said.own[n, part, 1] = value
            elif value > said.best[n, part]:
                said.best[n, part] = value
                said.whose[n, part] = label


def _repeated(labels: NDArray[Any], axis: int, count: int) -> NDArray[Any]:
    """Labels with each of the ``count`` voxels along ``axis`` three times, and one of background around them."""
    shape = [*labels.shape]
    shape[axis] = PARTS * count + 2
    each = 8 // labels.itemsize
    shape[0] = -(-shape[0] // each) * each
    result = np.zeros(shape, labels.dtype, order="F")
    planes, parts = np.moveaxis(labels, axis, 0), np.moveaxis(result, axis, 0)
    for part in range(PARTS):
        parts[1 + part : 1 + part + PARTS * count : PARTS] = planes[1 : count + 1]
    return result


def _thirds(grid: Geometry, axis: int, first: float, shape: tuple[int, ...]) -> Geometry:
    """The grid of thirds along ``axis`` that begins at ``first``, in ``grid``'s steps."""
    place = np.zeros(3)
    place[axis] = first
    affine = grid.affine.copy()
    affine[:3, 3] = grid.to_world([place])[0]
    affine[:3, axis] /= PARTS
    i, j, k = shape
    return Geometry((i, j, k), affine, grid.frame_of_reference_uid)


def _at_axis(steps: tuple[int, ...], axis: int, value: int) -> Steps:
    """``steps`` with ``value`` in the place of ``axis``."""
    i, j, k = (value if n == axis else old for n, old in enumerate(steps))
    return i, j, k

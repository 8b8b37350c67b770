"""Straightening columns' heights by their bends: how far each lies off the middle between its neighbours.

Columns that have a part in each other's bends hang together in groups, most of them small. A group goes through all
its steps while it is in the processor's cache, and what a step reads of it lies side by side.

References: Beck and Teboulle 2009, A fast iterative shrinkage-thresholding algorithm for linear inverse problems,
SIAM J. Imaging Sci. 2 (the momentum); Tarjan 1975, Efficiency of a good but not linear set union algorithm,
J. ACM 22 (the groups; with path halving).
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from tomosurf.surface.fractions import CLEARANCE

HALF = np.float32(0.5)
ROOM = np.float32(0.5 - CLEARANCE)
"""Farthest from its crossing's middle that a height may lie."""

Values = NDArray[np.float32]
Links = NDArray[np.int32]
Flags = NDArray[np.bool_]
Places = NDArray[np.int64]
Rows = NDArray[np.uint32]


class Stride(NamedTuple):
    """Which columns a stride joins, of all n of them."""

    onward: Links
    """(4, n), as in :class:`~tomosurf.surface.columns.Columns`."""
    moves: Flags
    """(2, n): which columns move for the sake of bends along each of the two other axes, their own or beside."""
    bent: Flags
    """(2, n): which bends along each of them count; the wall goes on both ways there."""


class Groups(NamedTuple):
    """Columns that have a part in each other's bends, group by group."""

    order: Links
    """(m,) which column each is; those that have no part in any are left out."""
    number: Links
    """(n + 1,) the places of all columns there; m for those left out, and at the end, for where a wall ends."""
    firsts: Places
    """(g + 1,) where each group begins."""


class Packed(NamedTuple):
    """A stride as a step reads it: columns by their places in the groups' order, bends by twice that plus the axis.

    Unsigned: compiled code need not look whether places count from the end.
    """

    bends: Rows
    """(b, 3) each bend, and its column's neighbours back and forth."""
    single: Rows
    """(s, 4) a column that moves for the sake of one axis, its own bend along it, and those back and forth."""
    double: Rows
    """(d, 7) one that moves for both, and the three bends along each."""
    single_stiff: Values
    """(s,) three times how stiff each is: a bend holds three heights, so that a step never goes too far."""
    double_stiff: Values
    """(d,)"""
    firsts: Places
    """(3, g + 1) where each group begins in the three lists."""


def groups_of(strides: tuple[Stride, ...]) -> Groups:
    """Groups that no bend of any of the strides joins."""
    parents = np.arange(strides[0].onward.shape[1], dtype=np.int32)
    for stride in strides:
        _unite(stride, parents)
    order, firsts = _in_order(parents)
    number = np.full(len(parents) + 1, len(order), np.int32)
    number[order] = np.arange(len(order), dtype=np.int32)
    return Groups(order, number, firsts)


@numba.njit(cache=True, inline="always")
def _root(parents: Links, c: int) -> int:
    while parents[c] != c:
        parents[c] = parents[parents[c]]
        c = parents[c]
    return c


@numba.njit(cache=True)
def _unite(stride: Stride, parents: Links) -> None:
    """Put columns into one group with those that they depend on; its first column stands for it."""
    onward, moves, bent = stride.onward, stride.moves, stride.bent
    for w in range(2):
        for c in range(onward.shape[1]):
            if not (moves[w, c] or bent[w, c]):
                continue
            for way in range(2 * w, 2 * w + 2):
                n = onward[way, c]
                if n >= 0 and (bent[w, c] or bent[w, n]):
                    one, other = _root(parents, c), _root(parents, n)
                    parents[max(one, other)] = min(one, other)


@numba.njit(cache=True)
def _in_order(parents: Links) -> tuple[Links, Places]:
    sizes = np.zeros(len(parents), np.int32)
    for c in range(len(parents)):
        parents[c] = parents[parents[c]]  # whoever stands for a column comes before it
        sizes[parents[c]] += 1
    heads = np.flatnonzero(sizes > 1)
    firsts = np.zeros(len(heads) + 1, np.int64)
    firsts[1:] = np.cumsum(sizes[heads])
    order = np.empty(firsts[-1], np.int32)
    places = np.full(len(parents), -1, np.int32)
    places[heads] = firsts[:-1]
    for c in range(len(parents)):
        at = places[parents[c]]
        if at >= 0:
            order[at] = c
            places[parents[c]] += 1
    return order, firsts


def packed(stride: Stride, groups: Groups) -> Packed:
    """A stride for :func:`relax`."""
    b, d = int(stride.bent.sum()), int(stride.moves.all(axis=0).sum())
    s = int(stride.moves.sum()) - 2 * d
    made = Packed(
        np.empty((b, 3), np.uint32),
        np.empty((s, 4), np.uint32),
        np.empty((d, 7), np.uint32),
        np.empty(s, np.float32),
        np.empty(d, np.float32),
        np.zeros((3, len(groups.firsts)), np.int64),
    )
    _pack(stride, groups, made)
    return made


@numba.njit(cache=True)
def beside(onward: Links, bent: Flags, w: int, c: int, way: int) -> int:
    """The column one stride from ``c``, if its bend counts and ``c`` has a part in it; else -1.

    Not all strides lead back.
    """
    n = onward[way, c]
    if n < 0:
        return -1
    part = bent[w, n] & (onward[way ^ 1, n] == c)
    found: int = n * part - (1 - part)  # a branch here couldn't be foreseen
    return found


@numba.njit(cache=True)
def _pack(stride: Stride, groups: Groups, made: Packed) -> None:
    onward, moves, bent = stride.onward, stride.moves, stride.bent
    order, number, firsts = groups.order, groups.number, groups.firsts
    bends, single, double = made.bends, made.single, made.double
    b = s = d = 0
    for group in range(len(firsts) - 1):
        for at in range(firsts[group], firsts[group + 1]):
            c = order[at]
            both = moves[0, c] and moves[1, c]
            stiff = np.float32(0)
            for w in range(2):
                own = 2 * at + w
                if bent[w, c]:
                    bends[b, 0] = own
                    bends[b, 1], bends[b, 2] = number[onward[2 * w, c]], number[onward[2 * w + 1, c]]
                    b += 1
                if not moves[w, c]:
                    continue
                back, forth = beside(onward, bent, w, c, 2 * w), beside(onward, bent, w, c, 2 * w + 1)
                stiff += np.float32(3) * np.float32(bent[w, c])
                stiff += np.float32(0.75) * np.float32((back >= 0) + (forth >= 0))
                if both:
                    double[d, 1 + 3 * w] = own
                    double[d, 2 + 3 * w], double[d, 3 + 3 * w] = 2 * number[back] + w, 2 * number[forth] + w
                else:
                    single[s, 1] = own
                    single[s, 2], single[s, 3] = 2 * number[back] + w, 2 * number[forth] + w
            if both:
                double[d, 0] = at
                made.double_stiff[d] = stiff
                d += 1
            elif stiff > 0:
                single[s, 0] = at
                made.single_stiff[s] = stiff
                s += 1
        made.firsts[0, group + 1], made.firsts[1, group + 1], made.firsts[2, group + 1] = b, s, d


@numba.njit(parallel=True, cache=True)
def relax(
    heights: Values, middles: Values, packed: Packed, groups: Groups, rounds: int, nearly: np.float32
) -> None:
    """Move heights, in place, down the slope of the sum of squared bends, with momentum.

    None leaves the half voxel on either side of its crossing's middle.

    Args:
        heights, middles: (m,) float32 in indices, in the groups' order.
        rounds: steps that are made.
        nearly: above 0, bends count the less the larger they are, and not at all from there on.
    """
    ahead, bends = heights.copy(), np.zeros(2 * len(heights) + 2, np.float32)
    for group in numba.prange(len(groups.firsts) - 1):
        b, s, d = packed.firsts[:, group]
        b_end, s_end, d_end = packed.firsts[:, group + 1]
        for done in range(rounds):
            _bend(packed.bends[b:b_end], ahead, bends, nearly)
            momentum = np.float32(done / (done + 3))
            for n in range(s, s_end):
                slope = _pull(bends, packed.single, n, 1)
                _advance(
                    heights, ahead, middles, packed.single[n, 0], slope / packed.single_stiff[n], momentum
                )
            for n in range(d, d_end):
                slope = _pull(bends, packed.double, n, 1) + _pull(bends, packed.double, n, 4)
                _advance(
                    heights, ahead, middles, packed.double[n, 0], slope / packed.double_stiff[n], momentum
                )


@numba.njit(cache=True)
def _pull(bends: Values, places: Rows, n: int, first: int) -> np.float32:
    """What three bends say, from a row's place on: a column's own less half of those beside."""
    # both sides are added first, so that turning an axis round changes no digit
    beside_ = bends[places[n, first + 1]] + bends[places[n, first + 2]]
    pull: np.float32 = bends[places[n, first]] - HALF * beside_
    return pull


@numba.njit(cache=True)
def _bend(places: Rows, heights: Values, bends: Values, nearly: np.float32) -> None:
    """How far heights lie off the middle between their neighbours."""
    for n in range(len(places)):
        bend = heights[places[n, 0] >> 1] - HALF * (heights[places[n, 1]] + heights[places[n, 2]])
        if nearly > 0:
            off = bend / nearly
            share = max(np.float32(0), np.float32(1) - off * off)
            bend *= share * share
        bends[places[n, 0]] = bend


@numba.njit(cache=True)
def _advance(
    now: Values, ahead: Values, middles: Values, c: int, down: np.float32, momentum: np.float32
) -> None:
    """Move a column's height ``down``, within its half voxel, and look ahead from there."""
    before = now[c]
    moved = min(max(ahead[c] - down, middles[c] - ROOM), middles[c] + ROOM)
    now[c], ahead[c] = moved, moved + momentum * (moved - before)

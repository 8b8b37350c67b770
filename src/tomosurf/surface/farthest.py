"""The point of one mesh that is farthest from another, by splitting triangles until nothing can lie farther."""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

from tomosurf.surface.tree import Corners, Tree, nearest, triangle_distance
from tomosurf.surface.vectors import normal_of

PIECES = 512
"""Pieces of one triangle that may wait; what comes on top is bounded by its size instead of being split."""
_THIN = 1e-9
"""Millimetres by which a corner may lie beyond a plane and still count as on it."""


def farthest(corners: Corners, goal: Tree, reached: float, share: float, gap: float) -> tuple[float, float]:
    """The largest distance of any point of ``corners`` from ``goal``: one that is reached, and a bound.

    The distance from one triangle of the goal is a convex function, so that over a piece it is largest in a corner
    of the piece, and the nearest triangle of all is at most that far. A piece for which that isn't enough is cut
    where it leaves the prism over the goal's triangle, else halved.

    Args:
        corners: the triangles to look at, (m, 3, 3).
        goal: the tree of the other mesh.
        reached: a distance that is known to be reached, in mm; the larger, the faster.
        share, gap: the bound may lie ``share`` of the distance and ``gap`` mm above it.
    """
    lower, upper, _ = _search(corners, goal, reached, share, gap, np.zeros(0, np.uint8))
    return lower, max(lower, upper)


def beyond(corners: Corners, goal: Tree, bound: float, gap: float) -> NDArray[np.bool_]:
    """Which of the triangles have a point that may lie farther than ``bound`` mm from ``goal``.

    A triangle that isn't marked lies within ``bound`` with all its points; one that is marked has a point farther
    away than ``bound - gap``.
    """
    marks = np.zeros(len(corners), np.uint8)
    _search(corners, goal, max(bound - gap, 0.0), 0.0, min(gap, bound), marks)
    return marks.view(np.bool_)


@numba.njit(cache=True)
def _search(
    corners: Corners, goal: Tree, reached: float, share: float, gap: float, marks: NDArray[np.uint8]
) -> tuple[float, float, int]:
    """Both bounds; with ``marks``, the lower one stays and what lies beyond it is marked instead."""
    pieces = np.empty((PIECES + 4, 3, 3))
    lower, upper, hint = reached, reached, 0
    for n in range(len(corners)):
        if _reach(corners[n], goal, hint) <= lower * lower:
            continue
        pieces[0] = corners[n]
        top = 1
        while top:
            top -= 1
            x, y, z = _middle(pieces[top])
            hint, away = nearest(goal, x, y, z, hint)
            away = math.sqrt(away)
            allowed = lower * (1 + share) + gap
            if len(marks):
                if away > lower + gap:
                    marks[n] = 1
                    break
            elif away > lower:
                lower = away
            reach = min(math.sqrt(_reach(pieces[top], goal, hint)), away + _radius(pieces[top], x, y, z))
            if reach <= lower:
                continue
            if reach <= allowed or top >= PIECES:
                upper = max(upper, reach)
                if len(marks) and reach > allowed:
                    marks[n] = 1
                continue
            top += _split(pieces, top, goal.corners, hint)
    return lower, upper, hint


@numba.njit(cache=True)
def _reach(piece: NDArray[np.float64], goal: Tree, n: int) -> float:
    """The largest squared distance of the piece's corners from one triangle, so of all its points."""
    most = 0.0
    for c in range(3):
        most = max(most, triangle_distance(goal.corners, n, piece[c, 0], piece[c, 1], piece[c, 2]))
    return most


@numba.njit(cache=True, inline="always")
def _middle(piece: NDArray[np.float64]) -> tuple[float, float, float]:
    return (
        (piece[0, 0] + piece[1, 0] + piece[2, 0]) / 3,
        (piece[0, 1] + piece[1, 1] + piece[2, 1]) / 3,
        (piece[0, 2] + piece[1, 2] + piece[2, 2]) / 3,
    )


@numba.njit(cache=True)
def _radius(piece: NDArray[np.float64], x: float, y: float, z: float) -> float:
    """The largest distance of a corner from a point of the piece."""
    most = 0.0
    for c in range(3):
        most = max(most, (piece[c, 0] - x) ** 2 + (piece[c, 1] - y) ** 2 + (piece[c, 2] - z) ** 2)
    return math.sqrt(most)


@numba.njit(cache=True)
def _split(pieces: NDArray[np.float64], at: int, goal: Corners, n: int) -> int:
    """Replace a piece by two or three; returns how many there are now in its place."""
    nx, ny, nz = normal_of(goal[n, 0], goal[n, 1], goal[n, 2])
    best, side = _THIN, -1
    heights = np.empty((3, 3))
    for s in range(3):
        p, q = goal[n, s], goal[n, (s + 1) % 3]
        ux, uy, uz = q[0] - p[0], q[1] - p[1], q[2] - p[2]
        x, y, z = uy * nz - uz * ny, uz * nx - ux * nz, ux * ny - uy * nx
        length = math.sqrt(x * x + y * y + z * z)
        if length == 0.0:
            continue
        most, least = -np.inf, np.inf
        for corner in range(3):
            c = pieces[at, corner]
            height = ((c[0] - p[0]) * x + (c[1] - p[1]) * y + (c[2] - p[2]) * z) / length
            heights[s, corner] = height
            most, least = max(most, height), min(least, height)
        if least < -_THIN and most > best:
            best, side = most, s
    if side < 0:
        return _halve(pieces, at)  # type: ignore[no-any-return]
    return _cut(pieces, at, heights[side])  # type: ignore[no-any-return]


@numba.njit(cache=True)
def _cut(pieces: NDArray[np.float64], at: int, heights: NDArray[np.float64]) -> int:
    """Cut a piece along the line on which ``heights``, given at its corners, vanish."""
    lone = 0
    for c in range(3):
        on_side = heights[c] > 0
        if (heights[(c + 1) % 3] > 0) != on_side and (heights[(c + 2) % 3] > 0) != on_side:
            lone = c
    p, q, r = lone, (lone + 1) % 3, (lone + 2) % 3
    piece = pieces[at].copy()
    to_first = heights[p] / (heights[p] - heights[q])
    to_second = heights[p] / (heights[p] - heights[r])
    for axis in range(3):
        first = piece[p, axis] + (piece[q, axis] - piece[p, axis]) * to_first
        second = piece[p, axis] + (piece[r, axis] - piece[p, axis]) * to_second
        pieces[at, 0, axis], pieces[at, 1, axis], pieces[at, 2, axis] = piece[p, axis], first, second
        pieces[at + 1, 0, axis], pieces[at + 1, 1, axis] = first, piece[q, axis]
        pieces[at + 1, 2, axis] = piece[r, axis]
        pieces[at + 2, 0, axis], pieces[at + 2, 1, axis] = first, piece[r, axis]
        pieces[at + 2, 2, axis] = second
    return 3


@numba.njit(cache=True)
def _halve(pieces: NDArray[np.float64], at: int) -> int:
    """Halve a piece at the middle of its longest edge."""
    longest, side = -1.0, 0
    for s in range(3):
        square = 0.0
        for axis in range(3):
            square += (pieces[at, (s + 1) % 3, axis] - pieces[at, s, axis]) ** 2
        if square > longest:
            longest, side = square, s
    for axis in range(3):
        p, q, r = pieces[at, side, axis], pieces[at, (side + 1) % 3, axis], pieces[at, (side + 2) % 3, axis]
        middle = (p + q) / 2
        pieces[at, 0, axis], pieces[at, 1, axis], pieces[at, 2, axis] = p, middle, r
        pieces[at + 1, 0, axis], pieces[at + 1, 1, axis], pieces[at + 1, 2, axis] = middle, q, r
    return 2

"""Which triangles of a mesh meet where they shouldn't: exactly, whatever rounding does.

Two triangles may have in common what their indices say, a corner or an edge, and nothing else. Most pairs are told
apart by a plane between them that floating-point numbers find with room to spare; the few others are decided by
rational numbers.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numba
import numpy as np
from numpy.typing import NDArray

from tomosurf.surface.tree import DEPTH, Corners, Tree, tree_of

MARGIN = 1e-10
"""Share of two triangles' size by which a plane must clear them in floating point; rounding errs by 1e-14."""

Point = tuple[Fraction, Fraction, Fraction]
Vector = NDArray[np.float64] | tuple[float, float, float]


def self_intersections(vertices: NDArray[np.float64], faces: NDArray[np.int32]) -> NDArray[np.int64]:
    """Pairs (n, 2) of triangles that have more in common than their indices say, ascending.

    Touching counts, and so do triangles with the same three corners. The answer is exact for the vertices as they
    are; rounding them (in a file) can change it.
    """
    pairs = suspects(vertices, faces, np.ones(len(faces), bool))
    exact = [sorted(pair) for pair in pairs.tolist() if _meet(vertices, faces[pair[0]], faces[pair[1]])]
    return np.array(sorted(exact), np.int64).reshape(-1, 2)


def suspects(
    vertices: NDArray[np.float64], faces: NDArray[np.int32], looked_at: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Pairs (n, 2) of triangles, one of them or both ``looked_at``, that floating-point numbers can't tell apart.

    All that meet are among them, and few others.
    """
    if len(faces) < 2:
        return np.empty((0, 2), np.int64)
    tree = tree_of(vertices, faces)
    found: NDArray[np.int64] = tree.order[_suspects(tree, faces[tree.order], looked_at[tree.order])]
    return found


def _meet(vertices: NDArray[np.float64], one: NDArray[np.int32], other: NDArray[np.int32]) -> bool:
    """Whether two triangles have more in common than the corners that they share, in rational numbers."""
    shared = [corner for corner in one.tolist() if corner in other.tolist()]
    rest = [corner for corner in one.tolist() if corner not in shared]
    others = [corner for corner in other.tolist() if corner not in shared]
    exact = {corner: _exact(vertices[corner]) for corner in {*one.tolist(), *other.tolist()}}
    if len(shared) == 3:
        return True
    if len(shared) == 2:
        p, q, a, b = (exact[corner] for corner in (*shared, *rest, *others))
        first, second = _cross(_minus(q, p), _minus(a, p)), _cross(_minus(q, p), _minus(b, p))
        return not any(_cross(first, second)) and _dot(first, second) >= 0
    triangles = [[exact[corner] for corner in face.tolist()] for face in (one, other)]
    if not shared:
        return not _parted(triangles[0], triangles[1])
    edges = [[exact[corner] for corner in (*ends, ends[1])] for ends in (rest, others)]
    return not (_parted(edges[0], triangles[1]) and _parted(edges[1], triangles[0]))


def _exact(point: NDArray[np.float64]) -> Point:
    x, y, z = (Fraction(float(value)) for value in point)
    return x, y, z


def _minus(a: Point, b: Point) -> Point:
    return a[0] - b[0], a[1] - b[1], a[2] - b[2]


def _cross(a: Point, b: Point) -> Point:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


def _dot(a: Point, b: Point) -> Fraction:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _parted(one: list[Point], other: list[Point]) -> bool:
    """Whether a plane lies strictly between two triangles, either of which may be a segment (c equal to b).

    If they are disjoint, one that is parallel to a triangle or to an edge of each does, or one upright on a
    triangle along an edge: these are the facets of the polytope of their differences.
    """
    edges = [[_minus(t[(n + 1) % 3], t[n]) for n in range(3)] for t in (one, other)]
    normals = [_cross(edges[t][0], edges[t][1]) for t in range(2)]
    axes = [*normals, *(_cross(u, v) for u in edges[0] for v in edges[1])]
    axes += [_cross(normal, edge) for normal in normals for edge in (*edges[0], *edges[1])]
    for axis in axes:
        if any(axis):
            ours, theirs = [_dot(axis, point) for point in one], [_dot(axis, point) for point in other]
            if max(ours) < min(theirs) or max(theirs) < min(ours):
                return True
    return False


@numba.njit(cache=True)
def _suspects(tree: Tree, faces: NDArray[np.int32], looked_at: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Pairs of places in the tree that floating-point numbers can't tell apart."""
    found = np.empty((1024, 2), np.int64)
    size = 0
    leaves = (len(tree.boxes) + 1) // 2
    count = len(faces)
    last = _last(leaves, looked_at)
    nodes = np.empty(DEPTH, np.int64)
    box = np.empty(6)
    room = np.empty(
        (3, 3, 3)
    )  # for what is made of every pair: an array of its own would cost more than the rest
    for n in range(count):
        if not looked_at[n]:
            continue
        _box_of(tree.corners, n, box)
        nodes[0], top = 0, 1
        while top:
            top -= 1
            node = nodes[top]
            if last[node] <= n or not _overlap(tree.boxes, node, box):
                continue
            if node < leaves - 1:
                nodes[top], nodes[top + 1] = 2 * node + 1, 2 * node + 2
                top += 2
                continue
            leaf = node - leaves + 1
            for m in range(leaf * count // leaves, (leaf + 1) * count // leaves):
                if m == n or (m < n and looked_at[m]):  # m has looked for n
                    continue
                if _beside(tree.corners, m, box) or _clear(tree.corners, faces, n, m, room):
                    continue
                if size == len(found):
                    found = np.concatenate((found, np.empty_like(found)))
                found[size, 0], found[size, 1] = n, m
                size += 1
    return found[:size]


@numba.njit(cache=True)
def _last(leaves: int, looked_at: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The last triangle under each node, or the number of all where one isn't looked at: who looks, for whom."""
    count = len(looked_at)
    last = np.empty(2 * leaves - 1, np.int64)
    for node in range(2 * leaves - 2, -1, -1):
        if node < leaves - 1:
            last[node] = max(last[2 * node + 1], last[2 * node + 2])
            continue
        first, end = (node - leaves + 1) * count // leaves, (node - leaves + 2) * count // leaves
        last[node] = end - 1 if looked_at[first:end].all() else count
    return last


@numba.njit(cache=True)
def _box_of(corners: Corners, n: int, box: NDArray[np.float64]) -> None:
    for axis in range(3):
        a, b, c = corners[n, 0, axis], corners[n, 1, axis], corners[n, 2, axis]
        box[axis], box[3 + axis] = min(a, b, c), max(a, b, c)


@numba.njit(cache=True, inline="always")
def _overlap(boxes: NDArray[np.float64], node: int, box: NDArray[np.float64]) -> bool:
    return (  # type: ignore[no-any-return]
        boxes[node, 0] <= box[3]
        and box[0] <= boxes[node, 3]
        and boxes[node, 1] <= box[4]
        and box[1] <= boxes[node, 4]
        and boxes[node, 2] <= box[5]
        and box[2] <= boxes[node, 5]
    )


@numba.njit(cache=True, inline="always")
def _beside(corners: Corners, n: int, box: NDArray[np.float64]) -> bool:
    """Whether a triangle lies beyond one side of a box, exactly."""
    beside = False
    for axis in range(3):
        a, b, c = corners[n, 0, axis], corners[n, 1, axis], corners[n, 2, axis]
        beside = beside or max(a, b, c) < box[axis] or min(a, b, c) > box[3 + axis]
    return beside


@numba.njit(cache=True)
def _clear(corners: Corners, faces: NDArray[np.int32], n: int, m: int, room: NDArray[np.float64]) -> bool:
    """Whether two triangles surely have no more in common than their indices say."""
    first, second, shared = _in_common(faces[n], faces[m])
    if shared == 3:
        return False
    one, other = corners[n], corners[m]
    if shared == 2:  # the corners that aren't shared, and one that is
        return _open(one, 3 - first, other, 3 - second)  # type: ignore[no-any-return]
    if shared == 0:
        return _parted_clearly(one, other, room)  # type: ignore[no-any-return]
    _opposite(one, first, room[2])
    if not _parted_clearly(room[2], other, room):
        return False
    _opposite(other, second, room[2])
    return _parted_clearly(room[2], one, room)  # type: ignore[no-any-return]


@numba.njit(cache=True)
def _in_common(one: NDArray[np.int32], other: NDArray[np.int32]) -> tuple[int, int, int]:
    """The places of the corners that two triangles share, summed over one and over the other, and how many."""
    first, second, shared = 0, 0, 0
    for s in range(3):
        for t in range(3):
            if one[s] == other[t]:
                first, second, shared = first + s, second + t, shared + 1
    return first, second, shared


@numba.njit(cache=True, inline="always")
def _opposite(triangle: NDArray[np.float64], corner: int, edge: NDArray[np.float64]) -> None:
    """The edge that doesn't touch a corner, as a triangle without area, into ``edge``."""
    for axis in range(3):
        edge[0, axis] = triangle[(corner + 1) % 3, axis]
        edge[1, axis] = edge[2, axis] = triangle[(corner + 2) % 3, axis]


@numba.njit(cache=True)
def _open(one: NDArray[np.float64], a: int, other: NDArray[np.float64], b: int) -> bool:
    """Whether two triangles on one edge surely don't lie on each other."""
    p = one[(a + 1) % 3]
    edge, to_a, to_b = _step(p, one[(a + 2) % 3]), _step(p, one[a]), _step(p, other[b])
    first, second = _product(edge, to_a), _product(edge, to_b)
    fold = first[0] * second[0] + first[1] * second[1] + first[2] * second[2]
    sine = _product(first, second)
    size = _length(first) * _length(second)
    return size > 0 and (fold < -MARGIN * size or _length(sine) > MARGIN * size)  # type: ignore[no-any-return]


@numba.njit(cache=True, inline="always")
def _step(a: Vector, b: Vector) -> tuple[float, float, float]:
    return b[0] - a[0], b[1] - a[1], b[2] - a[2]


@numba.njit(cache=True, inline="always")
def _product(a: Vector, b: Vector) -> tuple[float, float, float]:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


@numba.njit(cache=True, inline="always")
def _length(a: tuple[float, float, float]) -> float:
    return math.sqrt(a[0] * a[0] + a[1] * a[1] + a[2] * a[2])


@numba.njit(cache=True)
def _parted_clearly(one: NDArray[np.float64], other: NDArray[np.float64], room: NDArray[np.float64]) -> bool:
    """:func:`_parted` in floating point, with room to spare; the first two of ``room`` are overwritten."""
    edges, size = room[:2], 0.0
    for s in range(3):
        for axis in range(3):
            edges[0, s, axis] = one[(s + 1) % 3, axis] - one[s, axis]
            edges[1, s, axis] = other[(s + 1) % 3, axis] - other[s, axis]
            size = max(size, abs(one[s, axis] - one[0, axis]), abs(other[s, axis] - one[0, axis]))
    if _parts_along_faces(one, other, edges, size):
        return True
    return _parts_along_edges(one, other, edges, size)  # type: ignore[no-any-return]


@numba.njit(cache=True)
def _parts_along_faces(
    one: NDArray[np.float64], other: NDArray[np.float64], edges: NDArray[np.float64], size: float
) -> bool:
    """Whether a plane parallel to a triangle, or upright on one along an edge, clears both."""
    for t in range(2):
        normal = _product(edges[t, 0], edges[t, 1])
        if _parts(one, other, normal, size):
            return True
        for s in range(6):
            if _parts(one, other, _product(normal, edges[s // 3, s % 3]), size):
                return True
    return False


@numba.njit(cache=True)
def _parts_along_edges(
    one: NDArray[np.float64], other: NDArray[np.float64], edges: NDArray[np.float64], size: float
) -> bool:
    """Whether a plane parallel to an edge of each clears both."""
    s = 0
    while s < 9 and not _parts(one, other, _product(edges[0, s // 3], edges[1, s % 3]), size):
        s += 1
    return s < 9


@numba.njit(cache=True)
def _parts(
    one: NDArray[np.float64], other: NDArray[np.float64], axis: tuple[float, float, float], size: float
) -> bool:
    """Whether a plane across ``axis`` clears both by the margin; measured from a corner, to keep digits."""
    length = _length(axis)
    if not length > 1e-12 * size * size * min(size, 1.0):
        return False
    x, y, z = axis[0] / length, axis[1] / length, axis[2] / length
    low, high, other_low, other_high = np.inf, -np.inf, np.inf, -np.inf
    for s in range(3):
        h = x * (one[s, 0] - one[0, 0]) + y * (one[s, 1] - one[0, 1]) + z * (one[s, 2] - one[0, 2])
        low, high = min(low, h), max(high, h)
        h = x * (other[s, 0] - one[0, 0]) + y * (other[s, 1] - one[0, 1]) + z * (other[s, 2] - one[0, 2])
        other_low, other_high = min(other_low, h), max(other_high, h)
    return other_low - high > MARGIN * size or low - other_high > MARGIN * size

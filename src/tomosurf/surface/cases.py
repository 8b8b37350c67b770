"""How a surface runs through a cube of eight lattice points, derived from one rule for its faces.

Corner ``i + 2 j + 4 k`` of a cube lies at offset (i, j, k). Edge ``4 a + b + 2 c`` runs along axis a; b and c are
its offsets along the other two axes, in ascending order. Face ``2 a + s`` is perpendicular to axis a, at offset s.

The rule, for a face whose corners alternate between two labels: the smaller label joins across the face, the larger
one is parted. So background (0) joins, and a structure's voxels that only share an edge aren't one.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Loop = tuple[int, ...]
Triangle = tuple[int, int, int]

CORNERS = np.array([(n & 1, n >> 1 & 1, n >> 2) for n in range(8)])
"""(8, 3) offsets of the corners."""


class Cube(NamedTuple):
    """How corners, edges and faces of a cube hang together; int64 arrays that kernels take."""

    ends: NDArray[np.int64]
    """(12, 2) lower and upper corner of each edge."""
    face_corners: NDArray[np.int64]
    """(6, 4) corners of each face, counter-clockwise seen from outside the cube."""
    face_edges: NDArray[np.int64]
    """(6, 4) edges of each face; edge n lies between corners n and n + 1."""
    neighbours: NDArray[np.int64]
    """(8, 3) the corners one edge away."""
    corner_faces: NDArray[np.int64]
    """(8, 3) the corner diagonally across each face that meets in a corner; face n lies opposite neighbour n."""


class Cases(NamedTuple):
    """Triangles for each of the 256 ways in which two labels may fill a cube; bit n is corner n's, 1 the larger."""

    counts: NDArray[np.int64]
    """(256,) numbers of triangles."""
    edges: NDArray[np.int64]
    """(256, most, 3) the edges that their corners lie on, counter-clockwise seen from the smaller label."""


@cache
def cube() -> Cube:
    """The cube's own order, as arrays."""
    ends, faces = [], []
    for axis in range(3):
        others = [a for a in range(3) if a != axis]
        for c, b in ((c, b) for c in (0, 1) for b in (0, 1)):
            low = (b << others[0]) + (c << others[1])
            ends.append((low, low + (1 << axis)))
        across, up = 1 << (axis + 1) % 3, 1 << (axis + 2) % 3
        for side in (0, 1):
            ring = [0, across, across + up, up]
            faces.append([(side << axis) + corner for corner in (ring if side else ring[::-1])])
    number = {frozenset(pair): edge for edge, pair in enumerate(ends)}
    edges = [[number[frozenset((ring[n], ring[(n + 1) % 4]))] for n in range(4)] for ring in faces]
    neighbours = [[corner ^ 1, corner ^ 2, corner ^ 4] for corner in range(8)]
    across_faces = [[corner ^ 6, corner ^ 5, corner ^ 3] for corner in range(8)]
    return Cube(*(np.array(rows, np.int64) for rows in (ends, faces, edges, neighbours, across_faces)))


@cache
def cases() -> Cases:
    """The table for two labels: each loop that the rule draws on the cube, cut into triangles."""
    rows = [[t for loop in _loops(pattern) for t in _triangles(loop)] for pattern in range(256)]
    counts = np.array([len(row) for row in rows], np.int64)
    edges = np.zeros((256, counts.max(), 3), np.int64)
    for pattern, row in enumerate(rows):
        edges[pattern, : len(row)] = np.array(row, np.int64).reshape(-1, 3)
    return Cases(counts, edges)


def _loops(pattern: int) -> Iterator[Loop]:
    """The closed walks over edges with the larger label on their right, seen from outside the cube."""
    onward: dict[int, int] = {}
    for corners, edges in zip(cube().face_corners.tolist(), cube().face_edges.tolist(), strict=True):
        inside = [pattern >> corner & 1 for corner in corners]
        crossed = [n for n in range(4) if inside[n] != inside[(n + 1) % 4]]
        if len(crossed) == 4:
            # alternating: cut the larger label's corners off
            for n in (n for n in range(4) if inside[n]):
                onward[edges[n - 1]] = edges[n]
        elif crossed:
            first, second = crossed if inside[crossed[0] + 1] else crossed[::-1]
            onward[edges[first]] = edges[second]
    while onward:
        loop = [min(onward)]
        while (following := onward.pop(loop[-1])) != loop[0]:
            loop.append(following)
        yield tuple(loop)


def _triangles(loop: Loop) -> tuple[Triangle, ...]:
    """The loop cut into triangles, no diagonal of which lies in a face of the cube.

    A diagonal within a face could meet one of the neighbouring cube. Of all such cuts the one nearest to the cube's
    middle is taken, which cuts least off what bulges on either side; of equals the one with the shortest diagonals.
    """
    middles = CORNERS[cube().ends].mean(axis=1)
    faces = [set(edges) for edges in cube().face_edges.tolist()]
    steps = {frozenset((a, b)) for a, b in zip(loop, loop[1:] + loop[:1], strict=True)}

    def cost(triangles: tuple[Triangle, ...]) -> tuple[float, float, tuple[Triangle, ...]]:
        a, b, c = np.moveaxis(middles[np.array(triangles)] - 0.5, 1, 0)
        lengths = np.square([b - a, c - b, a - c]).sum()
        cone = float(np.einsum("ij,ij->", a, np.cross(b, c)))
        return round(abs(cone), 6), round(float(lengths), 6), triangles

    def apart(triangles: tuple[Triangle, ...]) -> bool:
        pairs = {frozenset(pair) for triangle in triangles for pair in combinations(triangle, 2)} - steps
        return not any(face.issuperset(pair) for face in faces for pair in pairs)

    return min(filter(apart, _cuts(loop)), key=cost)


@cache
def _cuts(loop: Loop) -> tuple[tuple[Triangle, ...], ...]:
    """All ways to cut a polygon into triangles that are wound as it is."""
    if len(loop) < 3:
        return ((),)
    return tuple(
        (*before, (loop[0], loop[n], loop[-1]), *after)
        for n in range(1, len(loop) - 1)
        for before in _cuts(loop[: n + 1])
        for after in _cuts(loop[n:])
    )

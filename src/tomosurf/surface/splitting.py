"""Splitting edges of walls, and the triangles beside them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Faces = NDArray[np.int32]
Sides = NDArray[np.uint16]
Floats = NDArray[np.float64]


class Edges(NamedTuple):
    """Some edges of walls, each between two triangles of one wall.

    Args:
        ends: (n, 2) int32, vertices.
        sides: (n, 2) uint16, the two labels beside.
        places: (n, 2) int64, ``3 * face + corner`` at which each of the two triangles begins it.
    """

    ends: Faces
    sides: Sides
    places: NDArray[np.int64]

    def only(self, chosen: NDArray[np.bool_]) -> Edges:
        """Some of them."""
        return Edges(self.ends[chosen], self.sides[chosen], self.places[chosen])


def inner_edges(faces: Faces, sides: Sides, wanted: NDArray[np.bool_]) -> Edges:
    """The edges that exactly two triangles share, both of the same wall; in the order of their ends.

    ``wanted`` (m, 3) says which edges to look at, each from a corner to the next, from both sides alike.
    """
    places = np.flatnonzero(wanted)
    key = _key(faces, places)
    order = np.argsort(key, kind="stable")
    key, places = key[order], places[order]
    del order
    firsts = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1], [True]]))
    twice = firsts[:-1][np.diff(firsts) == 2]
    both = np.stack([places[twice], places[twice + 1]], axis=1)
    same = (sides[both[:, 0] // 3] == sides[both[:, 1] // 3]).all(axis=1)
    same &= faces.reshape(-1)[both[:, 0]] != faces.reshape(-1)[both[:, 1]]  # there and back
    twice, both = twice[same], both[same]
    ends = np.stack([key[twice] >> 32, key[twice] & 0xFFFFFFFF], axis=1).astype(np.int32)
    return Edges(ends, sides[both[:, 0] // 3], both)


def _key(faces: Faces, places: NDArray[np.int64]) -> NDArray[np.int64]:
    """One number for the two ends of each edge."""
    flat = faces.reshape(-1)
    start, end = flat[places], flat[places + np.where(places % 3 == 2, -2, 1)]
    return np.minimum(start, end).astype(np.int64) << 32 | np.maximum(start, end)


def split(faces: Faces, edges: Edges, first: int, points: Floats) -> tuple[Faces, NDArray[np.int64]]:
    """The triangles with a vertex on each of ``edges``: ``first``, ``first + 1`` ...; others as they were, before.

    ``points`` has all vertices, the new ones too. A triangle with two new vertices is parted along the shorter way.
    The second array says of which triangle each is a part.
    """
    added = np.full(faces.shape, -1, np.int32)
    added.reshape(-1)[edges.places] = (first + np.arange(len(edges.ends), dtype=np.int32))[:, None]
    count = (added >= 0).sum(axis=1)
    parts = [(faces[count == 0], np.flatnonzero(count == 0))]
    for many in (1, 2, 3):
        some = np.flatnonzero(count == many)
        corners, middles = _turned(faces[some], added[some], many)
        (a, b, c), (x, y, z) = corners.T, middles.T
        if many == 1:
            made = [(a, x, c), (x, b, c)]
        elif many == 2:
            straight = np.linalg.norm(points[x] - points[c], axis=1)
            across = np.linalg.norm(points[a] - points[y], axis=1)
            shorter = straight <= across
            made = [(x, b, y), (a, x, np.where(shorter, c, y)), (np.where(shorter, x, a), y, c)]
        else:
            made = [(a, x, z), (x, b, y), (y, c, z), (x, y, z)]
        for triangle in made:
            parts.append((np.stack(triangle, axis=1), some))
    return np.concatenate([part for part, _ in parts]), np.concatenate([part for _, part in parts])


def _turned(faces: Faces, added: Faces, many: int) -> tuple[Faces, Faces]:
    """Corners and new vertices of triangles, begun so that the new ones come first."""
    begin = (added >= 0).argmax(axis=1) if many == 1 else ((added < 0).argmax(axis=1) + 1) % 3
    order = (begin[:, None] + np.arange(3)) % 3
    rows = np.arange(len(faces))[:, None]
    return faces[rows, order], added[rows, order]

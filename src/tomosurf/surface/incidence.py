"""Which triangles meet in a vertex of a complex, and which vertices lie on curves that decimation must keep."""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

INSIDE, JUNCTION, OUTLINE, FIXED, FROZEN = 0, 1, 2, 3, 4
"""What a vertex may do: move over its wall, along a curve where walls meet, along the straight pieces of a flat
patch's outline, stay while others come to it, or keep all its triangles as they are."""


class Corners(NamedTuple):
    """For each vertex a linked list of its corners; corner 3f + s is corner s of triangle f, -1 ends a list."""

    first: NDArray[np.int32]
    last: NDArray[np.int32]
    onward: NDArray[np.int32]


@numba.njit(cache=True)
def corners_of(faces: NDArray[np.int32], vertices: int) -> Corners:
    """The corners of every vertex, in ascending order."""
    first = np.full(vertices, -1, np.int32)
    last = np.full(vertices, -1, np.int32)
    onward = np.full(3 * len(faces), -1, np.int32)
    for corner in range(3 * len(faces)):
        vertex = faces[corner // 3, corner % 3]
        if first[vertex] < 0:
            first[vertex] = corner
        else:
            onward[last[vertex]] = corner
        last[vertex] = corner
    return Corners(first, last, onward)


def regions_of(
    sides: NDArray[np.uint16], faces: NDArray[np.int32], flat: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """A number for each triangle: the pair of labels that it parts, and whether it lies in a flat patch.

    ``flat`` marks vertices; a triangle lies in a patch with all three.
    """
    pairs = sides[:, 0].astype(np.int64) << 17 | sides[:, 1].astype(np.int64) << 1
    return pairs | flat[faces].all(axis=1)


@numba.njit(cache=True, inline="always")
def parts_structures(region: int) -> bool:
    """Whether a triangle of that region lies between two structures, none of which is background."""
    return (region >> 1 & 0xFFFF) != 0


@numba.njit(cache=True)
def kinds_of(faces: NDArray[np.int32], regions: NDArray[np.int64], corners: Corners) -> NDArray[np.uint8]:
    """What each vertex may do.

    A curve runs along edges in which other than two triangles of one region meet. A vertex with two such edges
    lies on a curve if as many sheets of triangles run through it as meet in either edge; one without is inside a
    wall if it has a single sheet. All others stay: ends, crossings, and points in which walls touch.
    """
    kinds = np.zeros(len(corners.first), np.uint8)
    edges = np.empty((512, 3), np.int64)
    room = np.empty((2, 256), np.int32)
    for vertex in range(len(kinds)):
        found, degree = _edges(vertex, faces, regions, corners, edges)
        if found < 0:
            kinds[vertex] = FIXED
            continue
        curves, meeting, outline, uneven = 0, 0, False, False
        for n in range(found):
            count = edges[n, 1]
            if count != 2 or edges[n, 2] < 0:
                uneven = uneven or (curves > 0 and count != meeting)
                outline = outline or count == 2
                curves, meeting = curves + 1, count
        sheets = _sheets(vertex, faces, regions, corners, room[:, :degree])
        if curves == 0:
            kinds[vertex] = INSIDE if sheets == 1 else FIXED
        elif curves == 2 and not uneven and sheets == meeting:
            kinds[vertex] = OUTLINE if outline else JUNCTION
        else:
            kinds[vertex] = FIXED
    return kinds


@numba.njit(cache=True)
def _edges(
    vertex: int,
    faces: NDArray[np.int32],
    regions: NDArray[np.int64],
    corners: Corners,
    edges: NDArray[np.int64],
) -> tuple[int, int]:
    """The vertex' edges: other end, number of triangles, and their region (-1: several); -1 when too many."""
    found, degree = 0, 0
    corner = corners.first[vertex]
    while corner >= 0:
        face, degree = corner // 3, degree + 1
        for s in range(1, 3):
            other, n = faces[face, (corner % 3 + s) % 3], 0
            while n < found and edges[n, 0] != other:
                n += 1
            if n == 510 or degree == 250:
                return -1, degree
            if n == found:
                edges[n, 0], edges[n, 1], edges[n, 2] = other, 0, regions[face]
                found += 1
            edges[n, 1] += 1
            if regions[face] != edges[n, 2]:
                edges[n, 2] = -1
        corner = corners.onward[corner]
    return found, degree


@numba.njit(cache=True)
def _sheets(
    vertex: int,
    faces: NDArray[np.int32],
    regions: NDArray[np.int64],
    corners: Corners,
    room: NDArray[np.int32],
) -> int:
    """How many fans the vertex' triangles form when they are joined across edges that are no curves.

    ``room`` (2, number of triangles) is overwritten.
    """
    around, fans = room[0], room[1]
    degree = room.shape[1]
    corner = corners.first[vertex]
    for n in range(degree):
        around[n], fans[n] = corner, n
        corner = corners.onward[corner]
    sheets = degree
    for n in range(degree):
        for s in range(1, 3):
            other = faces[around[n] // 3, (around[n] % 3 + s) % 3]
            shared, mate = 0, -1
            for o in range(degree):
                face = around[o] // 3
                if o != n and (faces[face, 0] == other or faces[face, 1] == other or faces[face, 2] == other):
                    shared, mate = shared + 1, o
            if (
                shared == 1
                and regions[around[mate] // 3] == regions[around[n] // 3]
                and fans[mate] != fans[n]
            ):
                old, sheets = fans[mate], sheets - 1
                for o in range(degree):
                    if fans[o] == old:
                        fans[o] = fans[n]
    return sheets  # type: ignore[no-any-return]

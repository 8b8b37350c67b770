"""How surfaces run through a cube in which three labels or more meet.

On each face of the cube straight walls part the labels, from edge to edge or to a junction within the face; the
face's own labels decide how, so that both cubes beside it agree. Corners that walls cut off go first, as single
triangles. What is left is the cone over the remaining walls from one point inside: a cone over a plane graph on the
hull of a convex body, from a point inside it, doesn't meet itself. Numbering is that of
:mod:`tomosurf.surface.cases`; junction n (0 or 1) of face f is node ``12 + 2 f + n``, edges are nodes 0 to 11.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from tomosurf.surface.cases import Cube

Ints = NDArray[np.int64]
Label = np.int64

MOST_WALLS = 30
"""Walls on six faces: at most five each."""


@numba.njit(cache=True)
def _changes(a: Label, b: Label, c: Label, d: Label) -> int:
    """How often the label changes around a face."""
    changes: int = int(a != b) + int(b != c) + int(c != d) + int(d != a)
    return changes


@numba.njit(cache=True)
def face_kind(a: Label, b: Label, c: Label, d: Label) -> int:
    """What meets on a face with these corners, in turn.

    0: nothing, or one wall; 1: alternating corners, two walls; 2: one junction; 3: two junctions, the wall between
    them parting corners that would else join across the face.
    """
    changes = _changes(a, b, c, d)
    if changes == 3:
        return 2
    if changes < 4:
        return 0
    if a == c and b == d:
        return 1
    if a == c:
        return 1 if a == 0 else 3
    if b == d:
        return 1 if b == 0 else 3
    return 2


@numba.njit(cache=True)
def junction_count(labels: Ints, face: int, cube: Cube) -> int:
    """How many junctions a face of a cube with these eight ``labels`` has."""
    ring = cube.face_corners[face]
    kind: int = face_kind(labels[ring[0]], labels[ring[1]], labels[ring[2]], labels[ring[3]])
    return max(kind - 1, 0)


@numba.njit(cache=True)
def cut_corners(labels: Ints, cube: Cube, cut: Ints) -> int:
    """Which corners a single triangle cuts off; they get their neighbours' label in ``labels``.

    Returns their number; ``cut[:n]`` are the corners, ascending. A corner that differs from all its neighbours is
    cut off where on none of its faces its label joins, and none has a junction.
    """
    found = 0
    for corner in range(8):
        own = labels[corner]
        around = labels[cube.neighbours[corner, 0]]
        alone = (
            own != around
            and labels[cube.neighbours[corner, 1]] == around
            and labels[cube.neighbours[corner, 2]] == around
        )
        for n in range(3):
            across = labels[cube.corner_faces[corner, n]]
            if across == own:
                alone = alone and own > around
            elif across != around:
                alone = alone and around == 0
        if alone:
            cut[found] = corner
            found += 1
    for n in range(found):
        labels[cut[n]] = labels[cube.neighbours[cut[n], 0]]
    return found


@numba.njit(cache=True)
def _add(walls: Ints, count: int, start: int, stop: int, right: int, left: int) -> int:
    walls[count, 0], walls[count, 1], walls[count, 2], walls[count, 3] = start, stop, right, left
    return count + 1


@numba.njit(cache=True)
def draw(labels: Ints, cube: Cube, walls: Ints) -> int:
    """All walls on the cube's faces: rows of (from node, to node, label on the right, label on the left).

    Sides are those seen from outside the cube. Returns how many rows of ``walls`` ((``MOST_WALLS``, 4)) are used.
    """
    count = 0
    for face in range(6):
        ring, edges = cube.face_corners[face], cube.face_edges[face]
        kind = face_kind(labels[ring[0]], labels[ring[1]], labels[ring[2]], labels[ring[3]])
        first = -1
        for n in range(4):
            own, following, opposite = labels[ring[n]], labels[ring[(n + 1) % 4]], labels[ring[(n + 2) % 4]]
            if kind == 0 and own != following:
                if first < 0:
                    first = n
                else:
                    count = _add(walls, count, edges[first], edges[n], own, following)
            elif kind == 1 and own > following:
                count = _add(walls, count, edges[(n + 3) % 4], edges[n], own, following)
            elif kind == 2 and own != following:
                count = _add(walls, count, edges[n], 12 + 2 * face, following, own)
            elif kind == 3 and own == opposite:
                place = 12 + 2 * face + (ring[n] > ring[(n + 2) % 4])
                before = labels[ring[(n + 3) % 4]]
                count = _add(walls, count, edges[(n + 3) % 4], place, own, before)
                count = _add(walls, count, edges[n], place, following, own)
                if n < 2:
                    other = 12 + 2 * face + (ring[n] < ring[n + 2])
                    count = _add(walls, count, place, other, following, before)
    return count


@numba.njit(cache=True)
def wall_count(labels: Ints, cube: Cube) -> int:
    """How many walls :func:`draw` draws."""
    count: int = 0
    for face in range(6):
        ring = cube.face_corners[face]
        a, b, c, d = labels[ring[0]], labels[ring[1]], labels[ring[2]], labels[ring[3]]
        changes = _changes(a, b, c, d)
        kind = face_kind(a, b, c, d)
        count += changes + int(kind == 3) if kind >= 2 else changes // 2
    return count


@numba.njit(cache=True)
def lies_between(labels: Ints, ring: Ints, which: int, edges: Ints) -> int:
    """Between which ``edges`` ((4,), in turn from 0) of a face junction ``which`` lies; returns how many these are.

    ``ring`` are the face's corners, ``labels`` the cube's. Where background is one of three labels, its own border
    runs straight through the junction: outer surfaces stay smooth where two structures meet beneath them. Then
    -3 is returned: the junction lies on the line from the first to the second of three, as near to the third as
    can be.
    """
    a, b, c, d = labels[ring[0]], labels[ring[1]], labels[ring[2]], labels[ring[3]]
    if face_kind(a, b, c, d) == 3:
        n = 0 if a == c else 1
        n += 2 * ((ring[n] > ring[n + 2]) != (which == 1))
        edges[0], edges[1] = (n + 3) % 4, n
        return 2
    still, crossed = 0, 0
    for n in range(4):
        if labels[ring[n]] == labels[ring[(n + 1) % 4]]:
            still = n
        else:
            crossed += 1
    first, second, third = (still + 1) % 4, (still + 2) % 4, (still + 3) % 4
    edges[0], edges[1], edges[2], edges[3] = first, second, third, still
    if crossed == 4:
        return 4
    if labels[ring[still]] == 0:
        edges[0], edges[1], edges[2] = third, first, second
    elif labels[ring[third]] == 0:
        edges[0], edges[1], edges[2] = third, second, first
    elif labels[ring[second]] != 0:
        return 3
    return -3


@numba.njit(cache=True)
def touches_itself(walls: Ints, count: int) -> bool:
    """Whether the cone's apex pinches some structure: its walls form more than one ring around the apex."""
    for first in range(count):
        for side in (2, 3):
            label = walls[first, side]
            if label == 0 or _members(walls, first, label):
                continue
            members = _members(walls, count, label)
            if _ring(walls, count, first, label) < members:
                return True
    return False


@numba.njit(cache=True)
def _members(walls: Ints, count: int, label: int) -> int:
    """How many of the first ``count`` walls have ``label`` beside them."""
    members: int = 0
    for n in range(count):
        members += walls[n, 2] == label or walls[n, 3] == label
    return members


@numba.njit(cache=True)
def _ring(walls: Ints, count: int, first: int, label: int) -> int:
    """How many walls the ring of ``label``'s walls through wall ``first`` has; each node lies on two of them."""
    current, node = first, walls[first, 1]
    length = 1
    while node != walls[first, 0]:
        for n in range(count):
            if n == current or (walls[n, 2] != label and walls[n, 3] != label):
                continue
            if walls[n, 0] == node or walls[n, 1] == node:
                node = walls[n, 1] if walls[n, 0] == node else walls[n, 0]
                current = n
                length += 1
                break
    return length

"""Triangles in a tree of boxes: which is nearest to a point, which overlap, what a ray hits first."""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

LEAF = 4
"""Triangles in a leaf, about."""
DEPTH = 96
"""Entries of a traversal's stack; a tree of 2^31 triangles is 32 deep and leaves one entry a level."""

Corners = NDArray[np.float64]


class Tree(NamedTuple):
    """A complete binary tree: node n has the children 2n + 1 and 2n + 2, the last 2^d nodes are leaves.

    ``corners`` (m, 3, 3) are the triangles in the order of the leaves, ``order`` (m,) int64 their numbers in the
    input, ``boxes`` (nodes, 6) float64 the least and the largest coordinates under a node.
    """

    corners: Corners
    order: NDArray[np.int64]
    boxes: NDArray[np.float64]


def tree_of(vertices: NDArray[np.float64], faces: NDArray[np.int32]) -> Tree:
    """The tree of a mesh with at least one face; triangles are sorted along a Morton curve, ties by number."""
    middles = (vertices[faces[:, 0]] + vertices[faces[:, 1]] + vertices[faces[:, 2]]) / 3
    low = middles.min(axis=0)
    extent = max(float((middles.max(axis=0) - low).max()), 1e-300)
    order = np.argsort(_morton((middles - low) / extent), kind="stable")
    del middles
    corners = np.ascontiguousarray(vertices[faces[order]])
    leaves = 1
    while leaves * LEAF < len(faces):
        leaves *= 2
    return Tree(corners, order, _boxes(corners, leaves))


@numba.njit(cache=True)
def _morton(places: NDArray[np.float64]) -> NDArray[np.int64]:
    """Morton codes, 20 bits an axis, of (n, 3) places in [0, 1]."""
    codes = np.empty(len(places), np.int64)
    for n in range(len(places)):
        code = np.int64(0)
        for axis in range(3):
            bits = np.int64(places[n, axis] * 1048575.0)
            bits = (bits | (bits << 32)) & 0x1F00000000FFFF
            bits = (bits | (bits << 16)) & 0x1F0000FF0000FF
            bits = (bits | (bits << 8)) & 0x100F00F00F00F00F
            bits = (bits | (bits << 4)) & 0x10C30C30C30C30C3
            bits = (bits | (bits << 2)) & 0x1249249249249249
            code |= bits << axis
        codes[n] = code
    return codes


@numba.njit(cache=True)
def _boxes(corners: Corners, leaves: int) -> NDArray[np.float64]:
    """Boxes of all nodes, from the leaves up."""
    boxes = np.empty((2 * leaves - 1, 6))
    for leaf in range(leaves):
        box = boxes[leaves - 1 + leaf]
        box[:3], box[3:] = np.inf, -np.inf
        for n in range(leaf * len(corners) // leaves, (leaf + 1) * len(corners) // leaves):
            for corner in range(3):
                for axis in range(3):
                    box[axis] = min(box[axis], corners[n, corner, axis])
                    box[3 + axis] = max(box[3 + axis], corners[n, corner, axis])
    for node in range(leaves - 2, -1, -1):
        for axis in range(3):
            boxes[node, axis] = min(boxes[2 * node + 1, axis], boxes[2 * node + 2, axis])
            boxes[node, 3 + axis] = max(boxes[2 * node + 1, 3 + axis], boxes[2 * node + 2, 3 + axis])
    return boxes


@numba.njit(cache=True, inline="always")
def box_distance(boxes: NDArray[np.float64], node: int, x: float, y: float, z: float) -> float:
    """Squared distance of a point from a node's box."""
    dx = max(boxes[node, 0] - x, 0.0, x - boxes[node, 3])
    dy = max(boxes[node, 1] - y, 0.0, y - boxes[node, 4])
    dz = max(boxes[node, 2] - z, 0.0, z - boxes[node, 5])
    return dx * dx + dy * dy + dz * dz  # type: ignore[no-any-return]


@numba.njit(cache=True)
def triangle_distance(corners: Corners, n: int, x: float, y: float, z: float) -> float:
    """Squared distance of a point from triangle ``n``: to its plane, an edge or a corner, whichever counts.

    Reference: Ericson 2005, Real-time collision detection, section 5.1.5, by the regions of barycentric signs.
    """
    ax, ay, az = x - corners[n, 0, 0], y - corners[n, 0, 1], z - corners[n, 0, 2]
    ux, uy, uz = _edge(corners, n, 1)
    vx, vy, vz = _edge(corners, n, 2)
    d1, d2 = ux * ax + uy * ay + uz * az, vx * ax + vy * ay + vz * az
    uu, uv, vv = ux * ux + uy * uy + uz * uz, ux * vx + uy * vy + uz * vz, vx * vx + vy * vy + vz * vz
    if d1 <= 0 and d2 <= 0:
        return ax * ax + ay * ay + az * az  # type: ignore[no-any-return]
    s, t = _nearest(d1, d2, uu, uv, vv)
    dx, dy, dz = ax - s * ux - t * vx, ay - s * uy - t * vy, az - s * uz - t * vz
    return dx * dx + dy * dy + dz * dz  # type: ignore[no-any-return]


@numba.njit(cache=True, inline="always")
def _edge(corners: Corners, n: int, corner: int) -> tuple[float, float, float]:
    return (
        corners[n, corner, 0] - corners[n, 0, 0],
        corners[n, corner, 1] - corners[n, 0, 1],
        corners[n, corner, 2] - corners[n, 0, 2],
    )


@numba.njit(cache=True)
def _nearest(d1: float, d2: float, uu: float, uv: float, vv: float) -> tuple[float, float]:
    """The nearest point of a triangle as multiples of its two edges from the first corner."""
    d3, d4 = d1 - uu, d2 - uv  # the same products seen from the second corner
    d5, d6 = d1 - uv, d2 - vv  # and from the third
    if d3 >= 0 and d4 <= d3:
        return 1.0, 0.0
    if d6 >= 0 and d5 <= d6:
        return 0.0, 1.0
    vc, vb, va = d1 * d4 - d3 * d2, d5 * d2 - d1 * d6, d3 * d6 - d5 * d4
    if vc <= 0 and d1 >= 0 >= d3:
        return d1 / uu, 0.0
    if vb <= 0 and d2 >= 0 >= d6:
        return 0.0, d2 / vv
    if va <= 0 and d4 >= d3 and d5 >= d6:
        t = (d4 - d3) / ((d4 - d3) + (d5 - d6))
        return 1.0 - t, t
    total = va + vb + vc
    if total <= 0:  # no area: rounding has hidden the edge that is nearest
        return min(max(d1 / max(uu, 1e-300), 0.0), 1.0), 0.0
    return vb / total, vc / total


@numba.njit(cache=True)
def nearest(tree: Tree, x: float, y: float, z: float, hint: int) -> tuple[int, float]:
    """The triangle nearest to a point, by its place in the tree, and the squared distance.

    ``hint`` is a triangle that may well be it: the nearer it is, the fewer boxes are looked into.
    """
    leaves = (len(tree.boxes) + 1) // 2
    count = len(tree.corners)
    best, least = hint, triangle_distance(tree.corners, hint, x, y, z)
    nodes = np.empty(DEPTH, np.int64)
    gaps = np.empty(DEPTH)
    nodes[0], gaps[0], top = 0, box_distance(tree.boxes, 0, x, y, z), 1
    while top:
        top -= 1
        if gaps[top] >= least:
            continue
        node = nodes[top]
        if node >= leaves - 1:
            leaf = node - leaves + 1
            for n in range(leaf * count // leaves, (leaf + 1) * count // leaves):
                distance = triangle_distance(tree.corners, n, x, y, z)
                if distance < least:
                    best, least = n, distance
            continue
        left, right = 2 * node + 1, 2 * node + 2
        to_left, to_right = (
            box_distance(tree.boxes, left, x, y, z),
            box_distance(tree.boxes, right, x, y, z),
        )
        if to_left < to_right:
            left, right, to_left, to_right = right, left, to_right, to_left
        if to_left < least:
            nodes[top], gaps[top], top = left, to_left, top + 1
        if to_right < least:
            nodes[top], gaps[top], top = right, to_right, top + 1
    return best, least


@numba.njit(cache=True)
def first_hit(tree: Tree, start: NDArray[np.float64], way: NDArray[np.float64], beyond: float) -> float:
    """How far along the unit vector ``way`` a ray first meets a triangle past ``beyond``; or infinity."""
    leaves = (len(tree.boxes) + 1) // 2
    count = len(tree.corners)
    nearest_hit = np.inf
    nodes = np.empty(DEPTH, np.int64)
    nodes[0], top = 0, 1
    while top:
        top -= 1
        node = nodes[top]
        if not _ray_meets_box(tree.boxes, node, start, way, nearest_hit):
            continue
        if node < leaves - 1:
            nodes[top], nodes[top + 1] = 2 * node + 1, 2 * node + 2
            top += 2
            continue
        leaf = node - leaves + 1
        for n in range(leaf * count // leaves, (leaf + 1) * count // leaves):
            hit = _ray_meets_triangle(tree.corners, n, start, way)
            if beyond < hit < nearest_hit:
                nearest_hit = hit
    return nearest_hit


@numba.njit(cache=True)
def _ray_meets_box(
    boxes: NDArray[np.float64], node: int, start: NDArray[np.float64], way: NDArray[np.float64], most: float
) -> bool:
    enter, leave = 0.0, most
    for axis in range(3):
        if way[axis] == 0.0:
            if not boxes[node, axis] <= start[axis] <= boxes[node, 3 + axis]:
                return False
            continue
        near = (boxes[node, axis] - start[axis]) / way[axis]
        far = (boxes[node, 3 + axis] - start[axis]) / way[axis]
        enter, leave = max(enter, min(near, far)), min(leave, max(near, far))
    return enter <= leave * (1 + 1e-12) + 1e-12


@numba.njit(cache=True)
def _ray_meets_triangle(
    corners: Corners, n: int, start: NDArray[np.float64], way: NDArray[np.float64]
) -> float:
    """Distance along the ray, or infinity (Moeller and Trumbore 1997); edges count as hit."""
    ux, uy, uz = _edge(corners, n, 1)
    vx, vy, vz = _edge(corners, n, 2)
    cx, cy, cz = way[1] * vz - way[2] * vy, way[2] * vx - way[0] * vz, way[0] * vy - way[1] * vx
    determinant = ux * cx + uy * cy + uz * cz
    if abs(determinant) <= 1e-14 * math.sqrt((ux * ux + uy * uy + uz * uz) * (vx * vx + vy * vy + vz * vz)):
        return np.inf
    ax, ay, az = start[0] - corners[n, 0, 0], start[1] - corners[n, 0, 1], start[2] - corners[n, 0, 2]
    s = (ax * cx + ay * cy + az * cz) / determinant
    tx, ty, tz = ay * uz - az * uy, az * ux - ax * uz, ax * uy - ay * ux
    t = (way[0] * tx + way[1] * ty + way[2] * tz) / determinant
    if s < -1e-9 or t < -1e-9 or s + t > 1 + 1e-9:
        return np.inf
    return (vx * tx + vy * ty + vz * tz) / determinant  # type: ignore[no-any-return]

"""How far a surface could move: the half-width, in mm, within which the true one lies with 95 % probability.

Along the normal of a vertex the true surface is crossed once. Let q(t) be the probability that the place t mm
outwards belongs to the structure. The surface lies more than w outwards with probability q(w), more than w inwards
with 1 - q(-w). The half-width is the least w at which both together are at most 5 %.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

from tomosurf.data.geometry import Geometry
from tomosurf.data.mesh import SurfaceMesh
from tomosurf.data.segmentation import Doubt, Segmentation
from tomosurf.surface.normals import vertex_normals
from tomosurf.surface.trilinear import trilinear

LEVEL = 0.95
"""Probability with which the true surface lies within the half-width."""

LARGEST_MM = 10.0
"""Half-widths end here: this value says "10 mm or more"."""

STEPS_PER_VOXEL = 4
"""Places looked at along a normal, for each voxel of the finest axis of the doubt's grid."""

_SURE = 1 / 1024  # below 1/512 doubt isn't kept


def confidence_of(mesh: SurfaceMesh, segmentation: Segmentation, doubt: Doubt) -> NDArray[np.float32]:
    """(n,) half-widths in mm, 0 to ``LARGEST_MM``, for the vertices of ``mesh``.

    Logits are interpolated between the nodes of ``doubt``, with the side that the label map says; where doubt was
    not kept the label map is taken for sure. Once a place along the normal is surely inside (or outside), the
    surface can't lie beyond it, so that the far wall of a thin structure doesn't count.
    """
    field, grid = _logits(segmentation, mesh.segment.label, doubt)
    step = min(grid.spacing) / STEPS_PER_VOXEL
    widths = np.empty(len(mesh.vertices), np.float32)
    inverse = np.linalg.inv(grid.affine[:3, :3])
    along = (vertex_normals(mesh) * step) @ inverse.T
    _widths(field, grid.to_index(mesh.vertices), along, step, widths)
    return widths


def _logits(segmentation: Segmentation, label: int, doubt: Doubt) -> tuple[NDArray[np.float32], Geometry]:
    """Logit of belonging to ``label`` on the doubt's grid, one node wider, where doubt is none."""
    low = np.full(tuple(n + 2 for n in doubt.values.shape), _SURE, np.float32)
    low[1:-1, 1:-1, 1:-1] = np.clip(doubt.values, _SURE, 0.5)
    grid = doubt.geometry.cropped((-1, -1, -1), low.shape)
    field = np.log1p(-low)
    field -= np.log(low)
    np.negative(field, out=field, where=~_inside(segmentation, label, grid))
    return field, grid


def _inside(segmentation: Segmentation, label: int, grid: Geometry) -> NDArray[np.bool_]:
    """Whether the label map's voxel nearest to each node of ``grid`` is ``label``'s; beyond it, the border's."""
    result = np.empty(grid.shape, bool)
    last = np.array(segmentation.labels.shape) - 1
    plane = np.stack(np.meshgrid(*map(np.arange, grid.shape[:2]), indexing="ij"), axis=-1).reshape(-1, 2)
    for k in range(grid.shape[2]):
        world = grid.to_world(np.column_stack([plane, np.full(len(plane), k)]))
        nearest = np.clip(np.rint(segmentation.geometry.to_index(world)).astype(np.intp), 0, last)
        result[:, :, k] = (segmentation.labels[tuple(nearest.T)] == label).reshape(grid.shape[:2])
    return result


@numba.njit(cache=True)
def _widths(
    field: NDArray[np.float32],
    starts: NDArray[np.float64],
    along: NDArray[np.float64],
    step: float,
    widths: NDArray[np.float32],
) -> None:
    """For each start, in index space, the half-width; ``along`` is one step outwards, ``step`` its length in mm."""
    most = math.ceil(LARGEST_MM / step)
    for n in range(len(starts)):
        x, y, z = starts[n]
        a, b, c = along[n]
        outer = inner = 1.0
        before = 1.0
        width = LARGEST_MM
        for s in range(most + 1):
            beyond = trilinear(field, x + s * a, y + s * b, z + s * c)
            within = trilinear(field, x - s * a, y - s * b, z - s * c)
            outer = min(outer, 1 / (1 + math.exp(-beyond)))
            inner = min(inner, 1 / (1 + math.exp(within)))
            now = outer + inner
            if now <= 1 - LEVEL:
                part = 0.0 if s == 0 else (before - (1 - LEVEL)) / (before - now)
                width = max(0.0, (s - 1 + part) * step)
                break
            before = now
        widths[n] = min(width, LARGEST_MM)

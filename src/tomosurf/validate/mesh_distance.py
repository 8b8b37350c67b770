"""How far an exported surface lies from the boundary of what people drew."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.geometry import Geometry
from tomosurf.data.mesh import SurfaceMesh
from tomosurf.data.segmentation import Code, Segment, Segmentation

MOST_SAMPLES = 100_000
"""Triangles of a surface that are looked at, evenly over their order; more would change no digit shown."""

_DRAWN = Segment(1, "mask", Code("MASK", "A mask", "99TOMOSURF"), (0, 0, 0))


def surface_of_mask(mask: NDArray[np.bool_], geometry: Geometry) -> SurfaceMesh | None:
    """The boundary of a mask as a surface; None when it is empty.

    It is what :func:`tomosurf.surface.extract.extract` makes of any label map without margins: the contour at
    0.5 of the mask taken as 0 and 1, low-pass filtered with that function's defaults. On balls of 4 to 15 voxels'
    radius that lies 0.07 to 0.09 voxels from the truth on average: no mesh can be shown to be better than that.
    """
    from tomosurf.surface.extract import extract

    if not mask.any():
        return None
    labels = np.asfortranarray(mask).view(np.uint8)
    return extract(Segmentation(geometry, labels, (_DRAWN,))).meshes[0]


def mesh_distances(mesh: SurfaceMesh, reference: SurfaceMesh) -> dict[str, float]:
    """``mesh_msd_mm`` and ``mesh_p95_mm``: two-sided distances between two surfaces that aren't empty.

    From the middle of every triangle of each surface to the nearest point of the other, weighted by the
    triangle's area: the mean over both surfaces, and the greater one of their 95th percentiles.
    """
    there, weight_there = _distances(mesh, reference)
    back, weight_back = _distances(reference, mesh)
    total = weight_there.sum() + weight_back.sum()
    return {
        "mesh_msd_mm": float((there @ weight_there + back @ weight_back) / total),
        "mesh_p95_mm": max(_percentile95(there, weight_there), _percentile95(back, weight_back)),
    }


def _distances(mesh: SurfaceMesh, other: SurfaceMesh) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    chosen = mesh.faces
    if len(chosen) > MOST_SAMPLES:
        chosen = chosen[np.linspace(0, len(chosen) - 1, MOST_SAMPLES).astype(np.int64)]
    corners = mesh.vertices[chosen]
    areas: Any = (
        np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2
    )
    return distances_to(corners.mean(axis=1), other), areas


def distances_to(points: NDArray[np.float64], surface: SurfaceMesh) -> NDArray[np.float64]:
    """(n,) mm from each of the (n, 3) points to the nearest place of ``surface``."""
    from tomosurf.surface.distance import squared_distances
    from tomosurf.surface.tree import tree_of

    asked = np.ascontiguousarray(points, np.float64)
    found: NDArray[np.float64] = np.sqrt(squared_distances(asked, tree_of(surface.vertices, surface.faces)))
    return found


def _percentile95(distances: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """The distance that 95 % of the weight doesn't exceed."""
    order = np.argsort(distances, kind="stable")
    reached = np.cumsum(weights[order])
    place = int(np.searchsorted(reached, 0.95 * reached[-1]))
    return float(distances[order][min(place, len(order) - 1)])

"""Surfaces between thick slices: margins as monotone cubics against straight lines, on solids that are known.

Eight solids, each at two places on its grid, voxels of 0.8 mm, slices 2.4 and 5 mm apart. The margin is a signed
distance, what a network says (``6 tanh(distance / 2 mm)``), or what a scanner sees: occupancy of a slice as thick
as the slices are apart, blurred by 0.6 mm in its plane, less a half.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

from tests.benchmarks.harness import Figure, main
from tomosurf.data.geometry import Geometry
from tomosurf.data.segmentation import Margin, Segmentation
from tomosurf.surface.extract import extract
from tomosurf.surface.measure import measure
from tomosurf.testing.grids import centred
from tomosurf.testing.phantoms import Ball, Capsule, Ellipsoid, Placed, Shape, Torus, rotation_about
from tomosurf.testing.segmentations import segment

VOXEL, HALF = 0.8, 30.0
SPACINGS = (2.4, 5.0)
PLACES = ((0.2, -0.3, 0.37), (-0.4, 0.1, 0.05))
"""Of a solid's middle on its grid, in voxels."""

CENTRE, TURN = (0.0, 0.0, 0.0), rotation_about((1.0, 0.4, 0.2), 45)
SOLIDS: dict[str, Shape] = {
    "ball, r 14": Ball(CENTRE, 14.0),
    "ball, r 7": Ball(CENTRE, 7.0),
    "torus": Torus(CENTRE, 17.0, 7.0),
    "tilted torus": Placed(Torus(CENTRE, 17.0, 7.0), TURN, CENTRE),
    "upright capsule": Capsule((0.0, 0.0, -14.0), (0.0, 0.0, 14.0), 6.0),
    "flat capsule": Capsule((-14.0, 0.0, 0.0), (14.0, 0.0, 0.0), 6.0),
    "tilted capsule": Capsule((-14.0, -3.0, -16.0), (14.0, 4.0, 16.0), 6.0),
    "tilted ellipsoid": Placed(Ellipsoid(CENTRE, (10.0, 16.0, 24.0)), TURN, CENTRE),
}

Field = Callable[[Shape, NDArray[np.float64], float], NDArray[np.float64]]


def distance(shape: Shape, points: NDArray[np.float64], apart: float) -> NDArray[np.float64]:
    """Above zero inside, mm."""
    return -shape.signed_distance(points)


def logits(shape: Shape, points: NDArray[np.float64], apart: float) -> NDArray[np.float64]:
    """What a network says that is sure 2 mm away from the boundary."""
    return 6 * np.tanh(distance(shape, points, apart) / 2)


def partial_volume(shape: Shape, points: NDArray[np.float64], apart: float) -> NDArray[np.float64]:
    """Occupancy of a slice, less a half."""
    heights = (np.arange(9) - 4) / 9 * apart
    away = [distance(shape, points + np.array([0, 0, h]), apart) for h in heights]
    return np.mean([0.5 * erf(mm / (0.6 * math.sqrt(2))) for mm in away], axis=0)


class Off(NamedTuple):
    """Mean and largest distance of triangles' middles from the solid in mm, volume error in %, and triangles."""

    mean: float
    largest: float
    volume: float
    triangles: float


def figures() -> list[Figure]:
    fields: dict[str, Field] = {
        "signed distance": distance,
        "logits": logits,
        "partial volume": partial_volume,
    }
    found = []
    for name, field in fields.items():
        for apart in SPACINGS:
            ours = mean_over_solids(field, apart)
            with patch("tomosurf.surface.extract.curved", lambda walls, *_: walls):
                lines = mean_over_solids(field, apart)
            what, peer = f"{name}, slices of {apart:g} mm", "straight lines"
            found += [
                Figure(f"{what}: mean distance", ours.mean, lines.mean, peer, "mm", goal=1.0),
                Figure(f"{what}: largest distance", ours.largest, lines.largest, peer, "mm", goal=1.0),
                Figure(f"{what}: volume error", ours.volume, lines.volume, peer, "%", goal=1.0),
                Figure(f"{what}: triangles", ours.triangles, lines.triangles, peer, ""),
            ]
    return found


def mean_over_solids(field: Field, apart: float) -> Off:
    """The mean of each figure."""
    rows = [off(shape, grid(apart, place), field, apart) for shape in SOLIDS.values() for place in PLACES]
    return Off(*np.mean(rows, axis=0).tolist())


def grid(apart: float, place: tuple[float, float, float]) -> Geometry:
    shape = (int(2 * HALF / VOXEL), int(2 * HALF / VOXEL), int(2 * HALF / apart) + 2)
    return centred(shape, np.diag([VOXEL, VOXEL, apart]), place)


def off(shape: Shape, geometry: Geometry, field: Field, apart: float) -> Off:
    """One solid's surface against the solid."""
    index = np.stack(np.meshgrid(*map(np.arange, geometry.shape), indexing="ij"), axis=-1).reshape(-1, 3)
    values = field(shape, geometry.to_world(index), apart).reshape(geometry.shape).astype(np.float32)
    labels = np.asfortranarray(values > 0, np.uint8)
    mesh = extract(Segmentation(geometry, labels, (segment(1),), {1: Margin(geometry, values)})).meshes[0]
    corners = mesh.vertices[mesh.faces]
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    away = np.abs(shape.signed_distance(corners.mean(axis=1)))
    volume = 100 * abs(measure(mesh).volume_mm3 / shape.volume - 1)
    return Off(float(np.average(away, weights=areas)), float(away.max()), volume, float(len(mesh.faces)))


if __name__ == "__main__":
    raise SystemExit(main("thick_slices", figures))

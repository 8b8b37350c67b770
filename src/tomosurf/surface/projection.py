"""Vertex data as seen from one of the six standard views, pixel by pixel, in parallel projection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from tomosurf.data.mesh import SurfaceMesh
from tomosurf.data.views import DIRECTIONS

BORDER_PIXELS = 4


@dataclass(frozen=True, slots=True, eq=False)
class DepthMap:
    """What a view shows of one vertex datum.

    Args:
        view: a key of :data:`tomosurf.data.views.DIRECTIONS`.
        values: (rows, columns) float32, the datum where the surface is seen, NaN elsewhere or where it is NaN.
        mm_per_pixel: size of a pixel.
        origin: LPS mm of the middle of the first pixel, in the plane of the surface's foremost vertex.
        right, down, sight: unit vectors in LPS: along a row, down the rows, and away from the eye.
    """

    view: str
    values: NDArray[np.float32]
    mm_per_pixel: float
    origin: tuple[float, float, float]
    right: tuple[float, float, float]
    down: tuple[float, float, float]
    sight: tuple[float, float, float]

    def frame(self) -> dict[str, Any]:
        """Plain values that place every pixel: origin + column * mm * right + row * mm * down."""
        return {
            "view": self.view,
            "rows": self.values.shape[0],
            "columns": self.values.shape[1],
            "mm_per_pixel": self.mm_per_pixel,
            "origin_lps_mm": list(self.origin),
            "right_lps": list(self.right),
            "down_lps": list(self.down),
            "sight_lps": list(self.sight),
        }


def project(mesh: SurfaceMesh, name: str, view: str, mm_per_pixel: float) -> DepthMap:
    """The vertex datum ``name`` of ``mesh`` as seen from ``view``.

    The surface nearest to the eye counts at the middle of each pixel; between the corners of a face the datum is
    interpolated linearly. A mesh without faces gives an empty picture.
    """
    sight, up = (np.array(direction, np.float64) for direction in DIRECTIONS[view])
    right, down = np.cross(sight, up), -up
    places = mesh.vertices @ np.stack([right, down, sight]).T
    low = places.min(axis=0) if len(places) else np.zeros(3)
    extent = (np.ptp(places[:, :2], axis=0) if len(places) else np.zeros(2)) / mm_per_pixel
    start = low[:2] - BORDER_PIXELS * mm_per_pixel
    columns, rows = (int(np.ceil(length)) + 2 * BORDER_PIXELS + 1 for length in extent)
    values = np.full((rows, columns), np.nan, np.float32)
    depth = np.full((rows, columns), np.inf)
    pixels = (places[:, :2] - start) / mm_per_pixel
    _draw(pixels, places[:, 2], mesh.faces, mesh.vertex_data[name].astype(np.float64), values, depth)
    origin = start[0] * right + start[1] * down + low[2] * sight
    vectors = [_triple(vector) for vector in (origin, right, down, sight)]
    return DepthMap(view, values, mm_per_pixel, *vectors)


def _triple(vector: NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = (float(value) + 0.0 for value in vector)
    return x, y, z


@numba.njit(cache=True)
def _draw(
    pixels: NDArray[np.float64],
    away: NDArray[np.float64],
    faces: NDArray[np.int32],
    data: NDArray[np.float64],
    values: NDArray[np.float32],
    depth: NDArray[np.float64],
) -> None:
    """Every face into the picture, the nearest to the eye last to stay."""
    rows, columns = values.shape
    for f in range(len(faces)):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        x0 = max(0, int(np.ceil(min(pixels[a, 0], pixels[b, 0], pixels[c, 0]))))
        x1 = min(columns - 1, int(np.floor(max(pixels[a, 0], pixels[b, 0], pixels[c, 0]))))
        y0 = max(0, int(np.ceil(min(pixels[a, 1], pixels[b, 1], pixels[c, 1]))))
        y1 = min(rows - 1, int(np.floor(max(pixels[a, 1], pixels[b, 1], pixels[c, 1]))))
        ax, ay = pixels[a, 0], pixels[a, 1]
        ux, uy, vx, vy = pixels[b, 0] - ax, pixels[b, 1] - ay, pixels[c, 0] - ax, pixels[c, 1] - ay
        area = ux * vy - uy * vx
        if area == 0:
            continue
        for row in range(y0, y1 + 1):
            for column in range(x0, x1 + 1):
                v = ((column - ax) * vy - (row - ay) * vx) / area
                w = ((row - ay) * ux - (column - ax) * uy) / area
                u = 1 - v - w
                if u < -1e-12 or v < -1e-12 or w < -1e-12:
                    continue
                distance = u * away[a] + v * away[b] + w * away[c]
                if distance < depth[row, column]:
                    depth[row, column] = distance
                    values[row, column] = u * data[a] + v * data[b] + w * data[c]

"""How far a surface found by intensity could move: from the image's noise, and from the edge beneath the surface.

One level serves a whole structure, but the edge of each place lies halfway between the intensities on its two sides
(Spoor, Zonneveld and Macho 1993, Am J Phys Anthropol 91:469). The distance between the surface and that place's own
half-way crossing is what the common level costs there; noise moves the crossing by its size over the slope.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from tomosurf.data.mesh import SurfaceMesh
from tomosurf.data.volume import Volume
from tomosurf.surface.normals import vertex_normals
from tomosurf.surface.trilinear import trilinear

QUANTILE = 1.959964
"""Of the normal distribution: 95 % lie within so many standard deviations."""

REACH_VOXELS = 3.0
"""How far to either side the intensities of structure and surroundings are looked for, in voxels."""

LEAST_REACH_MM = 2.5
LARGEST_MM = 10.0
_SAMPLES = 8  # on each side
_NOISE_PLACES = 20_000


def estimate_of(mesh: SurfaceMesh, volume: Volume) -> NDArray[np.float32]:
    """(n,) half-widths in mm for the vertices of ``mesh``: an estimate from the image, not held against any truth.

    ``sqrt(shift^2 + (1.96 noise / slope)^2)``, with the shift to the place's own half-way crossing. A place without
    an edge within reach gets ``LARGEST_MM``: nothing in the image holds the surface there.
    """
    if not len(mesh.vertices):
        return np.empty(0, np.float32)
    grid = volume.geometry
    reach = max(LEAST_REACH_MM, REACH_VOXELS * min(grid.spacing))
    step = reach / _SAMPLES
    starts = grid.to_index(mesh.vertices)
    along = (vertex_normals(mesh) * step) @ np.linalg.inv(grid.affine[:3, :3]).T
    widths = np.empty(len(starts), np.float32)
    aside = _SAMPLES * along
    noise = noise_at(volume, np.concatenate([starts - aside, starts + aside]))  # off the edge itself
    _estimate(volume.array, starts, along, step, noise, widths)
    return widths


def noise_at(volume: Volume, places: NDArray[np.float64]) -> float:
    """Standard deviation of the noise near (n, 3) index places, in the volume's unit.

    From second differences along i: ``median |a - 2b + c| / (0.6745 sqrt(6))``; edges at fewer than half of the
    places hardly move the median. Noise that neighbours share is underestimated; 0 where i has under 3 voxels.
    """
    chosen = places[:: max(1, len(places) // _NOISE_PLACES)]
    limits = np.array(volume.array.shape) - 1
    i, j, k = np.clip(np.rint(chosen).astype(np.intp), 0, limits).T
    if limits[0] < 2:
        return 0.0
    i = np.clip(i, 1, limits[0] - 1)
    left, middle, right = (volume.array[i + n, j, k].astype(np.float64) for n in (-1, 0, 1))
    return float(np.median(np.abs(left - 2 * middle + right)) / (0.6744898 * math.sqrt(6)))


@numba.njit(cache=True)
def _estimate(
    array: NDArray[Any],
    starts: NDArray[np.float64],
    along: NDArray[np.float64],
    step: float,
    noise: float,
    widths: NDArray[np.float32],
) -> None:
    """Half-widths by the profile of ``_SAMPLES`` steps to either side of each start."""
    count = 2 * _SAMPLES + 1
    for n in range(len(starts)):
        x, y, z = starts[n]
        a, b, c = along[n]
        profile = np.empty(count)
        for s in range(count):
            t = s - _SAMPLES
            profile[s] = trilinear(array, x + t * a, y + t * b, z + t * c)
        if profile[:_SAMPLES].mean() < profile[_SAMPLES + 1 :].mean():
            profile = -profile
        middle = (profile[: _SAMPLES + 1].max() + profile[_SAMPLES:].min()) / 2
        nearest, slope = LARGEST_MM, 0.0
        for s in range(count - 1):
            if profile[s] >= middle > profile[s + 1]:
                fall = profile[s] - profile[s + 1]
                place = abs(s - _SAMPLES + (profile[s] - middle) / fall) * step
                if place < nearest:
                    nearest, slope = place, fall / step
        if slope > 0:
            widths[n] = min(LARGEST_MM, math.sqrt(nearest**2 + (QUANTILE * noise / slope) ** 2))
        else:
            widths[n] = LARGEST_MM

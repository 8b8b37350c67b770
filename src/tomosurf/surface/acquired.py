"""How far a place of a surface lies from the nearest slice that a scanner took."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.mesh import SurfaceMesh
from tomosurf.data.volume import Volume

INTERPOLATED = "interpolated_slice"
"""The ledger's word for a slice that wasn't acquired."""

RECTIFIED = "rectified"
"""The ledger's word for a volume whose slices are no longer those that were acquired."""

ON_SLICE = 1e-3
"""A place nearer to a slice than so many steps of the stack lies on it."""


def acquired_of(mesh: SurfaceMesh, volume: Volume) -> dict[str, NDArray[np.float32] | NDArray[np.uint8]]:
    """``acquired``, (n,) float32 mm from the nearest acquired slice plane, and ``repaired``, (n,) uint8.

    ``repaired`` is 1 where one of the two slices that a vertex lies between (or the one that it lies on) was
    interpolated. Empty for a rectified volume: its planes aren't the scanner's.
    """
    if any(entry.code == RECTIFIED for entry in volume.ledger):
        return {}
    made_up = {k for entry in volume.ledger if entry.code == INTERPOLATED for k in entry.slices}
    count = volume.geometry.shape[2]
    there = np.array([k for k in range(count) if k not in made_up], np.float64)
    if not len(there):
        return {}
    place = volume.geometry.to_index(mesh.vertices)[:, 2]
    after = np.searchsorted(there, place)
    below = np.abs(place - there[np.maximum(after - 1, 0)])
    above = np.abs(there[np.minimum(after, len(there) - 1)] - place)
    distance = np.minimum(below, above) * volume.geometry.slice_step
    interpolated = np.zeros(count, np.uint8)
    interpolated[sorted(made_up)] = 1
    low = np.clip(np.floor(place + ON_SLICE).astype(np.intp), 0, count - 1)
    high = np.clip(np.ceil(place - ON_SLICE).astype(np.intp), 0, count - 1)
    return {"acquired": distance.astype(np.float32), "repaired": interpolated[low] | interpolated[high]}

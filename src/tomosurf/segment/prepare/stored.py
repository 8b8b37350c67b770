"""Axes in another order, as a file's reader would have them; where they run in the patient isn't asked."""

from __future__ import annotations

import numpy as np

from tomosurf.data.geometry import Geometry
from tomosurf.segment.model.steps import AsStored
from tomosurf.segment.prepare.prepared import Prepared
from tomosurf.segment.prepare.turn import turn_to


def as_stored(state: Prepared, step: AsStored) -> Prepared:
    """The same voxels with the stored axes permuted, never flipped."""
    axes = ["ijk".index(letter) for letter in step.axes]
    affine = np.eye(4)
    affine[:3, :3] = state.grid.affine[:3, axes]
    affine[:3, 3] = state.grid.origin
    shape = state.grid.shape
    grid = Geometry(
        (shape[axes[0]], shape[axes[1]], shape[axes[2]]), affine, state.grid.frame_of_reference_uid
    )
    return turn_to(state, grid)

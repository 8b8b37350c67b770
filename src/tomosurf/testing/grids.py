"""Grids around the origin."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from tomosurf.data.geometry import Geometry


def centred(shape: Sequence[int], axes: ArrayLike, shift: ArrayLike = 0.0) -> Geometry:
    """A grid of ``shape`` whose middle, or ``shift`` voxels after it, lies on the origin; ``axes`` (3, 3) in mm."""
    affine = np.eye(4)
    affine[:3, :3] = axes
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2 + np.asarray(shift))
    i, j, k = shape
    return Geometry((i, j, k), affine)

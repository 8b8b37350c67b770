"""An image on its way to a network, with the grid that it lies on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.geometry import Geometry

Padding = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
NO_PADDING: Padding = ((0, 0), (0, 0), (0, 0))


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """What a network sees: ``image`` (channels, x, y, z) float32 on ``grid``; the voxels that were ``measured``.

    ``measured`` is None where all were. The grid lies in the patient frame like any other. ``padding`` counts
    the voxels before and after each axis that a step added: the network sees them, and nothing else ever does.
    ``earlier`` (x, y, z) int16 are labels of a cascade's first stage, -1 where nnU-Net's mask leaves the image out.
    """

    image: NDArray[np.float32]
    grid: Geometry
    measured: NDArray[np.bool_] | None = None
    padding: Padding = NO_PADDING
    earlier: NDArray[np.int16] | None = None

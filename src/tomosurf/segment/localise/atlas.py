"""What an atlas brings: a T1 image of a brain without its skull, and where grey and white matter are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.geometry import Geometry
from tomosurf.segment.localise.blocks import block_means

MATTER = 0.5
"""Probability from which a voxel counts as grey or white matter."""

RIM_MM = 4.0
"""How far beyond the brain's surface images are compared: cerebrospinal fluid and the skull's inner table, dark
in T1 like the emptiness around a brain that was cut out. Scalp and fat lie farther out."""


@dataclass(frozen=True)
class Atlas:
    """An atlas in its own LPS mm: ``t1``, ``grey`` and ``white`` (probabilities, 0 to 1), float32 on ``geometry``.

    ``geometry`` has its axes along L, P and S, and cubic voxels. ``source`` says where it comes from.
    """

    name: str
    source: str
    geometry: Geometry
    t1: NDArray[np.float32]
    grey: NDArray[np.float32]
    white: NDArray[np.float32]

    @cached_property
    def centre(self) -> NDArray[np.float64]:
        """LPS mm of the brain's centre of volume."""
        places = np.argwhere(self.t1 > 0)
        centre: NDArray[np.float64] = self.geometry.to_world([places.mean(axis=0)])[0]
        return centre

    def at(self, step: int) -> AtlasLevel:
        """The atlas in blocks of ``step`` voxels an edge."""
        from scipy.ndimage import binary_dilation

        t1, geometry = block_means(self.t1, self.geometry, (step, step, step))
        brain = block_means((self.t1 > 0).astype(np.float32), self.geometry, (step, step, step))[0] > MATTER
        grey, white = (
            block_means(field, self.geometry, (step, step, step))[0] for field in (self.grey, self.white)
        )
        layers = max(1, round(RIM_MM / geometry.spacing[0]))
        return AtlasLevel(geometry, t1, binary_dilation(brain, iterations=layers), brain, grey, white)


@dataclass(frozen=True, slots=True, eq=False)
class AtlasLevel:
    """The atlas at one resolution; ``near`` is the brain with a rim of ``RIM_MM``, where images are compared."""

    geometry: Geometry
    t1: NDArray[np.float32]
    near: NDArray[np.bool_]
    brain: NDArray[np.bool_]
    grey: NDArray[np.float32]
    white: NDArray[np.float32]

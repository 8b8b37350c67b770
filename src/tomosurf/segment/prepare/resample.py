"""An image on the grid of a network's voxels."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tomosurf.data.geometry import Geometry
from tomosurf.segment.grids import resample
from tomosurf.segment.model.steps import Resample
from tomosurf.segment.prepare.model_grid import covering
from tomosurf.segment.prepare.monai_grid import monai_spacing
from tomosurf.segment.prepare.prepared import Prepared


def resample_to_cover(state: Prepared, step: Resample) -> Prepared:
    """On the smallest grid that covers the image; see :class:`Resample`."""
    return _onto(state, covering(state.grid, step.spacing_mm), step)


def resample_as_monai(state: Prepared, step: Resample) -> Prepared:
    """On the grid of MONAI's Spacing, whose last voxels may lie short of the image's or beyond them."""
    return _onto(state, monai_spacing(state.grid, step.spacing_mm), step)


def _onto(state: Prepared, grid: Geometry, step: Resample) -> Prepared:
    if grid is state.grid:
        return state
    measured: NDArray[Any] | None = state.measured
    if measured is None and not state.grid.is_orthogonal:
        measured = np.ones(state.grid.shape, bool)
    image = torch.from_numpy(np.ascontiguousarray(state.image))
    if step.order == "nearest":
        seen = resample(image, state.grid, grid, "nearest", "border").numpy()
    else:
        seen = resample(image, state.grid, grid).numpy()
    if measured is None:
        return Prepared(seen, grid)
    there = torch.from_numpy(np.ascontiguousarray(measured, np.float32))[None]
    inside = resample(there, state.grid, grid, "nearest")[0].numpy() > 0.5
    if step.grid == "cover":
        seen[:, ~inside] = 0
    return Prepared(seen, grid, inside)

"""An image as its network sees it: the model's steps, applied one by one, with the grid kept along."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tomosurf.data.geometry import Geometry
from tomosurf.data.volume import Volume
from tomosurf.errors import DataError
from tomosurf.segment.grids import resample, turn, turned
from tomosurf.segment.intensity import normalise
from tomosurf.segment.model_grid import covering, oriented
from tomosurf.segment.spec import InputSpec
from tomosurf.segment.steps import AsStored, CropForeground, Orient, Pad, Resample, Step


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """What a network sees: ``image`` (channels, x, y, z) float32 on ``grid``; the voxels that were ``measured``.

    ``measured`` is None where all were. The grid lies in the patient frame like any other.
    """

    image: NDArray[np.float32]
    grid: Geometry
    measured: NDArray[np.bool_] | None = None


def prepare(volumes: Sequence[Volume], wanted: InputSpec) -> Prepared:
    """One volume a channel, all on one grid, through the model's steps.

    Where nothing was measured (padding) the image starts at its measured minimum, and is 0 after each step of
    intensities. Peak memory: 2 float32 images a channel on the larger of both grids.

    Raises:
        DataError: the number of volumes is wrong, they don't share a grid, or an image has no contrast.
    """
    if len(volumes) != wanted.channels:
        raise DataError(f"this model takes {wanted.channels} images of one patient, not {len(volumes)}")
    first = volumes[0].geometry
    for volume in volumes[1:]:
        if volume.geometry.shape != first.shape or not np.allclose(
            volume.geometry.affine, first.affine, atol=1e-3
        ):
            raise DataError("the images don't share a grid; resample them onto one first")
    state = _start(volumes)
    for step in wanted.steps:
        state = _apply(state, step)
    return replace(state, image=np.ascontiguousarray(state.image))


def _start(volumes: Sequence[Volume]) -> Prepared:
    paddings = [volume.padding for volume in volumes if volume.padding is not None]
    measured = ~np.logical_or.reduce(paddings) if paddings else None
    image = np.stack([volume.array.astype(np.float32) for volume in volumes])
    if measured is not None:
        for channel in image:
            channel[~measured] = channel[measured].min(initial=np.inf) if measured.any() else 0
    return Prepared(image, volumes[0].geometry, measured)


def _apply(state: Prepared, step: Step) -> Prepared:
    match step:
        case Orient(axes=letters):
            return _turn(state, oriented(state.grid, letters))
        case Resample():
            return _resample(state, step)
        case AsStored() | CropForeground() | Pad():
            raise NotImplementedError
        case _:
            for channel in state.image:
                normalise(channel, step, state.measured)
            return state


def _turn(state: Prepared, grid: Geometry) -> Prepared:
    same = turn(state.grid, grid)
    if same is None:
        raise DataError("the image's axes can't be told apart; its geometry is no stack of slices")
    image = np.stack([turned(channel, same) for channel in state.image])
    measured = None if state.measured is None else np.ascontiguousarray(turned(state.measured, same))
    return Prepared(image, grid, measured)


def _resample(state: Prepared, step: Resample) -> Prepared:
    grid = covering(state.grid, step.spacing_mm)
    if grid is state.grid:
        return state
    measured: NDArray[Any] | None = state.measured
    if measured is None and not state.grid.is_orthogonal:
        measured = np.ones(state.grid.shape, bool)
    seen = resample(torch.from_numpy(np.ascontiguousarray(state.image)), state.grid, grid).numpy()
    if measured is None:
        return Prepared(seen, grid)
    there = torch.from_numpy(np.ascontiguousarray(measured, np.float32))[None]
    inside = resample(there, state.grid, grid, "nearest")[0].numpy() > 0.5
    seen[:, ~inside] = 0
    return Prepared(seen, grid, inside)

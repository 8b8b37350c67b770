"""An image on the grid of an nnU-Net's voxels, exactly as nnU-Net resamples it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from tomosurf.data.geometry import Geometry
from tomosurf.segment.grids import thick_axis
from tomosurf.segment.model.steps import Resample
from tomosurf.segment.prepare.prepared import NO_PADDING, Prepared
from tomosurf.segment.prepare.spline_matrix import ORDERS, nearest_places, resized

NOISE = 9
"""Digits of a millimetre that are meant: what an affine's arithmetic leaves behind them decides nothing."""


def resample_as_nnunet(state: Prepared, step: Resample) -> Prepared:
    """On the grid that fills the image's box in a whole number of voxels of about the wanted spacing.

    Memory: beside the image its new self (several channels: twice), and one channel between both.
    """
    x, y, z = (round(edge, NOISE) for edge in state.grid.spacing)
    a, b, c = step.spacing_mm
    own, wanted = (x, y, z), (a or x, b or y, c or z)
    shape = [
        max(1, round(mine / new * count))
        for mine, new, count in zip(own, wanted, state.grid.shape, strict=True)
    ]
    if tuple(shape) == state.grid.shape:
        return state
    thick = thick_axis(own, wanted) if step.separate_axis == "auto" else None
    made = [
        resized(torch.from_numpy(np.ascontiguousarray(given)), shape, ORDERS[step.order], thick).numpy()
        for given in state.image
    ]
    measured = state.measured
    if measured is not None:
        places = [nearest_places(n, m) for n, m in zip(state.grid.shape, shape, strict=True)]
        measured = measured[np.ix_(*places)]
    return replace(
        state,
        image=made[0][None] if len(made) == 1 else np.stack(made),
        grid=same_box(state.grid, (shape[0], shape[1], shape[2])),
        measured=measured,
        padding=NO_PADDING,
        earlier=None if state.earlier is None else resized_labels(state.earlier, shape, thick),
    )


def resized_labels(
    labels: NDArray[np.int16], shape: Sequence[int], planes_of: int | None
) -> NDArray[np.int16]:
    """Labels on another number of voxels in the same box, as nnU-Net resamples those of a cascade's first stage.

    Each label's mask is interpolated linearly and the largest wins; of equal ones that of the nearest voxel.
    ``planes_of`` as in :func:`resized`. Memory: 12 bytes a voxel.

    Reference: batchgenerators 0.25.5, augmentations/utils.py, resize_segmentation.
    """
    places = [nearest_places(n, m) for n, m in zip(labels.shape, shape, strict=True)]
    nearest = labels[np.ix_(*places)]
    winner, best = np.zeros_like(nearest), np.full(nearest.shape, -1, np.float32)
    of_nearest = np.zeros_like(best)
    for label in np.unique(labels).tolist():
        mask = torch.from_numpy((labels == label).astype(np.float32))
        score = resized(mask, shape, ORDERS["linear"], planes_of).numpy()
        higher = score > best
        winner[higher], best[higher] = label, score[higher]
        np.copyto(of_nearest, score, where=nearest == label)
    tied = of_nearest == best
    winner[tied] = nearest[tied]
    return winner


def same_box(grid: Geometry, shape: tuple[int, int, int]) -> Geometry:
    """The grid of ``shape`` whose voxels fill the same box, face to face."""
    factors = np.array(grid.shape) / np.array(shape)
    affine = grid.affine.copy()
    affine[:3, :3] = grid.affine[:3, :3] * factors
    affine[:3, 3] = grid.to_world([(factors - 1) / 2])[0]
    return Geometry(shape, affine, grid.frame_of_reference_uid)

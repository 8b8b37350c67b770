"""A head as registration sees it: coarse, upright in the patient's frame, free of how it was stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.geometry import Geometry
from tomosurf.data.volume import Volume
from tomosurf.errors import DataError
from tomosurf.segment.grids import turn, turned
from tomosurf.segment.localise.blocks import block_means
from tomosurf.segment.prepare.model_grid import oriented

WORKING_MM = 2.0
"""Edge of the voxels of the finest image that is registered, in mm."""

BRIGHTEST = 99.5
"""Percentile of the head's voxels above which intensities are cut: fat and vessels would take up the scale."""

TOP_TO_CENTRE_MM = 82.0
"""From the top of the scalp down to the middle of the brain: half of the template's 150 mm, and the scalp."""

LEAST_PLANE_MM2 = 2000.0
"""Area of the head in a plane from which on it isn't a shoulder's tip, a marker or noise."""


def canonical(volume: Volume) -> Volume:
    """The same voxels with axes towards L, P and S, as closely as they can; nothing is resampled.

    However a head was stored, the same voxels come in the same order from here on.
    """
    grid = oriented(volume.geometry, "LPS")
    same = turn(volume.geometry, grid)
    if same is None:
        raise DataError("the image's axes can't be told apart; its geometry is no stack of slices")
    padding = None if volume.padding is None else turned(volume.padding, same)
    return Volume(
        grid,
        turned(volume.array, same),
        volume.modality,
        volume.unit,
        padding=padding,
        series=volume.series,
        laterality=volume.laterality,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """An image on ``geometry``: cubic voxels along L, P and S, in mm from the volume's middle.

    That middle is ``centre`` (LPS mm).
    ``values`` (float32) are 0 where nothing was ``measured``; ``guesses`` are places (mm from ``centre``) where
    the middle of the brain may be.
    """

    geometry: Geometry
    values: NDArray[np.float32]
    measured: NDArray[np.bool_]
    centre: NDArray[np.float64]
    guesses: tuple[NDArray[np.float64], ...] = ()

    def coarser(self, step: int) -> Head:
        """The same in blocks of ``step`` voxels an edge; a block counts as measured when most of it was."""
        blocks = (step, step, step)
        values, geometry = block_means(self.values, self.geometry, blocks)
        measured = block_means(self.measured.astype(np.float32), self.geometry, blocks)[0] > 1 / 2
        return Head(geometry, values, measured, self.centre, self.guesses)


def head_of(volume: Volume, working_mm: float = WORKING_MM) -> Head:
    """``volume`` (see :func:`canonical`) as a :class:`Head`; memory: about 1/4 of a 1 mm volume as float32."""
    from scipy.ndimage import affine_transform

    geometry = volume.geometry
    spacing = np.round(geometry.spacing, 6)
    a, b, c = (max(1, int(working_mm / step + 1e-3)) for step in spacing)
    array = volume.array
    if volume.padding is not None:
        array = np.where(volume.padding, volume.array[~volume.padding].min(initial=0), volume.array)
    values, grid = block_means(array, geometry, (a, b, c))
    middle = geometry.to_world([(np.array(geometry.shape) - 1) / 2])[0]
    # Rounded, so that the head's place in its frame, and the order of its axes, can't change a single bit.
    axes = np.round(grid.affine[:3, :3], 9)
    first = np.round(grid.origin - middle, 6)
    reach = np.abs(axes) @ ((np.array(grid.shape) - 1) / 2)
    half = np.ceil(reach / (4 * working_mm)).astype(int) * 4 + 4  # room around it, and whole blocks
    n, m, p = (2 * half).tolist()
    own = np.eye(4)
    own[:3, :3] *= working_mm
    own[:3, 3] = -(half - 0.5) * working_mm
    matrix = np.linalg.solve(axes, own[:3, :3])
    offset = np.linalg.solve(axes, own[:3, 3] - first)
    low = float(values.min())
    there = affine_transform(np.ones(grid.shape, np.float32), matrix, offset, (n, m, p), order=1) > 1 / 2
    image = affine_transform(values - low, matrix, offset, (n, m, p), order=1)
    image[~there] = 0
    brightest = float(np.percentile(image[there], BRIGHTEST)) if there.any() else 0.0
    if not brightest > 0:
        raise DataError("the image has no contrast; a head can't be found in it")
    image = np.clip(image / brightest, 0, 1).astype(np.float32)
    place = Geometry((n, m, p), own)
    return Head(place, image, there, middle, _guesses(image, there, place))


def _guesses(
    image: NDArray[np.float32], there: NDArray[np.bool_], grid: Geometry
) -> tuple[NDArray[np.float64], ...]:
    """Where the brain's middle may be: below the top of the head, in the head's middle, in the image's."""
    import SimpleITK

    body = SimpleITK.OtsuThreshold(SimpleITK.GetImageFromArray(image.T), 0, 1)
    body = SimpleITK.RelabelComponent(SimpleITK.ConnectedComponent(body), sortByObjectSize=True) == 1
    mask = np.asarray(SimpleITK.GetArrayFromImage(body)).T.astype(bool)
    guesses = [grid.to_world([np.argwhere(there).mean(axis=0)])[0]]
    if not mask.any():
        return tuple(guesses)
    guesses.insert(0, grid.to_world([np.argwhere(mask).mean(axis=0)])[0])
    step = grid.spacing[2]
    areas = mask.sum(axis=(0, 1)) * step * step
    planes = np.flatnonzero(areas >= LEAST_PLANE_MM2)
    if len(planes):
        top = int(planes[-1])
        lowest = max(0, top - round(2 * TOP_TO_CENTRE_MM / step))
        i, j, _ = np.argwhere(mask[:, :, lowest : top + 1]).mean(axis=0)
        guesses.insert(0, grid.to_world([(i, j, top)])[0] - [0, 0, TOP_TO_CENTRE_MM])
    return _apart(guesses)


def _apart(places: Sequence[NDArray[np.float64]], least_mm: float = 15.0) -> tuple[NDArray[np.float64], ...]:
    """``places`` without those nearer than ``least_mm`` to one before."""
    kept: list[NDArray[np.float64]] = []
    for place in places:
        if all(np.linalg.norm(place - other) >= least_mm for other in kept):
            kept.append(place)
    return tuple(kept)

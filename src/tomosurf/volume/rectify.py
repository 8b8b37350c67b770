"""A leaning stack on right angles: each slice shifted in its own plane."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.codes import refusal
from tomosurf.data.geometry import ORTHOGONAL_TOLERANCE, Geometry
from tomosurf.data.volume import LedgerEntry, Volume
from tomosurf.errors import GeometryError
from tomosurf.progress import Progress, silent
from tomosurf.volume.tolerances import DEFAULT_TOLERANCES, Tolerances

STAGE = "rectify"
WHOLE = 1e-6
"""Part of a voxel by which a shift may miss a whole number and still be taken for one: nothing is resampled."""
Plane = NDArray[np.float64]
Mask = NDArray[np.bool_]


def rectify(
    volume: Volume, progress: Progress = silent, *, tolerances: Tolerances = DEFAULT_TOLERANCES
) -> Volume:
    """``volume`` on an orthogonal grid that covers it; an orthogonal volume comes back as it is.

    i and j keep their directions and spacings, k runs along the normal with the step between slice planes. A
    lean shifts every slice in its own plane and nothing else, so slice k stays slice k. A shift by whole voxels
    copies; another interpolates, by cubic convolution (Catmull-Rom, exact for quadratics) where four neighbours
    along an axis were measured, linearly where two were, and limited to the volume's range. All else, what lies
    outside the slices as well, is padding, with the volume's smallest value. Integers are rounded.

    Args:
        volume: any, as acquired.
        progress: told after every slice, as stage "rectify".
        tolerances: of which ``max_voxels`` limits the covering grid.

    Raises:
        GeometryError: rows and columns don't meet at a right angle; shifting slices can't mend that.
        InputRefused: the covering grid is too large.

    Reference: Keys, IEEE Trans. Acoust. Speech Signal Process. 29 (1981) 1153, with a = -1/2.
    """
    grid = volume.geometry
    if grid.is_orthogonal:
        return volume
    if abs(float(grid.directions[:, 0] @ grid.directions[:, 1])) > ORTHOGONAL_TOLERANCE:
        raise GeometryError("rows and columns don't meet at a right angle; only a leaning stack is rectified")
    target, shifts = _cover(grid)
    if math.prod(target.shape) > tolerances.max_voxels:
        what = " x ".join(map(str, target.shape)) + " voxels on right angles"
        raise refusal("too_large", what, series=volume.series)
    lowest, highest = volume.array.min(), volume.array.max()
    columns, rows, count = target.shape
    values = np.full((count, rows, columns), lowest, volume.array.dtype)
    padding = np.ones(values.shape, bool)
    for k, (right, down) in enumerate(shifts):
        plane = volume.array[:, :, k].T
        measured = np.ones(plane.shape, bool) if volume.padding is None else ~volume.padding[:, :, k].T
        plane, measured = _moved(plane, measured, float(down), rows)
        turned, there = _moved(plane.T, measured.T, float(right), columns)
        plane, measured = turned.T, there.T
        if plane.dtype == np.float64:
            plane = np.clip(plane, lowest, highest)
            plane = np.rint(plane) if values.dtype.kind in "iu" else plane
        np.copyto(values[k], plane.astype(values.dtype), where=measured)
        padding[k] = ~measured
        progress(STAGE, (k + 1) / count)
    return replace(
        volume,
        geometry=target,
        array=values.T,
        ledger=_ledger(volume, shifts, float(lowest)),
        padding=padding.T if padding.any() else None,
    )


def _cover(grid: Geometry) -> tuple[Geometry, NDArray[np.float64]]:
    """The orthogonal grid, and by how many of its voxels each slice is shifted along i and j: (nk, 2), >= 0."""
    normal = grid.slice_normal * math.copysign(1.0, float(grid.slice_normal @ grid.affine[:3, 2]))
    step = grid.slice_step * normal
    in_plane = np.linalg.lstsq(grid.affine[:3, :2], grid.affine[:3, 2] - step, rcond=None)[0]
    shifts = np.arange(grid.shape[2])[:, None] * in_plane
    start = np.floor(shifts.min(axis=0) + WHOLE)
    shifts = shifts - start
    more = np.ceil(shifts.max(axis=0) - WHOLE)
    affine = grid.affine.copy()
    affine[:3, 2] = step
    affine[:3, 3] += grid.affine[:3, :2] @ start
    shape = (grid.shape[0] + int(more[0]), grid.shape[1] + int(more[1]), grid.shape[2])
    return Geometry(shape, affine, grid.frame_of_reference_uid), shifts


def _moved(plane: NDArray[Any], measured: Mask, shift: float, length: int) -> tuple[NDArray[Any], Mask]:
    """``plane`` shifted along its first axis by ``shift`` >= 0 voxels into ``length`` voxels, and what is known.

    The dtype stays for a shift by whole voxels, else it is float64.
    """
    whole = math.floor(shift + WHOLE)
    part = shift - whole
    if part <= WHOLE:
        return _placed(plane, whole, length), _placed(measured, whole, length)
    plane = np.where(measured, plane, 0).astype(np.float64)
    taps = [_placed(plane, whole + n, length) for n in (-1, 0, 1, 2)]
    known = [_placed(measured, whole + n, length) for n in (-1, 0, 1, 2)]
    inner = known[1] & known[2]
    moved = (1 - part) * taps[1] + part * taps[2]
    cubic = sum(weight * tap for weight, tap in zip(_weights(part), taps, strict=True))
    np.copyto(moved, cubic, where=inner & known[0] & known[3])
    return moved, inner


def _placed(plane: NDArray[Any], start: int, length: int) -> NDArray[Any]:
    """``plane`` from row ``start`` on in an array of ``length`` rows of zeros; what doesn't fit is cut off."""
    placed = np.zeros((length, *plane.shape[1:]), plane.dtype)
    first = min(max(start, 0), length)
    last = max(first, min(start + len(plane), length))
    placed[first:last] = plane[first - start : last - start]
    return placed


def _weights(t: float) -> tuple[float, float, float, float]:
    """Weights of the voxels at -1, 0, 1 and 2 behind a point shifted by ``t`` from the one at 0."""
    return (
        t * (-1 + t * (2 - t)) / 2,
        1 + t * t * (3 * t - 5) / 2,
        t * (1 + t * (4 - 3 * t)) / 2,
        t * t * (t - 1) / 2,
    )


def _ledger(volume: Volume, shifts: NDArray[np.float64], outside: float) -> tuple[LedgerEntry, ...]:
    """The volume's, in which the lean gives way to what was done about it."""
    grid = volume.geometry
    degrees = math.degrees(math.acos(min(1.0, grid.slice_step / grid.spacing[2])))
    fractions = np.abs(shifts - np.round(shifts)).max(axis=1) > WHOLE
    slices = tuple(int(k) for k in np.flatnonzero(fractions))
    what = (
        f"slices that leaned by {degrees:.2f} degrees were shifted in their planes onto right angles; "
        f"voxels outside them hold {outside:g} and are padding"
    )
    kept = tuple(entry for entry in volume.ledger if entry.code != "gantry_tilt")
    return (*kept, LedgerEntry("rectified", what, slices))

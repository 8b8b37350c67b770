"""Boxes around both sides' structures, cut from one lattice, so that what they give fits together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.geometry import Geometry
from tomosurf.data.volume import Volume
from tomosurf.segment.grids import resample, turn

Shape = tuple[int, int, int]


def nodding(degrees: float) -> NDArray[np.float64]:
    """The rotation of LPS axes about the one from left to right that turns the front downwards."""
    cosine, sine = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[1.0, 0.0, 0.0], [0.0, cosine, -sine], [0.0, sine, cosine]])


def lattice_through(middle: NDArray[np.float64], rotation: NDArray[np.float64], edge_mm: float) -> Geometry:
    """A lattice of cubic voxels along the columns of ``rotation``, with a node at ``middle`` (LPS mm)."""
    affine = np.eye(4)
    affine[:3, :3] = rotation * edge_mm
    affine[:3, 3] = middle
    return Geometry((1, 1, 1), affine)


def box_around(
    lattice: Geometry, middle: NDArray[np.float64], size_mm: tuple[float, float, float]
) -> Geometry:
    """The lattice's box of about ``size_mm`` whose middle is nearest to ``middle`` (LPS mm)."""
    a, b, c = (max(1, round(size / step)) for size, step in zip(size_mm, lattice.spacing, strict=True))
    start = np.rint(lattice.to_index([middle])[0] - (np.array([a, b, c]) - 1) / 2).astype(int)
    i, j, k = start.tolist()
    return lattice.cropped((i, j, k), (a, b, c))


def reaching(volume: Volume, box: Geometry) -> Volume | None:
    """The part of ``volume`` that holds ``box`` and a voxel around it; None where they don't meet."""
    index = volume.geometry.to_index(box.corners())
    start = np.maximum(np.floor(index.min(axis=0) + 1e-6).astype(int) - 1, 0)
    stop = np.minimum(np.ceil(index.max(axis=0) - 1e-6).astype(int) + 2, volume.geometry.shape)
    return None if (stop <= start).any() else _cut(volume, start, stop)


def seen_in(volume: Volume, box: Geometry) -> Volume:
    """``volume``'s values at the voxels of ``box``: themselves where both share a lattice, else trilinear.

    What lies outside of the volume, or was padding there, is padding.
    """
    import torch

    near = reaching(volume, box)
    if near is None:
        nothing = np.ones(box.shape, bool)
        return Volume(box, np.zeros(box.shape, np.float32), volume.modality, volume.unit, padding=nothing)
    own = near.geometry
    first = np.rint(own.to_index([box.origin])[0]).astype(int)
    i, j, k = first.tolist()
    if turn(own.cropped((i, j, k), box.shape), box) is not None:
        values, padding = _shifted(near, first, box.shape)
    else:
        image = torch.from_numpy(np.ascontiguousarray(near.array, np.float32))[None]
        values = resample(image, own, box)[0].numpy()
        there = np.ones(own.shape, np.float32) if near.padding is None else ~near.padding
        known = torch.from_numpy(np.ascontiguousarray(there, np.float32))[None]
        padding = resample(known, own, box, "bilinear", "zeros")[0].numpy() < 1 - 1e-3
    return Volume(
        box,
        values,
        volume.modality,
        volume.unit,
        padding=padding if padding.any() else None,
        series=volume.series,
    )


def _shifted(
    near: Volume, first: NDArray[np.int_], shape: Shape
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Values and padding of a box that begins at voxel ``first`` of ``near`` and may reach beyond it."""
    values, padding = np.zeros(shape, np.float32), np.ones(shape, bool)
    start, stop = np.maximum(first, 0), np.minimum(first + shape, near.array.shape)
    if (stop > start).all():
        here = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
        there = tuple(slice(a, b) for a, b in zip(start - first, stop - first, strict=True))
        values[there] = near.array[here]
        padding[there] = False if near.padding is None else near.padding[here]
    return values, padding


def _cut(volume: Volume, start: NDArray[np.int_], stop: NDArray[np.int_]) -> Volume:
    cut = tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
    i, j, k = start.tolist()
    a, b, c = (stop - start).tolist()
    padding = None if volume.padding is None else volume.padding[cut]
    return Volume(
        volume.geometry.cropped((i, j, k), (a, b, c)),
        volume.array[cut],
        volume.modality,
        volume.unit,
        padding=padding,
        series=volume.series,
    )

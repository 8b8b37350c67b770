"""Segmentation to Scene: one closed surface for every structure that was found, walls shared by neighbours."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from tomosurf.data.adjacency import Adjacency
from tomosurf.data.complex import SurfaceComplex
from tomosurf.data.mesh import Scene
from tomosurf.data.segmentation import Segmentation
from tomosurf.progress import Progress, silent
from tomosurf.surface.crossings import Crossings, find_crossings
from tomosurf.surface.curved import curved
from tomosurf.surface.fractions import pulls_of
from tomosurf.surface.freed_memory import keep_freed_memory
from tomosurf.surface.lattice import Lattice, at_end, lattices_of
from tomosurf.surface.mask_field import mask_walls
from tomosurf.surface.measure import areas_of
from tomosurf.surface.threads import threads_for
from tomosurf.surface.triangulate import Triangulation, triangulate


def extract(segmentation: Segmentation, progress: Progress = silent) -> Scene:
    """The surfaces of all segments that have a voxel, in LPS mm, in the order of the segments' labels.

    See :func:`extract_complexes`, of which these are the meshes.
    """
    return scene_of(segmentation, extract_complexes(segmentation, progress))


def scene_of(segmentation: Segmentation, complexes: tuple[SurfaceComplex, ...]) -> Scene:
    """The mesh of each segment that has a surface in one of the complexes, in order, and who touches whom."""
    owners = {label: complex_ for complex_ in complexes for label in complex_.labels}
    segments = sorted(segmentation.segments, key=lambda segment: segment.label)
    meshes = tuple(owners[s.label].mesh(s) for s in segments if s.label in owners)
    names = {segment.label: segment.name for segment in segments}
    touching = sorted(pair for complex_ in complexes for pair in _shared_areas(complex_))
    adjacency = tuple(Adjacency(names[first], names[second], area) for first, second, area in touching)
    return Scene(meshes, segmentation.geometry, adjacency=adjacency)


def _shared_areas(walls: SurfaceComplex) -> list[tuple[int, int, float]]:
    """(smaller label, larger label, mm2) of each wall between two segments."""
    between = walls.sides[:, 1] > 0
    areas = areas_of(walls.vertices, walls.faces[between])
    large, small = walls.sides[between].astype(np.uint32).T
    pairs, which = np.unique(large << 16 | small, return_inverse=True)
    sums = np.bincount(which, areas, len(pairs))
    return [
        (int(pair & 0xFFFF), int(pair >> 16), float(area)) for pair, area in zip(pairs, sums, strict=True)
    ]


def extract_complexes(segmentation: Segmentation, progress: Progress = silent) -> tuple[SurfaceComplex, ...]:
    """All walls of a segmentation: one complex for each lattice that its margins lie on, one for mere masks.

    A wall runs where the margins of the two labels beside it balance; the label map's stairs never enter. Segments
    without a margin (an imported mask), or whose margin is nowhere inside (a structure that slips through a
    coarser grid), get the walls that :func:`~tomosurf.surface.mask_field.mask_walls` finds in the mask.

    Every label's surface is closed, and wound outwards for every affine. Where a structure reaches the end of the
    image the surface closes on the outer face of the border voxels (those of the margin's grid), and ``fov_cut``
    (uint8) is 1 there. ``slope`` (float32) is the margin's change per mm across the wall, NaN where unknown.

    Memory beside the segmentation: a label volume cropped to what is labelled, and about 70 bytes a triangle for
    masks (up to 100 where they are few), 150 for margins.

    Raises:
        DataError: a margin holds NaN or infinity, or its crop cuts its structure within the volume.
    """
    progress("surface", 0.0)
    keep_freed_memory()
    lattices = lattices_of(segmentation)
    complexes = []
    for done, lattice in enumerate(lattices):
        complexes.append(_walls(lattice))
        progress("surface", (done + 1) / len(lattices))
    progress("surface", 1.0)
    return tuple(complexes)


def _walls(lattice: Lattice) -> SurfaceComplex:
    """The complex of one lattice."""
    crossings = find_crossings(lattice.labels)
    closing = _closing(crossings, lattice)
    if lattice.margins:
        pulls = pulls_of(lattice, crossings)
        along, slope = pulls.fractions(), pulls.slope
        closing |= np.isnan(pulls.lower + pulls.upper)
        along[closing] = 0.5
        found = triangulate(lattice.labels, crossings, crossings.by_axis(along), slope)
        found = curved(found, lattice, crossings, closing)
    else:
        with threads_for(len(crossings)):
            found = mask_walls(lattice.labels, lattice.geometry.affine, crossings, closing)
    return _placed(found, at_end(found.points, closing, lattice), lattice)


def _closing(crossings: Crossings, lattice: Lattice) -> NDArray[np.bool_]:
    """Which crossings lie between a voxel and the end of the image."""
    ni, nj, _ = crossings.shape
    closing = np.zeros(len(crossings), bool)
    for axis, (starts, part) in enumerate(zip(crossings.starts, crossings.by_axis(closing), strict=True)):
        first, last = lattice.first[axis], lattice.last[axis]
        if first > -1 or last < crossings.shape[axis]:
            place = starts % ni if axis == 0 else starts // ni % nj if axis == 1 else starts // (ni * nj)
            part[:] = (place < first) | (place >= last)
    return closing


def _placed(found: Triangulation, cut: NDArray[np.bool_], lattice: Lattice) -> SurfaceComplex:
    """Walls in index space as a complex in LPS mm, wound outwards whatever the affine's handedness.

    Their points are moved to mm in place: a scene's are tens of MB.
    """
    faces = found.faces
    if not lattice.geometry.is_right_handed:
        faces = np.ascontiguousarray(faces[:, ::-1])
    pinched = np.zeros(len(found.points), np.uint8)
    pinched[found.pinches] = 1
    data: dict[str, NDArray[Any]] = {"fov_cut": cut.view(np.uint8), "slope": found.values, "pinched": pinched}
    _to_world(found.points, lattice.geometry.affine)
    return SurfaceComplex(found.points, faces, found.sides, data)


@numba.njit(parallel=True, cache=True)
def _to_world(points: NDArray[np.float64], affine: NDArray[np.float64]) -> None:
    for n in numba.prange(len(points)):
        i, j, k = points[n]
        for axis in range(3):
            along = affine[axis, 0] * i + affine[axis, 1] * j + affine[axis, 2] * k
            points[n, axis] = along + affine[axis, 3]

"""Segmentation to Scene: one closed surface for every structure that was found, walls shared by neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.complex import SurfaceComplex
from tomosurf.data.mesh import Scene, SurfaceMesh
from tomosurf.data.segmentation import Segmentation
from tomosurf.progress import Progress, silent
from tomosurf.surface.crossings import Crossings, find_crossings
from tomosurf.surface.fractions import pulls_of
from tomosurf.surface.lattice import Lattice, lattices_of
from tomosurf.surface.mask_field import Fractions, mask_fractions
from tomosurf.surface.triangulate import Triangulation, triangulate


def extract(segmentation: Segmentation, progress: Progress = silent) -> Scene:
    """The surfaces of all segments that have a voxel, in LPS mm, in the order of the segments' labels.

    See :func:`extract_complexes`, of which these are the meshes.
    """
    return scene_of(segmentation, extract_complexes(segmentation, progress))


def scene_of(segmentation: Segmentation, complexes: tuple[SurfaceComplex, ...]) -> Scene:
    """The mesh of each segment that has a surface in one of the complexes, in the order of labels."""
    owners = {label: complex_ for complex_ in complexes for label in complex_.labels}
    meshes: list[SurfaceMesh] = []
    for segment in sorted(segmentation.segments, key=lambda segment: segment.label):
        if segment.label in owners:
            meshes.append(owners[segment.label].mesh(segment))
    return Scene(tuple(meshes), segmentation.geometry)


def extract_complexes(segmentation: Segmentation, progress: Progress = silent) -> tuple[SurfaceComplex, ...]:
    """All walls of a segmentation: one complex for each lattice that its margins lie on, one for mere masks.

    A wall runs where the margins of the two labels beside it pull equally; the label map's stairs never enter.
    Segments without a margin (an imported mask), or whose margin is nowhere inside (a structure that slips
    through a coarser grid), get walls as smooth as their mask bears out, within half a voxel of its boundary.

    Every label's surface is closed, also after its vertices are rounded to float32 and merged where equal, and is
    wound outwards for every affine. Where a structure reaches the end of the image the surface closes on the
    outer face of the border voxels (those of the margin's grid), and ``fov_cut`` (uint8) is 1 there. ``slope``
    (float32) is the margin's change per mm across the wall, NaN where unknown.

    Raises:
        DataError: a margin holds NaN or infinity, or its crop cuts its structure within the volume.
    """
    progress("surface", 0.0)
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
    if lattice.margins:
        pulls = pulls_of(lattice, crossings)
        found = triangulate(lattice.labels, crossings, _by_axis(pulls.fractions(), crossings), pulls.slope)
        cut = _beyond(found.points, lattice)
        cut[: len(crossings)] |= np.isnan(pulls.lower + pulls.upper)
        return _placed(found, found.points, cut, lattice)
    fractions = mask_fractions(lattice.labels, lattice.geometry.affine, crossings)
    _close(fractions, crossings, lattice)
    unknown = np.full(len(crossings), np.nan, np.float32)
    found = triangulate(lattice.labels, crossings, fractions, unknown)
    return _placed(found, found.points, _beyond(found.points, lattice), lattice)


def _close(fractions: Fractions, crossings: Crossings, lattice: Lattice) -> None:
    """Put what leaves the image on the outer face of its border voxels, in place."""
    strides = np.cumprod((1, *crossings.shape[:2]))
    for axis, (along, starts) in enumerate(zip(fractions, crossings.starts, strict=True)):
        index = starts // strides[axis] % crossings.shape[axis]
        along[(index < lattice.first[axis]) | (index >= lattice.last[axis])] = 0.5


def _by_axis(values: NDArray[np.float32], crossings: Crossings) -> Fractions:
    first = len(crossings.starts[0])
    second = first + len(crossings.starts[1])
    return values[:first], values[first:second], values[second:]


def _beyond(points: NDArray[np.float64], lattice: Lattice) -> NDArray[np.bool_]:
    """Which points lie outside the outermost voxel centres of the image."""
    beyond: NDArray[np.bool_] = np.any((points < lattice.first) | (points > lattice.last), axis=1)
    return beyond


def _placed(
    found: Triangulation, points: NDArray[np.float64], cut: NDArray[np.bool_], lattice: Lattice
) -> SurfaceComplex:
    """Walls in index space as a complex in LPS mm, wound outwards whatever the affine's handedness."""
    faces = found.faces
    if not lattice.geometry.is_right_handed:
        faces = np.ascontiguousarray(faces[:, ::-1])
    pinched = np.zeros(len(points), np.uint8)
    pinched[found.pinches] = 1
    data: dict[str, NDArray[Any]] = {"fov_cut": cut.view(np.uint8), "slope": found.values, "pinched": pinched}
    return SurfaceComplex(lattice.geometry.to_world(points), faces, found.sides, data)

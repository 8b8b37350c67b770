"""Segmentation to Scene: one closed surface for every structure that was found."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.geometry import Geometry
from tomosurf.data.mesh import Scene, SurfaceMesh
from tomosurf.data.segmentation import Margin, Segment, Segmentation
from tomosurf.errors import DataError
from tomosurf.progress import Progress, silent
from tomosurf.surface.border import beyond, close, padded, refuse_cut
from tomosurf.surface.clearance import keep_clear_of_lattice
from tomosurf.surface.contour import contour
from tomosurf.surface.mask import WindowedSinc, mask_surface

Triangles = tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.uint8]]
"""Points in index coordinates, faces, and for each point whether it closes the surface at the border."""


def extract(
    segmentation: Segmentation, progress: Progress = silent, *, smoothing: WindowedSinc | None = None
) -> Scene:
    """The surfaces of all segments that have a voxel, in LPS mm, in the order of the segments' labels.

    A surface is the zero level of the segment's margin, on the margin's own grid; the label map's stairs
    never enter. A segment without a margin (an imported mask), or whose margin is nowhere inside (a
    structure that slips through a coarser grid), gets its mask's surface, smoothed as ``smoothing`` says.

    Every mesh is closed and 2-manifold, also after its vertices are rounded to float32 and merged where
    equal; faces are counter-clockwise seen from outside for every affine. Where a structure reaches the end
    of the image the surface closes on the outer face of the border voxels (those of the margin's grid),
    and ``fov_cut`` is 1 there.

    Memory: beside the segmentation, one copy of a margin (or a byte a voxel of a mask's box) at a time, a
    quarter of it for VTK, and about 50 bytes a triangle while one mesh is made, of which 24 are kept. With
    one margin as large as the volume that is about 3.5 float32 volumes in all for a process that also holds
    the labels and a bone surface of 2.3 million triangles.

    Raises:
        DataError: a margin holds NaN or infinity, or its crop cuts its structure within the volume.
    """
    from scipy.ndimage import find_objects

    smoothing = WindowedSinc() if smoothing is None else smoothing
    segments = sorted(segmentation.segments, key=lambda segment: segment.label)
    boxes = find_objects(segmentation.labels.T, max((s.label for s in segments), default=0))
    meshes = []
    for done, segment in enumerate(segments):
        progress("surface", done / len(segments))
        box = boxes[segment.label - 1] if segment.label <= len(boxes) else None
        if box is None:
            continue
        meshes.append(_surface(segmentation, segment, box[::-1], smoothing))
    progress("surface", 1.0)
    return Scene(tuple(meshes), segmentation.geometry)


def _surface(
    segmentation: Segmentation, segment: Segment, box: tuple[slice, ...], smoothing: WindowedSinc
) -> SurfaceMesh:
    """One segment's mesh: from its margin where there is one with an inside, else from its mask."""
    margin = segmentation.margins.get(segment.label)
    if margin is not None:
        refuse_cut(margin, segmentation.geometry, segment.name)
        triangles = _margin_surface(margin, segment.name)
        if len(triangles[1]):
            return _placed(triangles, margin.geometry, segment)
    triangles = mask_surface(segmentation.labels, segment.label, box, smoothing)
    return _placed(triangles, segmentation.geometry, segment)


def _margin_surface(margin: Margin, name: str) -> Triangles:
    """The zero level of a margin, closed, in the margin's index space."""
    if not np.isfinite([margin.values.min(), margin.values.max()]).all():
        raise DataError(f"the margin of {name!r} holds NaN or infinity; clip it to finite values")
    field = padded(margin.values)
    close(field)
    keep_clear_of_lattice(field)
    close(field)  # again: border voxels may have been raised, and their mirror images follow
    points, faces = contour(field, 0.0)
    points = points - 1
    return points, faces, beyond(points, margin.values.shape)


def _placed(triangles: Triangles, geometry: Geometry, segment: Segment) -> SurfaceMesh:
    """Triangles in index space as a mesh in LPS mm, wound outwards whatever the affine's handedness."""
    points, faces, fov_cut = triangles
    if not geometry.is_right_handed:
        faces = faces[:, ::-1].copy()
    return SurfaceMesh(geometry.to_world(points), faces, segment, {"fov_cut": fov_cut})

"""Does a surface enclose as much as the voxels that it was made from?"""

from __future__ import annotations

import math

from tomosurf.data.case import Case
from tomosurf.data.finding import Finding
from tomosurf.data.geometry import Geometry
from tomosurf.data.mesh import Measurements
from tomosurf.data.segmentation import Segment
from tomosurf.qc.voxels import Bracket, brackets

LARGEST_SHARE = 0.10
"""Difference between surface and voxels, as a share of the voxels' volume, above which a warning is due."""


def check(case: Case, largest_share: float = LARGEST_SHARE) -> list[Finding]:
    """Compare each mesh's volume with its voxels': an error where they contradict each other, else a warning
    where they differ by more than ``largest_share``.

    A surface that parts the structure's voxel centres from the others encloses at least the cells between
    eight inside centres and at most those with one (:class:`tomosurf.qc.voxels.Bracket`), whatever the
    affine: outside of these bounds it can't be the structure's surface, so they need no tuning. A mesh with
    triangles larger than the voxels (a network's coarser grid) gets bounds wider by the ratio of both.

    What a surgeon should make of an error: surface and segmentation have drifted apart; sizes and distances
    taken from it can't be trusted. Don't use that structure. Of a warning: the structure is only a few
    voxels thick, so its volume and its walls are uncertain by about that share; ask for finer images.
    """
    findings = []
    for segmentation in case.segmentations:
        found = brackets(segmentation)
        for segment in segmentation.segments:
            measured = case.measurements.get(segment.name)
            if measured is not None and segment.label in found:
                grid = segmentation.geometry
                findings += _compare(segment, measured, found[segment.label], grid, largest_share)
    return findings


def _compare(
    segment: Segment, measured: Measurements, bracket: Bracket, grid: Geometry, largest_share: float
) -> list[Finding]:
    """What there is to say of one structure, if anything."""
    widening = max(1.0, _triangle_edge(measured) / max(grid.spacing))
    voxels = bracket.voxels * grid.voxel_volume
    least = voxels - widening * (bracket.voxels - bracket.inner) * grid.voxel_volume
    most = voxels + widening * (bracket.outer - bracket.voxels) * grid.voxel_volume
    volume = measured.volume_mm3
    share = (volume - voxels) / voxels
    data = {"mesh_mm3": volume, "voxels_mm3": voxels, "least_mm3": least, "most_mm3": most}
    told = (
        f"The surface of {segment.name} encloses {volume:.1f} mm3, {abs(share):.0%} "
        f"{'more' if share > 0 else 'less'} than its voxels ({voxels:.1f} mm3)"
    )
    if not least <= volume <= most:
        message = f"{told}; from {least:.1f} to {most:.1f} mm3 is possible. Don't use it; report it as a bug."
        return [Finding("mesh_volume", "error", message, segment.name, data)]
    if abs(share) > largest_share:
        message = f"{told}: it is thin for these images, and its volume uncertain by about that much."
        return [Finding("mesh_volume", "warning", message, segment.name, data)]
    return []


def _triangle_edge(measured: Measurements) -> float:
    """Edge length in mm of an equilateral triangle of the mesh's mean triangle area."""
    if measured.triangles == 0:
        return 0.0
    return math.sqrt(4 / math.sqrt(3) * measured.area_mm2 / measured.triangles)

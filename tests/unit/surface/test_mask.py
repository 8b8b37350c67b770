from __future__ import annotations

import numpy as np
import pytest

from tomosurf.data.geometry import Geometry
from tomosurf.data.mesh import SurfaceMesh
from tomosurf.surface.crossings import find_crossings
from tomosurf.surface.extract import extract
from tomosurf.surface.lattice import lattices_of
from tomosurf.surface.measure import measure
from tomosurf.surface.triangulate import triangulate
from tomosurf.testing.phantoms import Ball
from tomosurf.testing.segmentations import segment, segmentation_of

GRID = Geometry((40, 36, 30), np.diag([0.9, 0.9, 1.2, 1.0]))
BALL = Ball((17.0, 15.0, 17.0), 11.0)


def mesh_of() -> SurfaceMesh:
    return extract(segmentation_of([BALL], GRID, with_margins=False)).meshes[0]


def stairs_of() -> SurfaceMesh:
    """The same walls, each half way between two voxels."""
    (lattice,) = lattices_of(segmentation_of([BALL], GRID, with_margins=False))
    crossings = find_crossings(lattice.labels)
    i, j, k = (np.full(len(starts), 0.5, np.float32) for starts in crossings.starts)
    found = triangulate(lattice.labels, crossings, (i, j, k), np.zeros(len(crossings), np.float32))
    return SurfaceMesh(lattice.geometry.to_world(found.points), found.faces, segment())


def test_smoothing_takes_the_stairs_off_and_keeps_the_volume() -> None:
    stairs, smooth = stairs_of(), mesh_of()
    distance = [np.abs(BALL.signed_distance(mesh.vertices)).mean() for mesh in (stairs, smooth)]
    assert distance[1] < 0.75 * distance[0]
    assert measure(smooth).area_mm2 < 0.95 * measure(stairs).area_mm2
    assert measure(smooth).volume_mm3 == pytest.approx(BALL.volume, rel=0.01)


@pytest.mark.parametrize("seed", range(3))
def test_noise_masks_stay_closed_and_manifold(seed: int) -> None:
    from tomosurf.data.segmentation import Segmentation

    labels = np.random.default_rng(seed).integers(0, 3, (16, 15, 14)).astype(np.uint8)
    geometry = Geometry(labels.shape, np.diag([-0.5, 0.5, 1.0, 1.0]))
    segmentation = Segmentation(geometry, labels, (segment(1), segment(2)))
    for mesh in extract(segmentation).meshes:
        measured = measure(mesh)
        assert measured.closed and measured.manifold and measured.volume_mm3 > 0


def test_the_cap_at_the_border_stays_flat() -> None:
    cut = GRID.cropped((0, 0, 14), (40, 36, 16))
    mesh = extract(segmentation_of([BALL], cut, with_margins=False)).meshes[0]
    cap = mesh.vertex_data["fov_cut"].astype(bool)
    index = cut.to_index(mesh.vertices)
    assert cap.any() and np.allclose(index[cap][:, 2], -0.5)
    assert (index[~cap][:, 2] > -0.5).all()
    assert measure(mesh).closed


def test_a_single_voxel_is_found() -> None:
    from tomosurf.data.segmentation import Segmentation

    labels = np.zeros((5, 6, 7), np.uint16)
    labels[4, 0, 3] = 300
    geometry = Geometry(labels.shape, np.eye(4))
    mesh = extract(Segmentation(geometry, labels, (segment(300),))).meshes[0]
    measured = measure(mesh)
    assert measured.closed and 1 / 6 < measured.volume_mm3 <= 1
    # within half a voxel of the voxel's own faces; at the end of the image on them
    assert np.abs(mesh.vertices - [4, 0, 3]).max() < 1.0
    assert mesh.vertices[:, 0].max() == 4.5 and mesh.vertices[:, 1].min() == -0.5

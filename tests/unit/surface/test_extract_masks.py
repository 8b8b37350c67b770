from __future__ import annotations

import numpy as np
import pytest

from tomosurf.data.geometry import Geometry
from tomosurf.surface.extract import extract
from tomosurf.surface.measure import measure
from tomosurf.testing.phantoms import Ball
from tomosurf.testing.segmentations import segmentation_of

GRID = Geometry((40, 36, 30), np.diag([0.9, 0.9, 1.2, 1.0]))
BALL = Ball((17.0, 15.0, 17.0), 11.0)


def test_the_stairs_go_and_the_volume_stays() -> None:
    mesh = extract(segmentation_of([BALL], GRID, with_margins=False)).meshes[0]
    assert np.abs(BALL.signed_distance(mesh.vertices)).mean() < 0.1 * 0.9  # stairs: 0.2 voxels
    assert measure(mesh).area_mm2 == pytest.approx(4 * np.pi * 11.0**2, rel=0.02)
    assert measure(mesh).volume_mm3 == pytest.approx(BALL.volume, rel=0.005)


@pytest.mark.parametrize("seed", range(3))
def test_noise_masks_stay_closed_and_manifold(seed: int) -> None:
    from tomosurf.data.segmentation import Segmentation
    from tomosurf.testing.segmentations import segment

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
    from tomosurf.testing.segmentations import segment

    labels = np.zeros((5, 6, 7), np.uint16)
    labels[4, 0, 3] = 300
    geometry = Geometry(labels.shape, np.eye(4))
    mesh = extract(Segmentation(geometry, labels, (segment(300),))).meshes[0]
    assert measure(mesh).closed
    assert np.abs(mesh.vertices - [4, 0, 3]).max() < 1


@pytest.mark.parametrize("order", ["C", "F"])
def test_the_lattice_is_the_box_of_the_segments_whatever_else_the_map_holds(order: str) -> None:
    from tomosurf.data.segmentation import Segmentation
    from tomosurf.surface.lattice import lattices_of
    from tomosurf.testing.segmentations import segment

    labels = np.zeros((20, 19, 18), np.uint8, order=order)  # type: ignore[call-overload]
    labels[1:5, 2:4, 0:3] = 3
    labels[6:17, 4:9, 2:18], labels[7:9, 11, 3] = 7, 5
    geometry = Geometry(labels.shape, np.eye(4))
    for wanted, low, size in (((3, 5, 7), (1, 2, 0), (16, 10, 18)), ((5, 7), (6, 4, 2), (11, 8, 16))):
        (lattice,) = lattices_of(Segmentation(geometry, labels, tuple(map(segment, wanted))))
        assert set(np.unique(lattice.labels)) == {0, *wanted}
        np.testing.assert_array_equal(lattice.geometry.affine[:3, 3], np.array(low) - 1)
        inside = np.argwhere(lattice.labels)
        np.testing.assert_array_equal(inside.min(axis=0), (1, 1, 1))
        np.testing.assert_array_equal(inside.max(axis=0), size)
    assert lattices_of(Segmentation(geometry, labels, (segment(4),))) == ()

from __future__ import annotations

import numpy as np
import pytest

from tomosurf.data.geometry import Geometry
from tomosurf.data.mesh import SurfaceMesh
from tomosurf.errors import ConfigError
from tomosurf.surface.extract import extract
from tomosurf.surface.mask import WindowedSinc
from tomosurf.surface.measure import measure
from tomosurf.testing.phantoms import Ball
from tomosurf.testing.segmentations import segmentation_of

GRID = Geometry((40, 36, 30), np.diag([0.9, 0.9, 1.2, 1.0]))
BALL = Ball((17.0, 15.0, 17.0), 11.0)


def mesh_of(smoothing: WindowedSinc | None = None) -> SurfaceMesh:
    return extract(segmentation_of([BALL], GRID, with_margins=False), smoothing=smoothing).meshes[0]


def test_smoothing_takes_the_stairs_off_and_keeps_the_volume() -> None:
    stairs, smooth = mesh_of(WindowedSinc(iterations=0)), mesh_of()
    distance = [np.abs(BALL.signed_distance(mesh.vertices)).mean() for mesh in (stairs, smooth)]
    assert distance[1] < 0.75 * distance[0]
    assert measure(smooth).area_mm2 < 0.95 * measure(stairs).area_mm2
    assert measure(smooth).volume_mm3 == pytest.approx(BALL.volume, rel=0.01)


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
    assert np.abs(mesh.vertices - [4, 0, 3]).max() <= 0.5


def test_settings_out_of_range_are_refused() -> None:
    for wrong in ({"iterations": -1}, {"pass_band": 0.0}, {"pass_band": 2.5}):
        with pytest.raises(ConfigError):
            WindowedSinc(**wrong)

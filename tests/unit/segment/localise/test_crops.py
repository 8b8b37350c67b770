"""Boxes cut from a lattice: exact where voxels are shared, linear in between, padding beyond."""

from __future__ import annotations

import numpy as np
import pytest

from tests.heads import pose
from tomosurf.data.geometry import Geometry
from tomosurf.data.volume import Volume
from tomosurf.segment.localise.blocks import block_means
from tomosurf.segment.localise.crops import box_around, lattice_through, nodding, reaching, seen_in

GRID = Geometry(
    (30, 24, 20), pose((5.0, 4.0, -9.0), (10.0, 20.0, -30.0), 1.0) @ np.diag([1.0, 1.2, 1.5, 1.0])
)


def ramp(points: np.ndarray) -> np.ndarray:
    return 3.0 + points @ [0.5, -0.25, 0.125]


@pytest.fixture(scope="module")
def volume() -> Volume:
    index = np.stack(np.indices(GRID.shape), axis=-1).reshape(-1, 3)
    return Volume(GRID, ramp(GRID.to_world(index)).reshape(GRID.shape).astype(np.float32), "MR")


def test_a_box_on_the_volumes_own_voxels_holds_them_and_pads_beyond(volume):
    crop = seen_in(volume, GRID.cropped((-2, 3, 5), (6, 4, 15 + 3)))
    assert np.array_equal(crop.array[2:, :, :15], volume.array[:4, 3:7, 5:])
    assert crop.padding[:2].all()
    assert crop.padding[:, :, 15:].all()
    assert not crop.padding[2:, :, :15].any()


def test_a_turned_box_reads_a_ramp_exactly(volume):
    middle = GRID.to_world([(14.5, 11.5, 9.5)])[0]
    lattice = lattice_through(middle, nodding(15.0), 1.0)
    box = box_around(lattice, middle, (9.0, 8.0, 7.0))
    crop = seen_in(volume, box)
    index = np.stack(np.indices(box.shape), axis=-1).reshape(-1, 3)
    assert crop.padding is None
    assert np.allclose(crop.array.ravel(), ramp(box.to_world(index)), atol=1e-4)


def test_boxes_keep_to_their_lattice_and_to_the_place_asked_for():
    lattice = lattice_through(np.array([1.0, 2.0, 3.0]), nodding(-20.0), 1.0)
    rng = np.random.default_rng(1)
    for place in rng.uniform(-50, 50, (20, 3)):
        box = box_around(lattice, place, (38.0, 54.0, 41.0))
        first = lattice.to_index([box.origin])[0]
        middle = box.to_world([(np.array(box.shape) - 1) / 2])[0]
        assert box.shape == (38, 54, 41)
        assert np.abs(first - np.rint(first)).max() < 1e-9
        assert np.linalg.norm(middle - place) <= np.sqrt(3) / 2 + 1e-9


def test_a_box_elsewhere_meets_nothing(volume):
    box = GRID.cropped((400, 0, 0), (5, 5, 5))
    assert reaching(volume, box) is None
    assert seen_in(volume, box).padding.all()


def test_nodding_turns_the_front_downwards():
    front = nodding(30.0) @ [0.0, -1.0, 0.0]
    assert front[2] == pytest.approx(-0.5)
    assert np.allclose(nodding(30.0) @ nodding(-30.0), np.eye(3))


def test_block_means_keep_means_and_places(volume):
    means, grid = block_means(volume.array, GRID, (2, 3, 4))
    assert grid.shape == (15, 8, 5)
    assert means[3, 2, 1] == pytest.approx(volume.array[6:8, 6:9, 4:8].mean(), rel=1e-6)
    index = np.stack(np.indices(grid.shape), axis=-1).reshape(-1, 3)
    assert np.allclose(means.ravel(), ramp(grid.to_world(index)), atol=1e-4)  # a ramp's mean is at the middle

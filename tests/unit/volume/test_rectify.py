"""Leaning stacks on right angles: everything stays where it is in the patient."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tomosurf.data.geometry import Geometry
from tomosurf.data.segmentation import Code, Margin, Segment, Segmentation
from tomosurf.data.volume import LedgerEntry, Volume
from tomosurf.errors import GeometryError, InputRefused
from tomosurf.surface.extract import extract
from tomosurf.testing.phantoms import Ball, rasterise
from tomosurf.testing.strategies import affines
from tomosurf.volume.rectify import rectify
from tomosurf.volume.tolerances import Tolerances


def leaning(degrees=16.5, shape=(60, 64, 40), spacing=(0.9, 0.8, 1.2), sideways=0.0) -> Geometry:
    """A stack whose slices lean by ``degrees`` down the rows and by ``sideways`` mm a slice along them."""
    affine = np.diag([*spacing, 1.0])
    affine[1, 2] = spacing[2] * np.tan(np.radians(degrees))
    affine[0, 2] = sideways
    affine[:3, 3] = (-120.0, 35.0, 400.0)
    return Geometry(shape, affine, "1.2.3")


def sampled(geometry: Geometry, function) -> np.ndarray:
    index = np.stack(np.meshgrid(*map(np.arange, geometry.shape), indexing="ij"), -1).reshape(-1, 3)
    return np.asfortranarray(function(geometry.to_world(index)).reshape(geometry.shape))


def test_an_orthogonal_volume_comes_back_as_it_is():
    volume = Volume(leaning(0), np.zeros((60, 64, 40), np.int16), "CT")
    assert rectify(volume) is volume


def test_the_grid_is_orthogonal_covers_the_slices_and_keeps_k():
    geometry = leaning(sideways=-0.3)
    ledger = (LedgerEntry("gantry_tilt", "leans"), LedgerEntry("interpolated_slice", "made", (3,)))
    told = []
    volume = Volume(
        geometry, np.ones(geometry.shape, np.int16), "CT", "HU", ledger, series="abc", laterality="L"
    )
    straight = rectify(volume, lambda stage, fraction: told.append(fraction))
    grid = straight.geometry
    assert grid.is_orthogonal
    assert grid.is_right_handed
    assert grid.slice_step == pytest.approx(geometry.slice_step)
    assert grid.spacing[:2] == pytest.approx(geometry.spacing[:2])
    inside = grid.to_index(geometry.corners())
    assert (inside > -1e-6).all()
    assert (inside < np.array(grid.shape) - 1 + 1e-6).all()
    assert np.allclose(inside[:, 2], [0] * 4 + [39] * 4)
    assert [entry.code for entry in straight.ledger] == ["interpolated_slice", "rectified"]
    assert "16.5" in rectify(Volume(leaning(), volume.array, "CT")).ledger[0].message
    assert 0 not in straight.ledger[1].slices
    assert (straight.modality, straight.unit, straight.series, straight.laterality) == (
        "CT",
        "HU",
        "abc",
        "L",
    )
    assert grid.frame_of_reference_uid == "1.2.3"
    assert told[-1] == 1.0
    assert straight.array.dtype == np.int16


@settings(max_examples=25, deadline=None)
@given(affines(), st.integers(0, 2**16))
def test_a_ramp_is_exact_wherever_it_was_measured(affine, seed):
    geometry = Geometry((12, 11, 6), affine)
    assume(not geometry.is_orthogonal)
    weights = np.random.default_rng(seed).normal(size=3)

    def ramp(points):
        return (points - affine[:3, 3]) @ weights

    straight = rectify(Volume(geometry, sampled(geometry, ramp), "MR"))
    known = ~straight.padding
    truth = sampled(straight.geometry, ramp)
    assert np.abs(straight.array - truth)[known].max() < 1e-5  # a shift is whole within a millionth
    # measured is what lies inside the leaning stack, to a hundred-thousandth of a voxel
    index = np.argwhere(np.ones(straight.geometry.shape, bool))
    place = geometry.to_index(straight.geometry.to_world(index))[:, :2]
    depth = np.minimum(place, np.array(geometry.shape[:2]) - 1 - place).min(axis=1).reshape(known.shape)
    assert (depth[known] > -1e-5).all()
    assert (depth[~known] < 1e-5).all()
    assert (straight.array[~known] == straight.array.min()).all()


def test_curvature_in_the_plane_is_kept_two_voxels_from_the_edge():
    geometry = leaning(10, (20, 22, 8))

    def bowl(points):
        return (points[:, 0] + 110) ** 2 + 0.5 * (points[:, 1] - 45) ** 2

    straight = rectify(Volume(geometry, sampled(geometry, bowl), "MR"))
    error = np.abs(straight.array - sampled(straight.geometry, bowl))
    known = ~straight.padding
    deep = known[:, 2:-2] & known[:, 1:-3] & known[:, 3:-1] & known[:, :-4] & known[:, 4:]
    assert error[:, 2:-2][deep].max() < 1e-9


def test_shifts_by_whole_voxels_copy():
    affine = np.diag([1.0, 1.0, 2.0, 1.0])
    affine[:3, 2] = [2.0, -1.0, 2.0]
    values = np.random.default_rng(2).integers(-900, 900, (6, 7, 4)).astype(np.int16)
    straight = rectify(Volume(Geometry(values.shape, affine), values, "CT"))
    assert straight.geometry.shape == (12, 10, 4)
    assert straight.ledger[0].slices == ()
    for k in range(4):
        there = ~straight.padding[:, :, k]
        assert there.sum() == 42
        assert np.array_equal(straight.array[:, :, k][there].reshape(6, 7), values[:, :, k])


def test_padding_stays_padding_and_never_mixes_in():
    geometry = leaning(20, (16, 16, 6))
    values = np.full(geometry.shape, 100, np.int16)
    padding = np.zeros(geometry.shape, bool)
    padding[:, :5] = True
    values[padding] = -2000
    straight = rectify(Volume(geometry, values, "CT", padding=padding))
    known = ~straight.padding
    assert (straight.array[known] == 100).all()
    assert (straight.array[~known] == -2000).all()
    assert 0 < known.sum() < known.size


@pytest.mark.parametrize(("degrees", "sideways"), [(16.5, 0.0), (-25.0, 0.4)])
def test_a_ball_comes_out_where_and_as_large_as_it_is(degrees, sideways):
    """Rectified, thresholded and meshed: centroid and radius within 0.1 voxel of the truth."""
    geometry = leaning(degrees, sideways=sideways)
    centre = geometry.to_world([[29.3, 31.6, 19.8]])[0]
    ball = Ball(tuple(centre), 14.0)
    values = np.rint(1000 * rasterise(ball, geometry)).astype(np.int16)
    straight = rectify(Volume(geometry, np.asfortranarray(values), "CT"))
    field = np.where(straight.padding, -500.0, straight.array - 500.0).astype(np.float32)
    segment = Segment(1, "ball", Code("1", "ball"), (1, 2, 3))
    found = Segmentation(
        straight.geometry,
        np.asfortranarray(field > 0, np.uint8),
        (segment,),
        {1: Margin(straight.geometry, np.asfortranarray(field))},
    )
    (mesh,) = extract(found).meshes
    radii = np.linalg.norm(mesh.vertices - centre, axis=1)
    corners = mesh.vertices[mesh.faces]
    signed = np.linalg.det(corners - centre) / 6
    assert signed.sum() > 0
    centroid = (signed[:, None] * (corners - centre).sum(axis=1) / 4).sum(axis=0) / signed.sum()
    voxel = 0.8
    assert np.linalg.norm(centroid) < 0.1 * voxel
    assert abs((signed.sum() * 3 / (4 * np.pi)) ** (1 / 3) - 14.0) < 0.1 * voxel
    assert abs(radii - 14.0).max() < 0.5 * voxel


def test_what_cannot_be_rectified_is_refused():
    affine = np.eye(4)
    affine[:3, 1] = [0.3, 1.0, 0.0]
    with pytest.raises(GeometryError):
        rectify(Volume(Geometry((3, 3, 3), affine), np.zeros((3, 3, 3)), "MR"))
    volume = Volume(leaning(), np.zeros((60, 64, 40), np.int16), "CT", series="abc")
    with pytest.raises(InputRefused) as caught:
        rectify(volume, tolerances=Tolerances(max_voxels=60 * 64 * 40))
    assert (caught.value.code, caught.value.series) == ("too_large", "abc")

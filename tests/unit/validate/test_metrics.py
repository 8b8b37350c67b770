"""The figures against closed forms, against a second library, and against laws."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tomosurf.data.geometry import Geometry
from tomosurf.errors import DataError
from tomosurf.validate.metrics import METRICS, components, score, surface_distances

SPACING = (1.0, 1.25, 2.0)


def grid(shape=(24, 20, 14), spacing=SPACING) -> Geometry:
    return Geometry(shape, np.diag([*spacing, 1.0]))


def cube(start, size, shape=(24, 20, 14)) -> np.ndarray:
    mask = np.zeros(shape, bool, order="F")
    mask[tuple(slice(a, a + n) for a, n in zip(start, size, strict=True))] = True
    return mask


def ball(centre, radius, geometry: Geometry) -> np.ndarray:
    points = geometry.to_world(np.argwhere(np.ones(geometry.shape, bool)))
    return (np.linalg.norm(points - centre, axis=1) < radius).reshape(geometry.shape)


def measured(predicted, reference, geometry=None, tolerances=(1.0,)):
    return score(predicted, reference, geometry or grid(), tolerances, 0.1)


def test_cubes_offset_by_two_voxels():
    told = measured(cube((6, 5, 4), (8, 8, 6)), cube((4, 5, 4), (8, 8, 6)))
    assert told["outcome"] == "found"
    assert told["dice"] == pytest.approx(2 * 6 * 8 * 6 / (2 * 8 * 8 * 6))
    assert told["volume_error_pct"] == 0
    assert told["hd95_mm"] == 2.0  # the whole front face lies two steps of 1 mm off
    assert told["reference_mm3"] == pytest.approx(8 * 8 * 6 * np.prod(SPACING))
    # front and back faces are 2 mm off; of the other four sides the voxels beyond the other cube are 1 or 2 mm off
    face = 8 * 6
    rim = 2 * 8 + 2 * 6 - 4
    boundary = 2 * face + 6 * rim
    # the face beyond the other cube: 2 mm; its ring behind: 1 mm; the face within the other: two voxels from the
    # other's own face, or one step of 1.25 or two of 1 from its sides
    inner = _within(8, 6)
    assert told["msd_mm"] == pytest.approx((2 * face + rim + inner) / boundary)


def _within(ny: int, nz: int) -> float:
    """Sum over the face within the other cube of the distance to the other's nearest side, at most 2 mm."""
    total = 0.0
    for y in range(ny):
        for z in range(nz):
            total += min(2.0, min(y, ny - 1 - y) * SPACING[1], min(z, nz - 1 - z) * SPACING[2])
    return total


def test_two_balls_overlap_as_the_lens_formula_says():
    geometry = grid((100, 60, 60), (0.5, 0.5, 0.5))
    radius, apart = 10.0, 6.0
    a, b = ball((20.0, 15.0, 15.0), radius, geometry), ball((26.0, 15.0, 15.0), radius, geometry)
    lens = np.pi * (4 * radius + apart) * (2 * radius - apart) ** 2 / 12
    told = measured(a, b, geometry)
    assert told["dice"] == pytest.approx(lens / (4 / 3 * np.pi * radius**3), abs=2e-3)
    assert abs(told["volume_error_pct"]) < 0.1
    assert told["hd95_mm"] == pytest.approx(5.7, abs=0.5)


def test_tolerance_separates_what_is_near_from_what_is_far():
    reference = cube((4, 4, 3), (10, 10, 6))
    grown = cube((3, 4, 3), (11, 10, 6))
    told = measured(grown, reference, tolerances=(0.99, 1.0, 3.0))
    assert told["nsd"] < 1
    assert told["nsd_1mm"] == told["nsd_3mm"] == 1


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        (False, False, {"outcome": "absent"}),
        (False, True, {"outcome": "missed", "dice": 0, "nsd": 0, "volume_error_pct": -100}),
        (True, False, {"outcome": "invented", "dice": 0, "nsd": 0}),
    ],
)
def test_conventions_where_a_mask_is_empty(ours, theirs, expected):
    some, none = cube((4, 4, 4), (4, 4, 4)), cube((0, 0, 0), (0, 0, 0))
    told = measured(some if ours else none, some if theirs else none)
    assert {name: told[name] for name in expected} == expected
    assert {name for name in METRICS if name in told} == set(expected) - {"outcome"}


def test_pieces_found_missed_and_false():
    reference = cube((1, 1, 1), (4, 4, 4)) | cube((12, 10, 8), (5, 4, 4))
    predicted = cube((1, 1, 1), (4, 4, 4)) | cube((20, 1, 1), (2, 2, 2)) | cube((16, 13, 11), (1, 1, 1))
    counted = components(predicted, reference, 0.1)
    assert counted == {
        "reference_components": 2,
        "predicted_components": 3,
        "missed_components": 1,  # one voxel of 80 is less than a tenth
        "false_components": 1,
    }
    assert components(predicted, reference, 0.0)["missed_components"] == 0


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(DataError, match="one grid"):
        score(cube((0, 0, 0), (1, 1, 1)), cube((0, 0, 0), (1, 1, 1), (5, 5, 5)), grid(), (1.0,), 0.1)


def random_masks(seed: int):
    """Two blobs that overlap in part, somewhere; one may touch the border."""
    random = np.random.default_rng(seed)
    geometry = grid()
    masks = []
    for _ in range(2):
        centre = random.uniform((6, 6, 6), (17, 18, 20))
        mask = ball(centre, random.uniform(3, 9), geometry) | ball(
            centre + random.uniform(-4, 4, 3), 4, geometry
        )
        masks.append(mask & (random.random(mask.shape) < 0.97))
    return masks[0], masks[1]


@pytest.mark.parametrize("seed", range(8))
def test_monai_says_the_same(seed):
    """Dice, Hausdorff, mean surface distance and surface Dice against MONAI's functions."""
    import torch
    from monai.metrics import (
        compute_average_surface_distance,
        compute_dice,
        compute_hausdorff_distance,
        compute_surface_dice,
    )

    ours, theirs = random_masks(seed)
    told = measured(ours, theirs)
    one, other = (torch.from_numpy(np.ascontiguousarray(m, np.float32))[None, None] for m in (ours, theirs))
    about = {"include_background": True, "spacing": list(SPACING)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert told["dice"] == pytest.approx(float(compute_dice(one, other)), abs=1e-6)
        peer = compute_hausdorff_distance(one, other, percentile=95, **about)
        assert told["hd95_mm"] == pytest.approx(float(peer), abs=1e-5)
        peer = compute_average_surface_distance(one, other, symmetric=True, **about)
        assert told["msd_mm"] == pytest.approx(float(peer), abs=1e-5)
        peer = compute_surface_dice(one, other, [1.0], **about)
        assert told["nsd"] == pytest.approx(float(peer), abs=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_simpleitk_says_the_same(seed):
    import SimpleITK

    # ITK draws no contour where a mask meets the end of the image
    ours, theirs = (np.pad(mask[2:-2, 2:-2, 2:-2], 2) for mask in random_masks(seed))
    told = measured(ours, theirs)
    images = [
        SimpleITK.GetImageFromArray(np.ascontiguousarray(mask.T.astype(np.uint8))) for mask in (ours, theirs)
    ]
    for image in images:
        image.SetSpacing(SPACING)
    overlap = SimpleITK.LabelOverlapMeasuresImageFilter()
    overlap.Execute(images[1], images[0])
    assert told["dice"] == pytest.approx(overlap.GetDiceCoefficient())
    there, back = surface_distances(ours, theirs, grid())
    edges = [SimpleITK.BinaryContour(image, fullyConnected=False) for image in images]
    for distances, source, target in ((there, 0, 1), (back, 1, 0)):
        field = SimpleITK.SignedMaurerDistanceMap(edges[target], squaredDistance=False, useImageSpacing=True)
        reached = SimpleITK.GetArrayFromImage(field)[SimpleITK.GetArrayFromImage(edges[source]) > 0]
        assert np.allclose(np.sort(distances), np.sort(reached), atol=1e-4)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), axis=st.integers(0, 2), factor=st.sampled_from([0.5, 2.0, 3.0]))
def test_laws(seed, axis, factor):
    ours, theirs = random_masks(seed)
    told, other_way = measured(ours, theirs), measured(theirs, ours)
    for name in ("dice", "nsd", "hd95_mm", "msd_mm"):
        assert told[name] == pytest.approx(other_way[name])
    flipped = measured(np.flip(ours, axis), np.flip(theirs, axis))
    scaled = measured(ours, theirs, grid(spacing=tuple(factor * s for s in SPACING)), (factor,))
    for name in told:
        if name != "outcome":
            assert flipped[name] == pytest.approx(told[name])
    for name in ("hd95_mm", "msd_mm"):
        assert scaled[name] == pytest.approx(factor * told[name])
    for name in ("dice", "nsd", "volume_error_pct"):
        assert scaled[name] == pytest.approx(told[name])
    assert 0 <= told["dice"] <= 1 >= told["nsd"] >= 0
    same = measured(ours, ours)
    assert (same["dice"], same["nsd"], same["msd_mm"], same["volume_error_pct"]) == (1, 1, 0, 0)


def test_a_sheared_or_turned_grid_has_the_distances_of_the_patient():
    ours, theirs = random_masks(3)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    affine = np.eye(4)
    affine[:3, :3] = turn * SPACING
    turned = measured(ours, theirs, Geometry(ours.shape, affine))
    plain = measured(ours, theirs)
    assert turned["msd_mm"] == pytest.approx(plain["msd_mm"])
    affine[:3, 2] += 0.7 * affine[:3, 0]
    a, b = cube((4, 4, 4), (1, 1, 1)), cube((4, 4, 7), (1, 1, 1))
    sheared = Geometry(a.shape, affine)
    apart = np.linalg.norm(sheared.to_world([[4, 4, 4]]) - sheared.to_world([[4, 4, 7]]))
    assert measured(a, b, sheared)["hd95_mm"] == pytest.approx(apart)

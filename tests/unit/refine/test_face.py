"""Heads are found, trunks and limbs are not; a blunted face has no features, and the cranium stays to the bit."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from tomosurf.data.face import FacePolicy
from tomosurf.data.geometry import Geometry
from tomosurf.data.segmentation import Code, Segment, Segmentation
from tomosurf.refine.blunt import blunt, shield_of
from tomosurf.refine.face import guard_faces
from tomosurf.refine.head import find_head, may_show_face
from tomosurf.surface.extract import extract
from tomosurf.testing.segmentations import margin_of
from tomosurf.testing.shape import Shape, Union
from tomosurf.testing.solids import Ball, Box, Ellipsoid, EllipticCapsule, EllipticCylinder
from tomosurf.validate.mesh_distance import distances_to

SKIN = Segment(1, "skin", Code("39937001", "Skin structure"), (232, 190, 172))
STEP = 2.5

CRANIUM = Ellipsoid((0.0, 0.0, 0.0), (76.0, 96.0, 115.0))
NOSE, CHIN = Ball((0.0, -96.0, -30.0), 14.0), Ball((0.0, -66.0, -88.0), 18.0)
BROWS = (Ball((-32.0, -80.0, -6.0), 13.0), Ball((32.0, -80.0, -6.0), 13.0))
NECK = EllipticCylinder((0.0, 18.0, -120.0), (55.0, 58.0), 60.0)
SHOULDERS = EllipticCapsule((0.0, 20.0, -185.0), (200.0, 95.0, 30.0), 30.0)
HEAD = (CRANIUM, NOSE, CHIN, *BROWS, NECK)
TRUNK = EllipticCapsule((0.0, 0.0, -60.0), (150.0, 100.0, 40.0), 160.0)


def grid(low: float, high: float, half: float = 215.0, step: float = 4.0, turned: bool = False) -> Geometry:
    """Axial slices from ``low`` to ``high`` mm; ``turned`` gives sagittal ones, from the left, rows going down."""
    counts = [int(2 * half / step), int(2 * 135 / step), int((high - low) / step)]
    if not turned:
        affine = np.diag([step, step, step, 1.0])
        affine[:3, 3] = (-half, -135.0, low)
        return Geometry((counts[0], counts[1], counts[2]), affine)
    affine = np.array([[0, 0, -step, half], [step, 0, 0, -135.0], [0, -step, 0, high], [0, 0, 0, 1.0]])
    return Geometry((counts[1], counts[2], counts[0]), affine)


def skin(shapes: tuple[Shape, ...], geometry: Geometry, with_margin: bool = False) -> Segmentation:
    shape = Union(shapes)
    if with_margin:
        margin = margin_of(shape, geometry)
        labels = (margin.values > 0).astype(np.uint8, order="F")
        return Segmentation(geometry, labels, (SKIN,), {1: margin})
    index = np.stack(np.meshgrid(*map(np.arange, geometry.shape), indexing="ij"), -1).reshape(-1, 3)
    inside = shape.contains(geometry.to_world(index)).reshape(geometry.shape)
    return Segmentation(geometry, inside.astype(np.uint8, order="F"), (SKIN,))


LEGS = tuple(EllipticCylinder((x, 0.0, 0.0), (75.0, 78.0), 400.0) for x in (-90.0, 90.0))


@pytest.mark.parametrize(
    ("shapes", "span", "found"),
    [
        ((*HEAD, SHOULDERS), (-210, 130), True),
        (HEAD, (-120, 130), True),
        (HEAD, (-120, 40), True),  # cut above the brow
        ((*HEAD, SHOULDERS, TRUNK), (-280, -110), False),  # trunk and neck up to below the chin
        ((TRUNK,), (-250, 130), False),  # a trunk that ends round above, as a phantom's does
        ((TRUNK,), (-200, 60), False),
        (LEGS, (-150, 150), False),
        ((EllipticCylinder((0.0, 0.0, 0.0), (28.0, 30.0), 300.0),), (-120, 120), False),  # an arm
        ((Box((0.0, 0.0, 0.0), (40.0, 40.0, 40.0)),), (-60, 60), False),
    ],
    ids=["head and shoulders", "head", "cut head", "neck", "round trunk", "cut trunk", "legs", "arm", "box"],
)
def test_a_head_is_found_where_there_is_one(shapes, span, found) -> None:
    assert (find_head(skin(shapes, grid(*span)), 1) is not None) == found


def test_the_box_of_a_head_is_the_heads_on_axial_and_sagittal_slices() -> None:
    for turned in (False, True):
        head = find_head(skin((*HEAD, SHOULDERS), grid(-210, 130, turned=turned)), 1)
        assert head is not None and head.closed
        assert head.high[2] == pytest.approx(115, abs=5)
        assert head.low[0] == pytest.approx(-76, abs=4) and head.high[0] == pytest.approx(76, abs=4)
        assert "head's size" in head.reason


def test_which_structures_can_show_a_face() -> None:
    plain = Code("1", "x")
    names = {"skin": True, "body_outline": True, "label_7": True, "left_skin_flap": True}
    names |= {"liver": False, "skinny": False, "bone": False, "femoral_head": True, "label_seven": False}
    for name, expected in names.items():
        assert may_show_face(Segment(1, name, plain, (0, 0, 0))) == expected, name
    assert may_show_face(Segment(1, "surface", plain, (0, 0, 0), "outline"))
    assert may_show_face(Segment(1, "huelle", Code("39937001", "Skin structure"), (0, 0, 0)))


def heights(segmentation: Segmentation) -> NDArray[np.float64]:
    """(x, z) mm of the foremost voxel of each column, NaN where there is none; axial grids only."""
    mask = segmentation.labels == 1
    first = mask.argmax(axis=1).astype(float)
    first[~mask.any(axis=1)] = np.nan
    return first * STEP


def detail(front: NDArray[np.float64], columns: tuple[slice, slice]) -> float:
    """Standard deviation of what a smoothing by 10 mm takes away, within ``columns``."""
    smooth = ndimage.gaussian_filter(np.nan_to_num(front, nan=float(np.nanmax(front))), 10 / STEP)
    return float(np.nanstd((front - smooth)[columns]))


@pytest.mark.parametrize("with_margin", [True, False])
def test_a_blunted_face_has_no_features_and_the_rest_stays(with_margin: bool) -> None:
    geometry = grid(-160, 130, half=100.0, step=STEP)
    before = skin(HEAD, geometry, with_margin)
    head = find_head(before, 1)
    assert head is not None
    after = blunt(before, 1, head)
    shield = shield_of(before, 1, head)
    face = (
        slice(int(72 / STEP), int(128 / STEP)),
        slice(int((-95 + 160) / STEP), int((-15 + 160) / STEP)),  # from the chin to below the brow
    )
    assert detail(heights(before), face) > 4.0
    assert detail(heights(after), face) < 1.0  # steps of voxels alone make 2.5 / sqrt(12) = 0.7
    assert (after.labels >= before.labels).all()
    changed = np.argwhere(after.labels != before.labels)
    places = geometry.to_world(changed)
    assert places[:, 1].max() <= shield.y and places[:, 2].max() <= shield.high + STEP
    assert places[:, 2].max() < head.high[2] - 0.4 * (head.high[1] - head.low[1])
    assert after.provenance["blunted"] == ["skin"]
    old, new = extract(before).meshes[0], extract(after).meshes[0]
    aside = 2 * STEP
    cranium = (old.vertices[:, 2] > shield.high + aside) | (old.vertices[:, 1] > shield.y + aside)
    assert cranium.sum() > 1000
    # a mask says to half a voxel where its surface is, and a change of its labels far off moves that guess
    assert distances_to(old.vertices[cranium], new).max() < (0.1 if with_margin else STEP)
    if with_margin:
        # the zero level of the shield is the ellipse itself, not its voxels
        front = new.vertices[(np.abs(shield.depth_at(new.vertices)) < 0.5 * STEP)]
        middle = front[np.abs(front[:, 0]) < 40]
        assert len(middle) > 200
        assert np.percentile(np.abs(shield.depth_at(middle)), 90) < 0.35


@pytest.mark.parametrize("policy", ["refuse", "blunt", "keep"])
def test_a_head_by_header_makes_the_search_stricter_and_nothing_laxer(policy: FacePolicy) -> None:
    told = {"head_by_header": True}
    trunk, head = (skin(shapes, grid(-210, 130)) for shapes in ((TRUNK,), (*HEAD, SHOULDERS)))
    assert guard_faces(trunk, policy) == (trunk, ())
    hinted = replace(trunk, provenance=told)
    guarded, (face,) = guard_faces(hinted, policy)
    assert guarded is hinted
    assert face.action == ("kept" if policy == "keep" else "withheld")
    assert "header says" in face.reason
    bone = replace(hinted, segments=(Segment(1, "bone", Code("272673000", "Bone"), (1, 2, 3)),))
    assert guard_faces(bone, policy) == (bone, ())
    (_, plain), (_, hinted_head) = (
        guard_faces(head, policy),
        guard_faces(replace(head, provenance=told), policy),
    )
    assert plain == hinted_head


def test_other_structures_keep_their_voxels() -> None:
    geometry = grid(-160, 130, half=100.0, step=STEP)
    before = skin(HEAD, geometry)
    labels = before.labels.copy(order="F")
    labels[35:45, 2:9, 40:60] = 2  # a tube before the face
    tube = Segment(2, "tube", Code("1", "x"), (0, 0, 0))
    both = Segmentation(geometry, labels, (SKIN, tube))
    head = find_head(both, 1)
    assert head is not None
    after = blunt(both, 1, head)
    assert np.array_equal(after.labels == 2, labels == 2)


def test_a_real_head_is_found_and_blunted() -> None:
    root = os.environ.get("TOMOSURF_SHARED_DATA")
    path = Path(root or "") / "head-colin27" / "ch2.nii.gz"
    if root is None or not path.is_file():
        pytest.skip("needs TOMOSURF_SHARED_DATA")
    from tomosurf import components
    from tomosurf.image_file import read_volume

    volume = read_volume(path, "MR")
    coarse = np.asfortranarray(volume.array[::2, ::2, ::2] > 20)
    affine = volume.geometry.affine @ np.diag([2.0, 2.0, 2.0, 1.0])
    numbered = components.label_components(coarse)
    mask = components.fill_cavities(
        numbered == components.component_sizes(numbered).argmax(), slice_wise=True
    )
    found = Segmentation(Geometry(mask.shape, affine), mask.astype(np.uint8, order="F"), (SKIN,))
    head = find_head(found, 1)
    assert head is not None and head.closed
    after = blunt(found, 1, head)
    assert 5_000 < (after.labels != found.labels).sum() * 8 < 300_000  # mm3

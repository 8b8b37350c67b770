"""The torso is what its truth says: disjoint structures inside one body, joints with an even gap."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import pytest

from tomosurf.data.geometry import Geometry
from tomosurf.testing.phantoms import Structure
from tomosurf.testing.torso import AIR, BONE, JOINT_GAP, LUNG, MATERIALS, SOFT_TISSUE, hounsfield, torso

CENTRE = (-4.3, -176.2, 861.5)
UNIONS = {"skin", "bone", "lungs", "column", "ribs"}


@pytest.fixture(scope="module")
def structures() -> Mapping[str, Structure]:
    return torso(CENTRE)


def inside(structure: Structure, count: int = 4000) -> np.ndarray:
    low, high = structure.shape.bounds
    points = np.random.default_rng(5).uniform(low, high, (8 * count, 3))
    return points[structure.signed_distance(points) <= 0.0][:count]


def test_fine_structures_are_disjoint(structures: Mapping[str, Structure]) -> None:
    """Points of one structure are at least 2 mm from every other: each border is with soft tissue."""
    fine = sorted(set(structures) - UNIONS)
    boxes = {name: structures[name].shape.bounds for name in fine}
    points = {name: inside(structures[name]) for name in fine}
    for a, b in combinations(fine, 2):
        if (boxes[a][0] < boxes[b][1] + 2).all() and (boxes[b][0] < boxes[a][1] + 2).all():
            assert structures[b].signed_distance(points[a]).min() >= 2.0, (a, b)
            assert structures[a].signed_distance(points[b]).min() >= 2.0, (a, b)


def test_everything_lies_well_inside_the_skin(structures: Mapping[str, Structure]) -> None:
    for name in set(structures) - {"skin"}:
        assert structures["skin"].signed_distance(inside(structures[name])).max() <= -3.0, name


def test_unions_add_up(structures: Mapping[str, Structure]) -> None:
    def total(*starts: str) -> float:
        return sum(s.volume for name, s in structures.items() if name.startswith(starts))

    assert structures["lungs"].volume == pytest.approx(total("lung_"))
    assert structures["column"].volume == pytest.approx(total("vertebra_"))
    assert structures["ribs"].volume == pytest.approx(total("rib_"))
    assert structures["bone"].volume == pytest.approx(total("vertebra_", "rib_", "femoral_head_", "socket_"))


def test_left_and_right_mirror_each_other(structures: Mapping[str, Structure]) -> None:
    for name in [n for n in structures if "left" in n and "lung" not in n]:
        left, right = structures[name], structures[name.replace("left", "right")]
        assert left.volume == pytest.approx(right.volume)
        assert left.centroid[0] > CENTRE[0] > right.centroid[0]
        mirrored = [2 * CENTRE[0] - left.centroid[0], *left.centroid[1:]]
        assert right.centroid == pytest.approx(mirrored)


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_joint_gap_is_even(structures: Mapping[str, Structure], side: str) -> None:
    head, socket = structures[f"femoral_head_{side}"], structures[f"socket_{side}"]
    low, high = socket.shape.bounds
    points = np.random.default_rng(6).uniform(low, high, (200_000, 3))
    to_socket = socket.signed_distance(points)
    in_gap = (np.abs(to_socket - JOINT_GAP / 2) < 0.05) & (np.abs(head.signed_distance(points) - 1.2) < 1.2)
    widths = to_socket[in_gap] + head.signed_distance(points[in_gap])
    assert in_gap.sum() > 200
    assert np.median(widths) == pytest.approx(JOINT_GAP, abs=1e-6)


def test_hounsfield_units_are_the_structures_own(structures: Mapping[str, Structure]) -> None:
    affine = np.diag([5.0, 5.0, 6.0, 1.0])
    affine[:3, 3] = np.array(CENTRE) - [120.0, 90.0, 120.0]
    geometry = Geometry((49, 37, 41), affine)
    image = hounsfield(structures, geometry)
    index = np.stack(np.meshgrid(*map(np.arange, geometry.shape), indexing="ij"), -1).reshape(-1, 3)
    points = geometry.to_world(index)
    values = image.ravel()
    reach = 4.7  # half a voxel's diagonal
    assert values[structures["skin"].signed_distance(points) > reach] == pytest.approx(AIR)
    assert values[structures["lungs"].signed_distance(points) < -reach] == pytest.approx(LUNG, abs=1e-3)
    assert values[structures["bone"].signed_distance(points) < -reach] == pytest.approx(BONE, abs=1e-3)
    clear = structures["skin"].signed_distance(points) < -reach
    for name in MATERIALS:
        clear &= structures[name].signed_distance(points) > reach
    assert clear.sum() > 1000
    assert values[clear] == pytest.approx(SOFT_TISSUE, abs=1e-3)
    total = (image.astype(float) - AIR).sum() * geometry.voxel_volume
    expected = structures["skin"].volume * (SOFT_TISSUE - AIR) + sum(
        structures[name].volume * ((structures[name].value or 0.0) - SOFT_TISSUE) for name in MATERIALS
    )
    assert total == pytest.approx(expected, rel=2e-3)

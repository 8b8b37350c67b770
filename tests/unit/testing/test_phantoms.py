"""Closed forms against quadrature; the laws of a signed distance; partial volume; truth files."""

from __future__ import annotations

from math import pi
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import qmc

from tomosurf.data.geometry import Geometry
from tomosurf.errors import DataError
from tomosurf.testing.phantoms import (
    SHAPES,
    ArcTube,
    Ball,
    BallOnStem,
    Box,
    Capsule,
    Cup,
    Difference,
    Ellipsoid,
    EllipticCapsule,
    EllipticCylinder,
    Placed,
    Prism,
    Shape,
    Structure,
    Torus,
    TubeTree,
    Union,
    load_truth,
    rasterise,
    rotation_about,
    save_truth,
    shape_from_dict,
)
from tomosurf.testing.solids import ellipse_distance
from tomosurf.testing.strategies import geometry_and_ball

FORK = TubeTree(
    ((0.0, 0, 0), (0.0, 0, 12), (8.0, 0, 18), (-8.0, 0, 18), (8.0, 7, 24)),
    ((0, 1), (1, 2), (1, 3), (2, 4)),
    1.5,
)
ROUND: dict[str, Shape] = {
    "ball": Ball((1.0, 2.0, 3.0), 5.0),
    "ellipsoid": Ellipsoid((1.0, 2.0, 3.0), (4.0, 7.0, 2.0)),
    "elliptic capsule": EllipticCapsule((1.0, 2.0, 3.0), (6.0, 4.0, 3.0), 5.0),
    "capsule": Capsule((0.0, 0.0, 0.0), (5.0, 3.0, 2.0), 2.0),
    "torus": Torus((0.0, 0.0, 1.0), 5.0, 2.0),
    "arc tube": ArcTube((((0.0, 0.0), 6.0, 0.0, 1.2), ((0.0, 0.0), 6.0, 1.2, 4.0)), 1.5),
    "cup": Cup(5.0, 8.0, 1.2),
    "deep cup": Cup(5.0, 8.0, 2.0),
    "shell": Difference(Ball((0.0, 0.0, 0.0), 6.0), Ball((1.0, 0.0, 0.0), 4.0)),
    "pair": Union((Ball((0.0, 0.0, 0.0), 3.0), Ball((9.0, 0.0, 0.0), 2.0))),
}
EDGED: dict[str, Shape] = {
    "box": Box((1.0, 1.0, 1.0), (3.0, 4.0, 5.0)),
    "cylinder": EllipticCylinder((1.0, 1.0, 1.0), (3.0, 5.0), 2.0),
    "prism": Prism(
        (
            ((-4.0, -4.0), (5.0, -4.0), (5.0, 5.0), (0.0, 1.0), (-4.0, 5.0)),
            ((-2.0, -2.0), (0.0, -2.0), (0.0, -1.0), (-2.0, -1.0)),
        ),
        3.0,
    ),
    "ball on stem": BallOnStem(5.0, 2.0, 9.0),
    "fork": FORK,
}
ALL = ROUND | EDGED
TURN = rotation_about((1.0, 2.0, 3.0), 37.0)


def sobol(bounds: np.ndarray, power: int) -> np.ndarray:
    low, high = bounds
    return low + (high - low) * qmc.Sobol(3, seed=1).random_base2(power)


@pytest.mark.parametrize("name", ALL)
def test_volume_and_centroid_are_those_of_the_points_inside(name: str) -> None:
    bounds = ALL[name].bounds
    shape = Placed(ALL[name], TURN, (3.0, 4.0, -5.0))
    points = sobol(bounds, 19) @ np.array(TURN).T + shape.offset
    inside = shape.contains(points)
    measured = np.prod(np.diff(bounds, axis=0)) * inside.mean()
    assert measured == pytest.approx(shape.volume, rel=3e-3)
    assert points[inside].mean(axis=0) == pytest.approx(shape.centroid, abs=0.02)


@pytest.mark.parametrize("name", ALL)
def test_bounds_hold_the_shape_tightly(name: str) -> None:
    shape = ALL[name]
    low, high = shape.bounds
    points = sobol(np.array([low - 2.0, high + 2.0]), 16)
    inside = points[shape.signed_distance(points) <= 0.0]
    assert (inside >= low).all()
    assert (inside <= high).all()
    assert inside.min(axis=0) == pytest.approx(low, abs=0.6)
    assert inside.max(axis=0) == pytest.approx(high, abs=0.6)


@pytest.mark.parametrize("name", ALL)
def test_contains_agrees_with_the_distance(name: str) -> None:
    shape = Placed(ALL[name], TURN, (3.0, 4.0, -5.0))
    points = sobol(shape.bounds, 14)
    distance = shape.signed_distance(points)
    clear = np.abs(distance) > 1e-9
    assert np.array_equal(shape.contains(points)[clear], (distance <= 0.0)[clear])


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_no_distance_changes_faster_than_one_walks(name: str, seed: int) -> None:
    shape = ALL[name]
    rng = np.random.default_rng(seed)
    low, high = shape.bounds
    a = rng.uniform(low - 3.0, high + 3.0, (200, 3))
    b = a + rng.normal(scale=rng.choice([0.01, 1.0, 5.0]), size=a.shape)
    change = np.abs(shape.signed_distance(a) - shape.signed_distance(b))
    assert (change <= np.linalg.norm(a - b, axis=1) + 1e-9).all()


@pytest.mark.parametrize("name", ALL)
def test_outside_the_nearest_surface_is_as_far_as_the_distance_says(name: str) -> None:
    """Walking back along the gradient by the distance ends on the surface: the distance is Euclidean."""
    shape = ALL[name]
    low, high = shape.bounds
    points = sobol(np.array([low - 2.0, high + 2.0]), 12)
    distance = shape.signed_distance(points)
    # Within a step of a medial surface the gradient has no meaning: there are few such points.
    points, distance = points[distance > 1e-3], distance[distance > 1e-3]
    foot = points - distance[:, None] * gradient(shape, points)
    assert np.quantile(np.abs(shape.signed_distance(foot)), 0.97) < 1e-4


@pytest.mark.parametrize("name", ROUND)
def test_inside_too_near_the_surface_of_round_shapes(name: str) -> None:
    shape = ROUND[name]
    points = sobol(shape.bounds, 13)
    distance = shape.signed_distance(points)
    near = (distance < 0.0) & (distance > -0.5)
    points, distance = points[near], distance[near]
    foot = points - distance[:, None] * gradient(shape, points)
    assert np.abs(shape.signed_distance(foot)).max() < 1e-4


def gradient(shape: Shape, points: np.ndarray) -> np.ndarray:
    step = 1e-5
    return np.stack(
        [
            (shape.signed_distance(points + d) - shape.signed_distance(points - d)) / (2 * step)
            for d in step * np.eye(3)
        ],
        axis=1,
    )


def test_distance_to_an_ellipsoid_is_the_least_over_its_surface() -> None:
    axes = (4.0, 7.0, 2.0)
    u, v = np.meshgrid(np.linspace(0, pi, 1201), np.linspace(0, 2 * pi, 1201))
    surface = np.stack([np.sin(u) * np.cos(v), np.sin(u) * np.sin(v), np.cos(u)], -1).reshape(-1, 3) * axes
    points = np.array(
        [
            [0, 0, 0],
            [1, 0, 0],
            [0, 3, 0],
            [0, 0, 1],
            [3, 5, 0],
            [4, 0, 0],
            [9, 9, 9],
            [0.5, -6, 0.2],
            [0, 0, -2],
        ],
        float,
    )
    nearest = [np.linalg.norm(surface - p, axis=1).min() for p in points]
    excess = np.array(nearest) - np.abs(ellipse_distance(points, axes))
    assert excess.min() >= -1e-9
    assert excess.max() < 1e-3
    assert ellipse_distance(points, axes)[:4].max() < 0.0


def test_distance_to_a_needle_and_a_disc_converges() -> None:
    points = np.random.default_rng(3).uniform(-2, 2, (500, 3))
    for axes in ((100.0, 0.1, 0.1), (100.0, 100.0, 0.1)):
        d = ellipse_distance(points * axes, axes)
        assert np.isfinite(d).all()
        inside = (points**2).sum(axis=1) < 1.0
        assert np.array_equal(d < 0.0, inside)


def test_a_crossing_of_equal_tubes_shares_a_steinmetz_solid() -> None:
    r, length = 1.5, 8.0
    ends = [(length, 0.0, 0.0), (-length, 0.0, 0.0), (0.0, length, 0.0), (0.0, -length, 0.0)]
    cross = TubeTree(((0.0, 0.0, 0.0), *ends), ((0, 1), (0, 2), (0, 3), (0, 4)), r)
    bar = Capsule(ends[0], ends[1], r)
    assert cross.volume == pytest.approx(2 * bar.volume - 16.0 / 3.0 * r**3, rel=1e-12)


def test_a_straight_tree_is_a_capsule() -> None:
    nodes = ((0.0, 0.0, 0.0), (3.0, 0.0, 0.0), (9.0, 0.0, 0.0))
    tree, capsule = TubeTree(nodes, ((0, 1), (1, 2)), 1.0), Capsule(nodes[0], nodes[2], 1.0)
    assert tree.volume == pytest.approx(capsule.volume)
    assert tree.centroid == pytest.approx(capsule.centroid)


@pytest.mark.parametrize("name", ALL)
def test_partial_volume_sums_to_the_closed_form(name: str) -> None:
    shape = Placed(ALL[name], TURN, (0.3, 0.1, 0.2))
    affine = np.diag([0.5, 0.6, 0.7, 1.0])
    affine[:3, 3] = shape.bounds[0] - 1.0
    cells = np.ceil((np.diff(shape.bounds, axis=0)[0] + 2.0) / [0.5, 0.6, 0.7]).astype(int)
    fraction = rasterise(shape, Geometry(tuple(cells.tolist()), affine))
    assert fraction.min() == 0.0
    assert fraction.max() == 1.0
    assert fraction.sum(dtype=float) * 0.5 * 0.6 * 0.7 == pytest.approx(shape.volume, rel=4e-3)


@settings(max_examples=30, deadline=None)
@given(geometry_and_ball(max_shape=20))
def test_blocks_give_what_sampling_every_voxel_gives(pair: tuple[Geometry, Ball]) -> None:
    geometry, ball = pair
    axes = [(np.arange(2 * n) - 0.5) / 2.0 for n in geometry.shape]
    fine = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    ni, nj, nk = geometry.shape
    filled = ball.contains(geometry.to_world(fine)).reshape(ni, 2, nj, 2, nk, 2)
    difference = np.abs(rasterise(ball, geometry, 2) - filled.mean(axis=(1, 3, 5)))
    # A sample may lie on the surface to the last digit: such ones may fall on either side.
    assert difference.max() <= 1e-6 or (difference > 1e-6).sum() <= near(ball, geometry, fine)


def near(ball: Ball, geometry: Geometry, index: np.ndarray) -> int:
    return int((np.abs(ball.signed_distance(geometry.to_world(index))) < 1e-9).sum())


def test_a_shape_beyond_the_grid_fills_nothing() -> None:
    assert not rasterise(Ball((100.0, 0.0, 0.0), 5.0), Geometry((8, 8, 8), np.eye(4))).any()


@pytest.mark.parametrize("name", ALL)
def test_a_shape_survives_its_dict(name: str) -> None:
    shape = Placed(ALL[name], TURN, (3.0, 4.0, 5.0))
    assert shape_from_dict(shape.as_dict()) == shape


def test_every_kind_of_shape_is_tested_here() -> None:
    assert {type(shape).__name__ for shape in ALL.values()} | {"Placed"} == set(SHAPES)


def test_truth_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "truth.json"
    truth = {"fork": Structure("fork", FORK, 230.0), "skin": Structure("skin", ROUND["ball"])}
    save_truth(path, truth)
    loaded = load_truth(path)
    assert dict(loaded) == truth
    points = sobol(FORK.bounds, 8)
    assert np.array_equal(loaded["fork"].signed_distance(points), FORK.signed_distance(points))
    assert loaded["fork"].volume == FORK.volume


@pytest.mark.parametrize(
    "data", [{}, {"kind": "Shape"}, {"kind": "Ball", "radius": 1.0}, {"kind": "Ball", "file": "x"}]
)
def test_no_shape_is_made_of_other_dicts(data: dict[str, object]) -> None:
    with pytest.raises(DataError):
        shape_from_dict(data)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"structures": {"a": {}}}', '{"structures": [1]}'])
def test_no_truth_is_read_from_other_files(tmp_path: Path, text: str) -> None:
    path = tmp_path / "truth.json"
    path.write_text(text)
    with pytest.raises(DataError, match="truth"):
        load_truth(path)


def test_shapes_without_a_closed_form_are_refused() -> None:
    o = (0.0, 0.0, 0.0)
    with pytest.raises(DataError, match="one plane"):
        TubeTree((o, (9.0, 0, 0), (0, 9.0, 0), (0, 0, 9.0)), ((0, 1), (0, 2), (0, 3)), 1.0)
    with pytest.raises(DataError, match="shorter"):
        TubeTree((o, (9.0, 0, 0), (8.0, 1.0, 0)), ((0, 1), (0, 2)), 1.0)
    with pytest.raises(DataError, match="no edge"):
        TubeTree((o, (9.0, 0, 0), (8.0, 1.0, 0)), ((0, 1),), 1.0)
    with pytest.raises(DataError, match="smoothly"):
        ArcTube((((0.0, 0.0), 6.0, 0.0, 1.0), ((0.0, 0.0), 7.0, 1.0, 2.0)), 1.0)
    with pytest.raises(DataError, match="turns left"):
        ArcTube((((0.0, 0.0), 6.0, 1.0, 0.0),), 1.0)
    with pytest.raises(DataError, match="thinner"):
        Torus(o, 1.0, 2.0)
    with pytest.raises(DataError, match="inner"):
        Cup(3.0, 2.0, 1.0)
    with pytest.raises(DataError, match="rim"):
        Cup(1.0, 9.0, 3.0)
    with pytest.raises(DataError, match="stem"):
        BallOnStem(2.0, 3.0, 9.0)
    with pytest.raises(DataError, match="orthogonal"):
        Placed(FORK, ((1.0, 0, 0), (0, 2.0, 0), (0, 0, 1.0)))
    with pytest.raises(DataError, match="one part"):
        Union(())

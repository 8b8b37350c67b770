"""The grids that are drawn are what the strategies promise, and reach what they are meant to."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import find, given, settings

from tomosurf.data.geometry import Geometry
from tomosurf.testing.phantoms import Ball
from tomosurf.testing.strategies import geometries, geometry_and_ball, rotations


@given(geometries(min_shape=4, max_shape=9, spacing=(0.5, 2.0)))
def test_rows_are_at_right_angles_to_columns(geometry: Geometry) -> None:
    assert all(4 <= n <= 9 for n in geometry.shape)
    assert abs(float(geometry.directions[:, 0] @ geometry.directions[:, 1])) < 1e-9
    assert 0.5 - 1e-9 <= min(geometry.spacing[:2]) <= max(geometry.spacing[:2]) <= 2.0 + 1e-9
    assert 0.5 - 1e-9 <= geometry.slice_step <= 2.0 + 1e-9


@given(geometries(shear=False))
def test_without_shear_all_axes_are_at_right_angles(geometry: Geometry) -> None:
    assert geometry.is_orthogonal


@given(geometries(oblique=False, shear=False))
def test_without_obliqueness_axes_are_the_patients(geometry: Geometry) -> None:
    assert sorted(np.abs(geometry.directions).ravel()) == [0.0] * 6 + [1.0] * 3


@pytest.mark.parametrize(
    "what",
    [
        lambda g: not g.is_orthogonal,
        lambda g: not g.is_right_handed,
        lambda g: g.is_right_handed,
        lambda g: np.abs(g.directions[:, 0]).max() < 0.8,
        lambda g: np.abs(g.origin).max() > 500.0,
        lambda g: abs(g.directions[2, 0]) > 0.9,
    ],
)
def test_every_kind_of_grid_is_drawn(what: object) -> None:
    assert find(geometries(), what) is not None


@given(rotations())
def test_rotations_turn(rotation: tuple[tuple[float, ...], ...]) -> None:
    R = np.array(rotation)
    assert pytest.approx(np.eye(3), abs=1e-12) == R @ R.T
    assert np.linalg.det(R) == pytest.approx(1.0)


@settings(max_examples=50)
@given(geometry_and_ball())
def test_balls_keep_their_distance_from_the_border(pair: tuple[Geometry, Ball]) -> None:
    geometry, ball = pair
    rng = np.random.default_rng(0)
    ways = rng.normal(size=(2000, 3))
    surface = ball.centroid + ball.radius * ways / np.linalg.norm(ways, axis=1)[:, None]
    index = geometry.to_index(surface)
    assert index.min() >= 2.0 - 1e-6
    assert (index <= np.array(geometry.shape) - 3.0 + 1e-6).all()

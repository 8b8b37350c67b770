import igl
import numpy as np
import pytest

from tests.complexes import ball, three_parts, walls_of
from tomosurf.data.complex import SurfaceComplex
from tomosurf.errors import DataError
from tomosurf.surface.distance import GAP_MM, GAP_SHARE, samples, two_sided
from tomosurf.surface.farthest import beyond
from tomosurf.surface.tree import nearest, tree_of


def mesh(surfaces: SurfaceComplex) -> tuple[np.ndarray, np.ndarray]:
    return surfaces.vertices, surfaces.faces


def test_a_surface_is_at_no_distance_from_itself() -> None:
    found = two_sided(mesh(ball()), mesh(ball()))
    assert found.max_mm < 1e-12


def test_two_balls_about_one_centre_are_apart_by_their_radii() -> None:
    found = two_sided(mesh(ball(20.0, 64)), mesh(ball(21.5, 64)))
    assert found.mean_mm == pytest.approx(1.5, abs=0.02)
    assert 1.5 <= found.max_mm <= 1.5 * (1 + GAP_SHARE) + 0.05


def test_a_spike_between_all_samples_is_not_missed() -> None:
    """The maximum may not hang on where samples lie: one vertex of ten thousand stands out."""
    plain = ball(20.0, 64)
    spiked = plain.vertices.copy()
    spiked[1234] *= 1.1
    found = two_sided((plain.vertices, plain.faces), (spiked, plain.faces))
    assert 2.0 - 1e-9 <= found.max_mm <= 2.0 * (1 + GAP_SHARE) + GAP_MM + 1e-9


def test_the_inside_of_a_large_triangle_counts() -> None:
    """All corners of the coarse mesh lie on the fine one; only its insides are far."""
    corner, side = np.array([[0.0, 0, 0], [9, 0, 0], [0, 9, 0]]), np.array([[0, 1, 2]], np.int32)
    roof = np.concatenate([corner, [[3.0, 3.0, 2.0]]])
    slopes = np.array([[0, 1, 3], [1, 2, 3], [2, 0, 3]], np.int32)
    found = two_sided((corner, side), (roof, slopes))
    exact = np.sqrt(igl.point_mesh_squared_distance(np.array([[3.0, 3.0, 2.0]]), corner, side)[0][0])
    assert found.max_mm >= exact == pytest.approx(2.0)


def test_distances_agree_with_another_library() -> None:
    one, other = mesh(walls_of(three_parts())), mesh(walls_of(three_parts(23)))
    tree = tree_of(*other)
    points = samples(one[0][one[1]])[0][::7]
    ours = np.sqrt([nearest(tree, *point, 0)[1] for point in points])
    theirs = np.sqrt(igl.point_mesh_squared_distance(points, other[0], other[1])[0])
    np.testing.assert_allclose(ours, theirs, atol=1e-9)
    found = two_sided(one, other)
    dense = np.sqrt(igl.point_mesh_squared_distance(samples(one[0][one[1]])[0], other[0], other[1])[0])
    back = np.sqrt(igl.point_mesh_squared_distance(samples(other[0][other[1]])[0], one[0], one[1])[0])
    assert found.mean_mm == pytest.approx(max(dense.mean(), back.mean()), rel=0.02)
    ways = ((one, other), (other, one))
    shares = (
        np.array([(i, j, 8 - i - j) for i in range(9) for j in range(9 - i)]) / 8
    )  # an eighth of an edge apart
    within = [(shares @ start[0][start[1]]).reshape(-1, 3) for start, _ in ways]
    reached = max(
        np.sqrt(igl.point_mesh_squared_distance(points, *goal)[0].max())
        for points, (_, goal) in zip(within, ways, strict=True)
    )
    edge = max(
        np.linalg.norm(m[0][m[1]] - m[0][np.roll(m[1], 1, axis=1)], axis=2).max() for m in (one, other)
    )
    assert reached - 1e-9 <= found.max_mm <= (reached + edge / 16) * (1 + GAP_SHARE) + GAP_MM


def test_what_lies_beyond_a_bound_is_marked_and_nothing_else() -> None:
    plain = ball(20.0, 32)
    spiked = plain.vertices.copy()
    spiked[500] *= 1.1
    tree = tree_of(spiked, plain.faces)
    marked = beyond(tree.corners, tree_of(plain.vertices, plain.faces), 0.5, 0.01)
    assert set(tree.order[marked]) == set(np.flatnonzero((plain.faces == 500).any(axis=1)))


def test_a_mesh_without_faces_is_refused() -> None:
    with pytest.raises(DataError, match="without faces"):
        two_sided((np.zeros((1, 3)), np.zeros((0, 3), np.int32)), mesh(ball()))

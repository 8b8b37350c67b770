from collections import Counter

import numpy as np
import pytest

from tests.complexes import ball, three_parts, walls_of
from tomosurf.data.complex import SurfaceComplex
from tomosurf.errors import ConfigError
from tomosurf.surface.decimate import Target, decimate
from tomosurf.surface.distance import two_sided
from tomosurf.surface.intersections import self_intersections
from tomosurf.surface.measure import measure
from tomosurf.testing.segmentations import segment


@pytest.fixture(scope="module")
def walls() -> SurfaceComplex:
    return walls_of(three_parts())


def edges_of(surfaces: SurfaceComplex) -> Counter[tuple[int, int]]:
    pairs = np.concatenate([surfaces.faces[:, [a, b]] for a, b in ((0, 1), (1, 2), (2, 0))])
    return Counter(map(tuple, np.sort(pairs, axis=1).tolist()))


def test_a_number_of_triangles_is_reached_and_the_ball_stays_round() -> None:
    before = ball()
    after = decimate(before, Target(triangles=len(before.faces) // 10))
    radii = np.linalg.norm(after.vertices, axis=1)
    assert len(before.faces) // 10 - 1 <= len(after.faces) <= len(before.faces) // 10
    assert np.abs(radii - 20).max() < 0.2
    measured = measure(after.mesh(segment(1)))
    assert measured.manifold
    # 900 even triangles with their corners on a sphere enclose 0.83 % less than it
    assert measured.volume_mm3 == pytest.approx(4 / 3 * np.pi * 20**3, rel=0.01)


@pytest.mark.parametrize("allowed", [0.05, 0.2, 1.0])
def test_an_allowed_error_is_kept_to_as_measured(allowed: float) -> None:
    before = ball(rings=32)
    after = decimate(before, Target(max_error_mm=allowed))
    assert len(after.faces) < len(before.faces)
    assert two_sided((before.vertices, before.faces), (after.vertices, after.faces)).max_mm <= allowed


@pytest.mark.parametrize("target", [Target(triangles=600), Target(max_error_mm=0.3)])
def test_walls_stay_shared_and_every_label_keeps_its_topology(walls: SurfaceComplex, target: Target) -> None:
    after = decimate(walls, target)
    assert len(after.faces) < len(walls.faces) / 2
    assert len(np.unique(after.vertices.astype(np.float32), axis=0)) == len(after.vertices)
    assert len(self_intersections(after.vertices, after.faces)) == 0
    for label in walls.labels:
        old, new = measure(walls.mesh(segment(label))), measure(after.mesh(segment(label)))
        assert (new.closed, new.manifold, new.components) == (old.closed, old.manifold, old.components)
        assert abs(new.volume_mm3 - old.volume_mm3) < 0.1 * old.area_mm2  # a third of the error allowed
    junctions = [edge for edge, count in edges_of(after).items() if count == 3]
    assert junctions
    assert set(edges_of(after).values()) == {2, 3}


def test_points_in_which_four_labels_meet_stay_where_they_were(walls: SurfaceComplex) -> None:
    after = decimate(walls, Target(triangles=400))

    def crossings(surfaces: SurfaceComplex) -> set[tuple[float, ...]]:
        ends = Counter(end for edge, count in edges_of(surfaces).items() if count == 3 for end in edge)
        return {tuple(surfaces.vertices[end]) for end, count in ends.items() if count != 2}

    assert crossings(walls)
    assert crossings(after) == crossings(walls)


def test_the_same_complex_gives_the_same_bytes(walls: SurfaceComplex) -> None:
    one, other = (decimate(walls, Target(triangles=500)) for _ in range(2))
    assert one.vertices.tobytes() == other.vertices.tobytes()
    assert one.faces.tobytes() == other.faces.tobytes()


def test_a_flat_cut_keeps_its_plane_and_its_outline() -> None:
    before = walls_of(np.ascontiguousarray(three_parts(20)[:, :, 10:]))
    cut = before.vertex_data["fov_cut"]
    after = decimate(before, Target(triangles=len(before.faces) // 4))
    areas, low, high = [], [], []
    for surfaces in (before, after):
        flat = surfaces.vertex_data["fov_cut"] > 0
        patch = surfaces.faces[flat[surfaces.faces].all(axis=1)]
        low.append(surfaces.vertices[flat, 2].min())
        high.append(surfaces.vertices[flat, 2].max())
        a, b, c = (surfaces.vertices[patch[:, n]] for n in range(3))
        areas.append(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)
    assert low[1] >= low[0] - 1e-9
    assert high[1] <= high[0] + 1e-9
    assert (after.vertex_data["fov_cut"] > 0).sum() < (cut > 0).sum() / 2
    assert areas[1] == pytest.approx(areas[0], rel=0.02)


def test_vertex_data_come_from_one_vertex_close_by() -> None:
    plain = ball()
    numbers = np.arange(len(plain.vertices), dtype=np.int32)
    before = SurfaceComplex(plain.vertices, plain.faces, plain.sides, {"number": numbers})
    after = decimate(before, Target(triangles=1000))
    away = np.linalg.norm(after.vertices - before.vertices[after.vertex_data["number"]], axis=1)
    assert away.max() < 3.0  # an edge of the result is about 3 mm long
    assert len(np.unique(after.vertex_data["number"])) == len(after.vertices)


def test_thin_sheets_that_lie_close_do_not_cross() -> None:
    outer, inner = ball(20.0, 40), ball(19.9, 40)
    turn = np.array([[np.cos(0.03), -np.sin(0.03), 0], [np.sin(0.03), np.cos(0.03), 0], [0, 0, 1.0]])
    faces = np.concatenate([outer.faces, inner.faces[:, ::-1] + len(outer.vertices)]).astype(np.int32)
    shell = SurfaceComplex(
        np.concatenate([outer.vertices, inner.vertices @ turn.T]),
        faces,
        np.tile(np.array([[1, 0]], np.uint16), (len(faces), 1)),
    )
    assert len(self_intersections(shell.vertices, shell.faces)) == 0
    after = decimate(shell, Target(triangles=len(faces) // 10))
    assert len(after.faces) < len(faces)
    assert len(self_intersections(after.vertices, after.faces)) == 0
    assert measure(after.mesh(segment(1))).closed


@pytest.mark.parametrize(
    "values", [{}, {"triangles": 0}, {"max_error_mm": -1.0}, {"max_error_mm": float("nan")}]
)
def test_a_target_without_meaning_is_refused(values: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="above zero"):
        Target(**values)  # type: ignore[arg-type]

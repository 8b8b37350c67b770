from dataclasses import replace

import numpy as np
import pytest

from tests.complexes import three_parts, walls_of
from tomosurf.data.budget import Distances, ErrorBudget, ErrorStep
from tomosurf.data.mesh import Scene
from tomosurf.surface.decimate import Target
from tomosurf.surface.lighter import complex_of, lighter
from tomosurf.surface.measure import measure
from tomosurf.testing.segmentations import segment


@pytest.fixture(scope="module")
def scene() -> Scene:
    walls = walls_of(three_parts())
    budget = ErrorBudget((ErrorStep("surface", Distances(0.01, 0.02, 0.03)),), Distances(0.1, 0.2, 0.3))
    return Scene(tuple(replace(walls.mesh(segment(label)), error=budget) for label in walls.labels))


def faces_of(vertices: np.ndarray, faces: np.ndarray) -> set[frozenset[tuple[float, ...]]]:
    return {frozenset(map(tuple, corners)) for corners in vertices[faces].tolist()}


def test_a_complex_comes_back_from_its_meshes(scene: Scene) -> None:
    walls, found = walls_of(three_parts()), complex_of(scene.meshes)
    assert len(found.vertices) == len(walls.vertices)
    assert faces_of(found.vertices, found.faces) == faces_of(walls.vertices, walls.faces)
    assert sorted(map(tuple, found.sides.tolist())) == sorted(map(tuple, walls.sides.tolist()))
    for mesh in scene.meshes:
        again = measure(found.mesh(mesh.segment))
        assert again.closed
        assert again.volume_mm3 == pytest.approx(measure(mesh).volume_mm3)


def test_a_lighter_scene_keeps_its_budget_its_walls_and_its_history(scene: Scene) -> None:
    light = lighter(scene, Target(triangles=1500))
    assert sum(len(mesh.faces) for mesh in light.meshes) <= 1500
    assert [mesh.segment for mesh in light.meshes] == [mesh.segment for mesh in scene.meshes]
    walls = complex_of(light.meshes)
    assert (walls.sides[:, 1] > 0).sum() > 20
    assert len(walls.faces) + (walls.sides[:, 1] > 0).sum() == sum(len(mesh.faces) for mesh in light.meshes)
    for mesh in light.meshes:
        assert mesh.error is not None
        assert [step.step for step in mesh.error.steps] == ["surface", "decimation", "rounding"]
        assert mesh.error.total.max_mm > mesh.error.steps[1].distances.max_mm > 0.03
        assert ErrorBudget.from_dict(mesh.error.as_dict()) == mesh.error


def test_a_scene_within_its_budget_is_left_as_it_is(scene: Scene) -> None:
    assert lighter(scene, Target(triangles=10**6)) is scene

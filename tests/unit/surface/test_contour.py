from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from tomosurf.data.mesh import SurfaceMesh
from tomosurf.surface.contour import contour
from tomosurf.surface.measure import Measurements, measure
from tomosurf.testing.segmentations import segment


def surface_of(field: NDArray[np.float32], level: float = 0.0) -> Measurements:
    points, faces = contour(field, level)
    return measure(SurfaceMesh(points.astype(np.float64), faces, segment()))


def field_of(inside: list[tuple[int, int, int]], sign: int = 1) -> NDArray[np.float32]:
    field = np.full((6, 6, 6), -sign, np.float32, order="F")
    for voxel in inside:
        field[voxel] = sign
    return field


def test_coordinates_are_array_indices() -> None:
    i = np.arange(7, dtype=np.float32)[:, None, None]
    field = np.asfortranarray(np.broadcast_to(i - 2.25, (7, 4, 3)), np.float32)
    points, faces = contour(field, 0.0)
    assert np.allclose(points[:, 0], 2.25)
    assert points.max(axis=0).tolist() == [2.25, 3.0, 2.0]
    assert faces.dtype == np.int32 and len(faces) == 2 * 3 * 2


def test_memory_order_does_not_matter() -> None:
    field = np.random.default_rng(3).normal(size=(9, 8, 7)).astype(np.float32)
    for a, b in zip(contour(np.asfortranarray(field), 0.1), contour(field, 0.1), strict=True):
        assert np.array_equal(a, b)


def test_a_field_without_the_level_has_no_surface() -> None:
    points, faces = contour(np.full((4, 4, 4), -1, np.float32), 0.0)
    assert points.shape == (0, 3) and faces.shape == (0, 3)


@pytest.mark.parametrize("seed", range(4))
def test_noise_gives_a_closed_manifold_wound_outwards(seed: int) -> None:
    noise = np.random.default_rng(seed).normal(size=(14, 15, 16)).astype(np.float32)
    field = np.asfortranarray(np.pad(noise, 1, constant_values=-1))
    measured = surface_of(field)
    assert measured.closed and measured.manifold
    assert 0 < measured.volume_mm3 < np.prod(noise.shape)


def test_every_pattern_of_eight_voxels_is_closed_and_six_connected() -> None:
    import cc3d

    for pattern in product((0, 1), repeat=8):
        if any(pattern):
            block = np.array(pattern).reshape(2, 2, 2)
            field = np.full((4, 4, 4), -1, np.float32, order="F")
            field[1:3, 1:3, 1:3] = 2 * block - 1
            measured = surface_of(field)
            assert measured.closed and measured.manifold
            parts = cc3d.connected_components(block.astype(np.uint8), connectivity=6).max()
            assert measured.components == parts


@pytest.mark.parametrize(
    ("neighbour", "inside_parts", "outside_parts"), [((3, 2, 2), 1, 1), ((3, 3, 2), 2, 1), ((3, 3, 3), 2, 2)]
)
def test_which_voxels_count_as_joined(
    neighbour: tuple[int, int, int], inside_parts: int, outside_parts: int
) -> None:
    pair = [(2, 2, 2), neighbour]
    assert surface_of(field_of(pair)).components == inside_parts
    _, faces = contour(field_of(pair, sign=-1), 0.0)
    cavities = faces  # the field's outer layer is inside here: only the cavities have a surface
    points = contour(field_of(pair, sign=-1), 0.0)[0].astype(np.float64)
    assert measure(SurfaceMesh(points, cavities, segment())).components == outside_parts


def test_zero_is_inside() -> None:
    field = field_of([])
    field[2, 2, 2] = 0
    assert surface_of(field).triangles == 8

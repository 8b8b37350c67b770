from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from tomosurf.data.mesh import SurfaceMesh
from tomosurf.surface.measure import measure
from tomosurf.testing.segmentations import segment

CORNERS = np.array([(i, j, k) for i in (0, 1) for j in (0, 1) for k in (0, 1)], np.float64)
CUBE = np.array(
    [
        (0, 1, 3), (0, 3, 2), (4, 6, 7), (4, 7, 5), (0, 4, 5), (0, 5, 1),
        (2, 3, 7), (2, 7, 6), (0, 2, 6), (0, 6, 4), (1, 5, 7), (1, 7, 3),
    ]
)  # fmt: skip
TETRAHEDRON = np.array([(0, 2, 1), (0, 1, 3), (1, 2, 3), (0, 3, 2)])
APEXES = np.array([(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)], np.float64)


def mesh(vertices: ArrayLike, faces: ArrayLike) -> SurfaceMesh:
    return SurfaceMesh(np.array(vertices, np.float64), np.array(faces, np.int32), segment())


@given(st.tuples(*[st.floats(-2000, 2000)] * 3), st.tuples(*[st.floats(0.2, 50)] * 3))
def test_a_box_has_its_volume_and_area_anywhere(origin: tuple[float, ...], edges: tuple[float, ...]) -> None:
    a, b, c = edges
    measured = measure(mesh(CORNERS * edges + origin, CUBE))
    assert measured.volume_mm3 == pytest.approx(a * b * c, rel=1e-9)
    assert measured.area_mm2 == pytest.approx(2 * (a * b + b * c + c * a), rel=1e-9)
    assert measured.triangles == 12 and measured.components == 1
    assert measured.closed and measured.manifold


def test_turned_inside_out_the_volume_is_negative() -> None:
    measured = measure(mesh(CORNERS, CUBE[:, ::-1]))
    assert measured.volume_mm3 == pytest.approx(-1.0)
    assert measured.closed and measured.manifold


def test_a_missing_face_opens_it() -> None:
    measured = measure(mesh(CORNERS, CUBE[1:]))
    assert not measured.closed and not measured.manifold and measured.components == 1
    assert not measure(mesh(CORNERS, CUBE[2:])).closed


def test_a_face_turned_over_opens_it() -> None:
    faces = CUBE.copy()
    faces[5] = faces[5, ::-1]
    assert not measure(mesh(CORNERS, faces)).closed


def test_a_doubled_face_opens_it() -> None:
    assert not measure(mesh(CORNERS, np.concatenate([CUBE, CUBE[:1], CUBE[:1, ::-1]]))).closed


def test_a_degenerate_face_opens_it() -> None:
    assert not measure(mesh(CORNERS, np.concatenate([CUBE, [(0, 0, 0), (1, 1, 2)]]))).closed


def test_two_bodies_that_share_a_vertex_are_closed_but_not_manifold() -> None:
    other = np.where(TETRAHEDRON == 0, 0, TETRAHEDRON + 3)
    vertices = np.concatenate([APEXES, -APEXES[1:]])
    measured = measure(mesh(vertices, np.concatenate([TETRAHEDRON, other])))
    assert measured.closed and not measured.manifold and measured.components == 1


def test_two_bodies_that_share_an_edge_are_not_closed() -> None:
    other = np.where(TETRAHEDRON < 2, TETRAHEDRON, TETRAHEDRON + 2)
    vertices = np.concatenate([APEXES, [(0, -1, 0), (0, 0, -1)]])
    assert not measure(mesh(vertices, np.concatenate([TETRAHEDRON, other]))).closed


def test_parts_are_counted_and_lone_vertices_are_not() -> None:
    vertices = np.concatenate([APEXES, [(9.0, 9, 9)], APEXES + 5])
    measured = measure(mesh(vertices, np.concatenate([TETRAHEDRON, TETRAHEDRON + 5])))
    assert measured.components == 2 and measured.manifold
    assert measured.volume_mm3 == pytest.approx(2 / 6)


def test_nothing_is_neither_closed_nor_manifold() -> None:
    measured = measure(mesh(np.empty((0, 3)), np.empty((0, 3))))
    assert (measured.triangles, measured.components, measured.volume_mm3) == (0, 0, 0.0)
    assert not measured.closed and not measured.manifold


def test_a_fan_of_many_faces_is_one_fan() -> None:
    n = 137
    angle = 2 * np.pi * np.arange(n) / n
    ring = np.stack([np.cos(angle), np.sin(angle), np.zeros(n)], axis=1)
    vertices = np.concatenate([ring, [(0, 0, 1.0), (0, 0, -1.0)]])
    here = np.arange(n)
    there = np.roll(here, -1)
    top = np.stack([here, there, np.full(n, n)], axis=1)
    bottom = np.stack([there, here, np.full(n, n + 1)], axis=1)
    measured = measure(mesh(vertices, np.concatenate([top, bottom])))
    assert measured.closed and measured.manifold
    assert measured.volume_mm3 == pytest.approx(2 / 3 * n / 2 * np.sin(2 * np.pi / n))


def test_the_patch_where_the_image_ends_is_no_area_of_the_structure() -> None:
    # A box of 4 x 6 x 8 mm that ends with the image on one side of 4 x 6 mm
    corners = np.array([[x, y, z] for z in (0.0, 8.0) for y in (0.0, 6.0) for x in (0.0, 4.0)])
    quads = [(0, 2, 3, 1), (4, 5, 7, 6), (0, 1, 5, 4), (2, 6, 7, 3), (0, 4, 6, 2), (1, 3, 7, 5)]
    faces = np.array([t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))], np.int32)
    cut = (corners[:, 2] == 0).astype(np.uint8)
    found = measure(SurfaceMesh(corners, faces, segment(), {"fov_cut": cut}))
    assert found.closed and found.volume_mm3 == pytest.approx(192.0)
    assert found.cut_area_mm2 == pytest.approx(24.0)
    assert found.area_mm2 == pytest.approx(2 * (24 + 32 + 48) - 24.0)

"""Splitting edges: a mesh stays what it is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tomosurf.data.geometry import Geometry
from tomosurf.data.mesh import SurfaceMesh
from tomosurf.surface.extract import extract
from tomosurf.surface.measure import measure
from tomosurf.surface.splitting import inner_edges, split
from tomosurf.testing.phantoms import Torus
from tomosurf.testing.segmentations import segment, segmentation_of

GRID = Geometry((20, 20, 12), np.diag([1.0, 1.0, 1.0, 1.0]))


@pytest.fixture(scope="module")
def torus() -> SurfaceMesh:
    return extract(segmentation_of([Torus((9.3, 9.6, 5.4), 5.5, 2.3)], GRID)).meshes[0]


def sides_of(mesh: SurfaceMesh) -> np.ndarray:
    return np.tile(np.array([1, 0], np.uint16), (len(mesh.faces), 1))


def test_every_edge_of_a_closed_surface_is_found_once(torus) -> None:
    edges = inner_edges(torus.faces, sides_of(torus), np.ones(torus.faces.shape, bool))
    assert len(edges.ends) == len(torus.faces) * 3 // 2
    assert len(np.unique(edges.ends, axis=0)) == len(edges.ends)
    assert (edges.ends[:, 0] < edges.ends[:, 1]).all()
    flat = torus.faces.reshape(-1)
    for n in range(2):
        face, corner = edges.places[:, n] // 3, edges.places[:, n] % 3
        pair = np.stack([flat[edges.places[:, n]], torus.faces[face, (corner + 1) % 3]], axis=1)
        assert (np.sort(pair, axis=1) == edges.ends).all()


def test_an_edge_between_two_walls_or_of_one_triangle_is_none() -> None:
    faces = np.array([[0, 1, 2], [1, 0, 3], [0, 1, 4], [2, 1, 5], [5, 6, 2]], np.int32)
    sides = np.array([[1, 0], [2, 0], [2, 1], [1, 0], [3, 0]], np.uint16)
    edges = inner_edges(faces, sides, np.ones(faces.shape, bool))
    assert edges.ends.tolist() == [[1, 2]]  # three walls meet in 0-1, two labels part at 2-5


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.02, 0.3, 0.7, 1.0]))
@settings(max_examples=25, deadline=None)
def test_a_surface_split_in_its_edges_middles_is_the_same_surface(torus, seed: int, share: float) -> None:
    edges = inner_edges(torus.faces, sides_of(torus), np.ones(torus.faces.shape, bool))
    edges = edges.only(np.random.default_rng(seed).random(len(edges.ends)) < share)
    points = np.concatenate([torus.vertices, torus.vertices[edges.ends].mean(axis=1)])
    faces, origins = split(torus.faces, edges, len(torus.vertices), points)
    assert len(faces) == len(torus.faces) + 2 * len(edges.ends)
    found, before = measure(SurfaceMesh(points, faces, segment(1))), measure(torus)
    assert found.closed and found.manifold and found.components == 1
    assert found.volume_mm3 == pytest.approx(before.volume_mm3, rel=1e-12)
    assert found.area_mm2 == pytest.approx(before.area_mm2, rel=1e-12)
    normals = [
        np.cross(p[:, 1] - p[:, 0], p[:, 2] - p[:, 0]) for p in (points[faces], points[torus.faces[origins]])
    ]
    assert ((normals[0] * normals[1]).sum(axis=1) > 0).all()
    areas = np.bincount(origins, np.linalg.norm(normals[0], axis=1), len(torus.faces))
    assert areas == pytest.approx(np.linalg.norm(np.cross(*_edges(torus)), axis=1), rel=1e-9)


def _edges(mesh: SurfaceMesh) -> tuple[np.ndarray, np.ndarray]:
    a, b, c = (mesh.vertices[mesh.faces[:, n]] for n in range(3))
    return b - a, c - a

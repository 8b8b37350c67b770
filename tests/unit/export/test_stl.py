from __future__ import annotations

from pathlib import Path

import numpy as np

from tomosurf.data.mesh import SurfaceMesh
from tomosurf.export import stl
from tomosurf.testing.exporter_suite import example
from tomosurf.testing.segmentations import segment


def test_header_count_and_length(tmp_path: Path) -> None:
    mesh = example("mesh")
    stl.write(mesh, tmp_path / "mesh.stl")
    content = (tmp_path / "mesh.stl").read_bytes()
    assert content.startswith(b"tomosurf") and not content.lower().startswith(b"solid")
    assert b"mm" in content[:80] and b"LPS" in content[:80]
    assert int.from_bytes(content[80:84], "little") == len(mesh.faces)
    assert len(content) == 84 + 50 * len(mesh.faces)


def test_normals_are_of_unit_length_and_point_outwards(tmp_path: Path) -> None:
    mesh = example("mesh")
    stl.write(mesh, tmp_path / "mesh.stl")
    numbers = np.frombuffer(
        (tmp_path / "mesh.stl").read_bytes()[84:], [("f", "<f4", (4, 3)), ("attribute", "<u2")]
    )
    normals, corners = numbers["f"][:, 0], numbers["f"][:, 1:]
    outwards = corners.mean(axis=1) - mesh.vertices.mean(axis=0)
    outwards /= np.linalg.norm(outwards, axis=1, keepdims=True)
    assert np.allclose(normals, outwards, atol=1e-4)
    assert not numbers["attribute"].any()


def test_more_faces_than_one_chunk_and_a_face_without_area(tmp_path: Path) -> None:
    count = stl._CHUNK + 3
    faces = np.tile(np.array([[0, 1, 2]], np.int32), (count, 1))
    faces[-1] = (0, 1, 1)
    vertices = np.array([(0, 0, 0), (1, 0, 0), (0, 1, 0)], np.float64)
    stl.write(SurfaceMesh(vertices, faces, segment()), tmp_path / "mesh.stl")
    content = (tmp_path / "mesh.stl").read_bytes()
    assert len(content) == 84 + 50 * count
    assert np.frombuffer(content[-50:-38], "<f4").tolist() == [0.0, 0.0, 0.0]
    assert np.frombuffer(content[-100:-88], "<f4").tolist() == [0.0, 0.0, 1.0]

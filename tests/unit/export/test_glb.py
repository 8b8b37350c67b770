from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.mesh_readers import glb_document
from tomosurf.data.mesh import Scene, SurfaceMesh
from tomosurf.export import glb, glb_confidence
from tomosurf.surface import normals
from tomosurf.surface.extract import extract
from tomosurf.testing.exporter_suite import GEOMETRY, example
from tomosurf.testing.phantoms import Ball
from tomosurf.testing.segmentations import segmentation_of


def test_the_transform_is_a_rotation_and_a_scale() -> None:
    turn = glb.LPS_MM_TO_GLTF[:3, :3] * 1000
    assert np.allclose(turn @ turn.T, np.eye(3)) and np.linalg.det(turn) == pytest.approx(1.0)
    left, superior, anterior = turn @ [1, 0, 0], turn @ [0, 0, 1], turn @ [0, -1, 0]
    assert left.tolist() == [1, 0, 0] and superior.tolist() == [0, 1, 0] and anterior.tolist() == [0, 0, 1]


def test_names_colours_codes_and_transform_stand_in_the_file(tmp_path: Path) -> None:
    scene = example("scene")
    glb.write(scene, tmp_path / "scene.glb")
    document = glb_document(tmp_path / "scene.glb")
    assert document["asset"]["version"] == "2.0"
    extras = document["scenes"][0]["extras"]
    assert np.array_equal(np.reshape(extras["lps_mm_to_gltf"], (4, 4)), glb.LPS_MM_TO_GLTF)
    assert "LPS" in extras["coordinates"] and "metres" in extras["coordinates"]
    for node, material, mesh in zip(document["nodes"], document["materials"], scene.meshes, strict=True):
        assert node["name"] == material["name"] == mesh.segment.name
        assert node["extras"]["label"] == mesh.segment.label
        assert node["extras"]["code"]["value"] == mesh.segment.code.value
        assert material["doubleSided"] is False
        assert material["pbrMetallicRoughness"]["metallicFactor"] == 0
    assert GEOMETRY.frame_of_reference_uid not in str(document), "no identifier of the study leaves with it"


def test_colours_are_linear() -> None:
    factor = glb._material(example("mesh").segment)["pbrMetallicRoughness"]["baseColorFactor"]
    # 222, 148, 80 of sRGB, by IEC 61966-2-1
    assert factor == pytest.approx([0.730461, 0.296138, 0.080220, 1.0], abs=1e-5)


def test_single_precision_is_not_spent_on_the_distance_to_the_origin(tmp_path: Path) -> None:
    scene = example("scene")
    far = Scene(tuple(moved(mesh, 50_000.0) for mesh in scene.meshes), GEOMETRY)
    glb.write(far, tmp_path / "far.glb")
    document = glb_document(tmp_path / "far.glb")
    for node, mesh, number in zip(document["nodes"], far.meshes, (0, 3), strict=True):
        accessor = document["accessors"][number]
        low = np.array(accessor["min"]) + node["translation"]
        placed = mesh.vertices @ glb.LPS_MM_TO_GLTF[:3, :3].T
        assert np.abs(low - placed.min(axis=0)).max() < 1e-9  # metres: a millionth of a millimetre


def moved(mesh: SurfaceMesh, step: float) -> SurfaceMesh:
    return SurfaceMesh(mesh.vertices + step, mesh.faces, mesh.segment, mesh.vertex_data)


def test_vertex_normals_point_outwards_and_are_of_unit_length() -> None:
    ball = Ball(tuple(GEOMETRY.to_world([[6.5, 5.5, 4.5]])[0].tolist()), 3.0)
    mesh = extract(segmentation_of([ball], GEOMETRY)).meshes[0]
    found = glb._normals(mesh)
    outwards = (mesh.vertices - ball.centre) / np.linalg.norm(mesh.vertices - ball.centre, axis=1)[:, None]
    outwards = outwards @ (glb.LPS_MM_TO_GLTF[:3, :3].T * 1000)
    assert np.allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-6)
    assert (found * outwards).sum(axis=1).min() > 0.9


def test_normals_are_the_same_in_one_chunk_and_in_many(monkeypatch: pytest.MonkeyPatch) -> None:
    ball = Ball(tuple(GEOMETRY.to_world([[6.5, 5.5, 4.5]])[0].tolist()), 3.0)
    mesh = extract(segmentation_of([ball], GEOMETRY)).meshes[0]
    whole = glb._normals(mesh)
    monkeypatch.setattr(normals, "_CHUNK", 7)
    assert np.allclose(glb._normals(mesh), whole, atol=1e-6)


def attribute(path: Path, name: str, mesh: int = 0) -> np.ndarray:
    """One attribute as its accessor describes it, read from the file's own bytes."""
    document = glb_document(path)
    accessor = document["accessors"][document["meshes"][mesh]["primitives"][0]["attributes"][name]]
    view = document["bufferViews"][accessor["bufferView"]]
    binary = path.read_bytes()[-document["buffers"][0]["byteLength"] :]
    dtype = {5126: "<f4", 5121: "u1"}[accessor["componentType"]]
    values = np.frombuffer(binary[view["byteOffset"] :][: view["byteLength"]], dtype)
    assert len(values) == accessor["count"] * {"SCALAR": 1, "VEC4": 4}[accessor["type"]]
    return values.reshape(accessor["count"], -1)


def with_confidence() -> Scene:
    scene = example("scene")
    told = np.array([0.0, 0.5, 1.0, 2.0, 4.0, np.nan], np.float32)
    first, second = scene.meshes
    data = {**first.vertex_data, "confidence": told}
    return Scene((SurfaceMesh(first.vertices, first.faces, first.segment, data), second), GEOMETRY)


def test_vertex_data_are_attributes_of_the_application(tmp_path: Path) -> None:
    glb.write(with_confidence(), tmp_path / "scene.glb")
    assert attribute(tmp_path / "scene.glb", "_CONFIDENCE").ravel().tolist() == [0, 0.5, 1, 2, 4, -1]
    for number in (0, 1):
        assert attribute(tmp_path / "scene.glb", "_FOV_CUT", number).ravel().tolist() == [0, 0, 0, 0, 1, 1]
    assert "COLOR_0" not in glb_document(tmp_path / "scene.glb")["meshes"][0]["primitives"][0]["attributes"]


def test_painted_by_confidence_from_dark_blue_to_yellow_and_red_where_nobody_knows(tmp_path: Path) -> None:
    glb_confidence.EXPORTER.write(with_confidence(), tmp_path / "scene.confidence.glb")
    colours = attribute(tmp_path / "scene.confidence.glb", "COLOR_0").astype(float)
    brightness = colours[:5, :3] @ [0.2126, 0.7152, 0.0722]  # of linear light
    assert (np.diff(brightness) > 3).all()
    assert colours[0, 2] > colours[0, 0] and colours[4, 0] > 4 * colours[4, 2]
    assert colours[5, 0] > 4 * colours[5, 1]
    assert (
        attribute(tmp_path / "scene.confidence.glb", "COLOR_0", 1)
        == attribute(tmp_path / "scene.confidence.glb", "COLOR_0")[5]
    ).all()  # the other mesh says nothing: unknown
    document = glb_document(tmp_path / "scene.confidence.glb")
    assert document["materials"][0]["pbrMetallicRoughness"]["baseColorFactor"] == [1, 1, 1, 1]

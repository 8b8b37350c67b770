"""``tomosurf access`` on a case folder, and faces on the way from label maps to files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.cases import case_of, segmentation, write
from tests.unit.refine.test_face import HEAD, grid, skin
from tomosurf.cli import main
from tomosurf.data.case import Case
from tomosurf.data.geometry import Geometry
from tomosurf.data.mesh import Scene
from tomosurf.data.segmentation import Segmentation
from tomosurf.errors import CaseFolderError
from tomosurf.export.nifti import write_labels
from tomosurf.export.ply import write as write_ply
from tomosurf.mesh_file import read_ply
from tomosurf.qc.face import check
from tomosurf.refine.face import guard_faces
from tomosurf.testing.exporter_suite import example
from tomosurf.testing.phantoms import Ball

AFFINE = np.diag([1.5, 1.5, 1.5, 1.0])
AFFINE[:3, 3] = -30.0
GRID = Geometry((41, 41, 41), AFFINE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A case of a ball of 25 mm with two small balls in it, 5 mm beside and 12 mm behind its middle."""
    root = tmp_path_factory.mktemp("case")
    body = segmentation({"body": Ball((0.0, 0.0, 0.0), 25.0)}, GRID)
    inner = {"target": Ball((5.0, 0.0, 0.0), 4.0), "vessel": Ball((0.0, 12.0, 0.0), 3.0)}
    organs = segmentation(inner, GRID, first_label=2)
    case = case_of(body, organs)
    write(case, root, exports=("ply",))
    return root / case.identity


def test_the_map_holds_depth_and_clearance_and_six_views_of_each(
    folder: Path, tmp_path: Path, capsys
) -> None:
    words = ["access", str(folder), "--skin", "body", "--target", "target", "--avoid", "vessel"]
    assert main([*words, "-o", str(tmp_path / "map"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["least_depth_mm"] == pytest.approx(16.0, abs=0.2)  # 25 - 5 - 4
    assert len(told["files"]) == 2 + 12 and all(Path(name).is_file() for name in told["files"])
    mesh = read_ply(tmp_path / "map" / "access.ply", example("mesh").segment)
    depth = np.linalg.norm(mesh.vertices - (5.0, 0.0, 0.0), axis=1) - 4.0
    assert np.abs(mesh.vertex_data["access_depth"] - depth).max() < 0.2
    assert (
        mesh.vertex_data["access_clearance"].min() == 0.0
    )  # straight behind, the way leads through the vessel
    about = json.loads((tmp_path / "map" / "depth-left.json").read_text(encoding="utf-8"))
    assert about["target"] == "target" and about["sight_lps"] == [-1, 0, 0]


@pytest.mark.parametrize(
    "words",
    [
        ["--target", "nothing"],
        ["--target", "target", "--avoid", "nothing"],
        ["--target", "target", "--mm-per-pixel", "0"],
    ],
)
def test_what_is_not_there_is_a_wrong_use(words: list[str], folder: Path, tmp_path: Path) -> None:
    assert main(["access", str(folder), "--skin", "body", *words, "-o", str(tmp_path / "map")]) != 0
    assert not (tmp_path / "map").exists()


def test_a_sealed_folder_stays_as_it_is(folder: Path) -> None:
    words = ["access", str(folder), "--skin", "body", "--target", "target"]
    assert main([*words, "-o", str(folder / "map")]) == 2
    assert not (folder / "map").exists()


def test_what_ply_holds_is_read_back_and_damage_is_told(tmp_path: Path) -> None:
    mesh = example("mesh")
    write_ply(mesh, tmp_path / "mesh.ply")
    found = read_ply(tmp_path / "mesh.ply", mesh.segment)
    assert np.array_equal(found.faces, mesh.faces)
    assert np.array_equal(found.vertices, mesh.vertices.astype(np.float32))
    assert found.vertex_data["fov_cut"].tolist() == mesh.vertex_data["fov_cut"].tolist()
    content = (tmp_path / "mesh.ply").read_bytes()
    for damaged in (content[:-5], content.replace(b"comment tomosurf", b"comment somebody"), b"ply\n"):
        (tmp_path / "mesh.ply").write_bytes(damaged)
        with pytest.raises(CaseFolderError):
            read_ply(tmp_path / "mesh.ply", mesh.segment)


@pytest.fixture(scope="module")
def head() -> Segmentation:
    return skin(HEAD, grid(-160, 130, half=100.0))


@pytest.mark.parametrize(
    ("policy", "action", "severity"),
    [("refuse", "withheld", "warning"), ("blunt", "blunted", "info"), ("keep", "kept", "warning")],
)
def test_what_becomes_of_a_face_is_told(policy, action, severity, head: Segmentation) -> None:
    guarded, faces = guard_faces(head, policy)
    assert [(face.segment, face.action) for face in faces] == [("skin", action)]
    assert (guarded is head) == (policy != "blunt")
    (finding,) = check(replace(Case("s", "i"), scene=Scene((), faces=faces)))
    assert finding.severity == severity and "identifies the patient" in finding.message


def test_the_mesh_of_a_face_is_written_when_asked_for_only(
    head: Segmentation, tmp_path: Path, capsys
) -> None:
    write_labels(head, tmp_path / "head.nii.gz")
    for policy, there in (("refuse", False), ("blunt", True), ("keep", True)):
        output = tmp_path / policy
        words = [
            "surface",
            str(tmp_path / "head.nii.gz"),
            "-o",
            str(output),
            "--format",
            "stl",
            "--face",
            policy,
        ]
        main([*words, "--json"])
        told = json.loads(capsys.readouterr().out)
        assert (output / "label_1.stl").exists() == there
        assert len(told["meshes"]) == int(there)
        assert told["faces"][0]["segment"] == "label_1"

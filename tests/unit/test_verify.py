from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.cases import PROTOCOL, ball_case, depth, grid, write
from tomosurf import case_folder
from tomosurf.data.case import Case, InputFile
from tomosurf.data.geometry import Geometry
from tomosurf.data.manifest import seal_of
from tomosurf.data.volume import LedgerEntry, Volume
from tomosurf.errors import CaseFolderError
from tomosurf.gather import gather
from tomosurf.pipeline import RunOptions, build_surfaces
from tomosurf.testing.phantoms import Ball
from tomosurf.verify import rebuild, verify

IDENTITY = "feedbeef0123"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    parent = tmp_path_factory.mktemp("written")
    write(ball_case(5.0), parent, exports=("stl", "ply"))
    return parent / IDENTITY


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return shutil.copytree(written, tmp_path / IDENTITY)


def _reseal(folder: Path, **changes: object) -> None:
    """Change the manifest, and seal it again as a forger would."""
    document = {**case_folder.read_document(folder), **changes}
    document["seal"] = seal_of(document)
    (folder / case_folder.MANIFEST).write_text(json.dumps(document))


def test_an_untouched_folder_holds(folder: Path) -> None:
    assert verify(folder) == type(verify(folder))(True, ())


def test_a_moved_folder_holds(folder: Path, tmp_path: Path) -> None:
    assert verify(folder.rename(tmp_path / "elsewhere")).ok


@pytest.mark.parametrize("name", ["meshes/bright.stl", "report.html", "labels/labels.nii.gz"])
def test_one_flipped_bit_is_found(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(bytes(content))
    assert verify(folder).problems == (f"{name} was changed",)


def test_a_lost_file_and_an_added_one_are_found(folder: Path) -> None:
    (folder / "meshes" / "bright.stl").rename(folder / "meshes" / "bone.stl")
    assert verify(folder).problems == (
        "meshes/bright.stl is missing",
        "meshes/bone.stl isn't in the manifest",
    )


def test_a_link_in_place_of_a_file_is_found(folder: Path, tmp_path: Path) -> None:
    (folder / "report.html").rename(tmp_path / "report.html")
    (folder / "report.html").symlink_to(tmp_path / "report.html")
    assert verify(folder).problems == ("report.html is missing",)


def test_an_edited_manifest_is_found(folder: Path) -> None:
    path = folder / case_folder.MANIFEST
    path.write_text(path.read_text("utf-8").replace('"usable": true', '"usable": false'), "utf-8")
    assert verify(folder).problems == ("the seal is broken: manifest.json was changed after it was written",)


def test_a_seal_over_nan_is_broken(folder: Path) -> None:
    document = case_folder.read_document(folder)
    document["meshes"][0]["volume_mm3"] = float("nan")
    (folder / case_folder.MANIFEST).write_text(json.dumps(document))
    assert "the seal is broken" in verify(folder).problems[0]


def test_a_path_out_of_the_folder_isnt_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("x")
    outputs = case_folder.read_document(folder)["outputs"]
    outputs[0]["path"] = "../secret.txt"
    _reseal(folder, outputs=outputs)
    assert "'../secret.txt' lies outside the case folder" in verify(folder).problems


def test_what_is_no_case_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CaseFolderError):
        verify(tmp_path)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A case on an oblique grid, with padding, laterality and a ledger, made by the pipeline's own steps."""
    turn, _ = np.linalg.qr(np.array([[1.0, 0.2, 0.1], [-0.2, 1.0, 0.3], [0.1, -0.3, 1.0]]))
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([0.9, 1.1, 1.3])
    affine[:3, 3] = -(affine[:3, :3] @ [15.5, 15.5, 15.5]) + [1 / 3, 1 / 7, 1 / 11]
    geometry = Geometry((32, 32, 32), affine, "1.2.840.1")
    array = np.asfortranarray(np.rint(depth(Ball((0.0, 0.0, 0.0), 9.0), geometry) * 50).astype(np.int16))
    padding = np.zeros(array.shape, bool, order="F")
    padding[:14] = True
    volume = Volume(
        geometry, array, "CT", "HU", (LedgerEntry("note", "a note", (1, 2)),), padding, "a1b2c3d4", "R"
    )
    part = build_surfaces(volume, PROTOCOL, RunOptions())
    inputs = tuple(InputFile(f"{k:064x}", "a1b2c3d4") for k in range(32))
    case = gather(Case("0123abcd", IDENTITY, inputs, (volume,)), [(PROTOCOL, part.segmentation, part.scene)])
    parent = tmp_path_factory.mktemp("built")
    write(case, parent, exports=("stl", "ply", "glb"))
    return parent / IDENTITY


def test_a_case_can_be_made_again_from_its_own_files(built: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(built, tmp_path / IDENTITY)
    before = sorted(path.relative_to(folder) for path in folder.rglob("*"))
    assert rebuild(folder).problems == ()
    assert sorted(path.relative_to(folder) for path in folder.rglob("*")) == before


def test_a_result_that_another_tool_made_is_found(built: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(built, tmp_path / IDENTITY)
    path = folder / "meshes" / "bright.stl"
    content = bytearray(path.read_bytes())
    content[-3] ^= 1  # the unused attribute of the last triangle
    path.write_bytes(bytes(content))
    document = case_folder.read_document(folder)
    for output in document["outputs"]:
        if output["path"] == "meshes/bright.stl":
            output["sha256"] = case_folder.digest_of(path)
    document["environment"]["packages"]["vtk"] = "1.0"
    document["environment"]["packages"]["tomosurf-source"] = "0123456789abcdef"
    _reseal(folder, outputs=document["outputs"], environment=document["environment"])
    assert verify(folder).ok
    problems = rebuild(folder).problems
    assert problems[0] == "meshes/bright.stl came out differently"
    assert problems[1].startswith("made with tomosurf-source 0123456789abcdef, here is ")
    assert problems[2].startswith("made with vtk 1.0, here is 9.")


def test_a_changed_folder_isnt_rebuilt(folder: Path) -> None:
    (folder / "report.html").unlink()
    assert rebuild(folder).problems == ("report.html is missing",)


def test_a_protocol_that_means_something_else_is_refused(folder: Path) -> None:
    protocols = case_folder.read_document(folder)["protocols"]
    protocols[0]["definition"]["segment"]["segments"][0]["level"] = 5.0
    _reseal(folder, protocols=protocols)
    with pytest.raises(CaseFolderError, match="means something else"):
        rebuild(folder)
    _reseal(folder, protocols=[])
    with pytest.raises(CaseFolderError, match="protocol of every label map"):
        rebuild(folder)


def test_a_volume_that_doesnt_fit_its_record_is_refused(folder: Path) -> None:
    volumes = case_folder.read_document(folder)["volumes"]
    _reseal(folder, volumes=[{**volumes[0], "shape": [1, 2, 3]}])
    with pytest.raises(CaseFolderError, match="doesn't fit"):
        rebuild(folder)


def test_files_that_are_no_longer_made_or_came_anew_are_found(built: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(built, tmp_path / IDENTITY)
    document = case_folder.read_document(folder)
    (folder / "meshes" / "bright.stl").rename(folder / "meshes" / "bone.stl")
    for output in document["outputs"]:
        if output["path"] == "meshes/bright.stl":
            output["path"] = "meshes/bone.stl"
    _reseal(folder, outputs=document["outputs"])
    assert set(rebuild(folder).problems) == {
        "meshes/bone.stl wasn't made again",
        "meshes/bright.stl came out anew",
    }


def test_a_surface_that_its_protocol_does_not_make_is_found(tmp_path: Path) -> None:
    case, other = ball_case(5.0), ball_case(5.2)
    case = replace(case, identity=IDENTITY, scene=other.scene, measurements=other.measurements)
    write(case, tmp_path)
    assert grid().shape == case.volumes[0].geometry.shape
    assert rebuild(tmp_path / IDENTITY).problems == ("meshes/bright.stl came out differently",)

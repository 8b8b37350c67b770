"""The demo: the main job on the sample studies, once, against truth in closed form."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import trimesh

from tests.benchmarks import localise
from tests.mesh_readers import encloses
from tomosurf.cli import main
from tomosurf.config import load_protocol
from tomosurf.data.geometry import Geometry
from tomosurf.data.manifest import Manifest
from tomosurf.pipeline import CaseResult, RunOptions, read_case, run
from tomosurf.testing.phantoms import Structure, load_truth
from tomosurf.verify import rebuild, verify

VOXEL_MM = 1.0
"""In plane."""


@dataclass(frozen=True)
class Torso:
    folder: Path
    manifest: Manifest
    truth: dict[str, Structure]

    def mesh(self, name: str, suffix: str = "stl") -> trimesh.Trimesh:
        record = next(mesh for mesh in self.manifest.meshes if mesh.segment == name)
        return trimesh.load(self.folder / record.files[suffix])


@dataclass(frozen=True)
class Demo:
    """What ``tomosurf demo`` left and said."""

    folder: Path
    code: int
    told: dict[str, Any]

    def case(self, protocol: str, volumes: int) -> CaseResult:
        """The one case of a protocol that was made of so many volumes."""
        cases = [read_case(Path(case["folder"])) for case in self.told["cases"]]
        (found,) = [
            case
            for case in cases
            if protocol in {record.name for record in case.manifest.protocols}
            and len(case.manifest.volumes) == volumes
        ]
        return found


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Demo:
    """All that the tests below look at, made as a user makes it, without Prefect."""
    folder, said = tmp_path_factory.mktemp("demo"), io.StringIO()
    with redirect_stdout(said):
        code = main(["demo", "-o", str(folder), "--json"])
    return Demo(folder, code, json.loads(said.getvalue()))


@pytest.fixture(scope="module")
def torso(demo) -> Torso:
    case = demo.case("ct-bone", 1)
    truth = load_truth(demo.folder / "dicom" / "ct-phantom.truth.json")
    return Torso(case.folder, case.manifest, dict(truth))


def test_the_demo_makes_every_sample_study_usable(demo):
    assert demo.code == 0
    assert len(demo.told["cases"]) == 3
    assert all(case["usable"] for case in demo.told["cases"])
    assert not demo.told["refused"]


def test_the_phantom_is_usable_and_nothing_is_missing(torso):
    assert torso.manifest.usable
    assert {mesh.segment for mesh in torso.manifest.meshes} == {"bone", "skin", "lungs"}


@pytest.mark.parametrize("name", ["bone", "skin", "lungs"])
def test_every_mesh_is_closed_and_true_to_a_sixth_of_a_voxel(torso, name):
    mesh = torso.mesh(name)
    assert mesh.is_watertight and mesh.is_winding_consistent and mesh.volume > 0
    distance = torso.truth[name].signed_distance(np.asarray(mesh.vertices, np.float64))
    assert np.abs(distance).mean() <= 0.15 * VOXEL_MM
    assert np.abs(distance).max() <= 1.5 * VOXEL_MM


@pytest.mark.parametrize("name", ["skin", "lungs"])
def test_smooth_structures_keep_their_volume_to_half_a_percent(torso, name):
    record = next(mesh for mesh in torso.manifest.meshes if mesh.segment == name)
    assert record.volume_mm3 == pytest.approx(torso.truth[name].volume, rel=0.005)


def test_the_joint_gap_is_not_bridged(torso):
    """Each head and each socket is a surface of its own, and so are all vertebrae and ribs."""
    pieces = torso.mesh("bone").split(only_watertight=True)
    fine = [n for n in torso.truth if n.split("_")[0] in {"vertebra", "rib", "femoral", "socket"}]
    assert len(pieces) == len(fine)
    for name in fine:
        near = [
            piece
            for piece in pieces
            if np.abs(torso.truth[name].signed_distance(np.asarray(piece.vertices, np.float64))).max() < 1.0
        ]
        assert len(near) == 1, name


def test_the_labels_fill_the_mesh(torso):
    """Voxel centres inside the bone mesh are the voxels labelled bone."""
    entry = next(entry for entry in torso.manifest.labels if entry.protocol == "ct-bone")
    labels = np.asarray(nibabel.load(torso.folder / entry.file).dataobj)
    volume = torso.manifest.volumes[0]
    grid = Geometry(volume.shape, np.array(volume.affine_lps))
    index = np.random.default_rng(3).integers((20, 100, 10), (230, 240, 150), (4000, 3))
    inside = encloses(torso.mesh("bone"), grid.to_world(index))
    assert (inside == (labels[tuple(index.T)] > 0)).mean() > 0.999


def test_the_pictures_show_six_views_and_confidence(torso):
    if not any(artifact.kind == "picture" for artifact in torso.manifest.outputs):
        pytest.skip("no OpenGL library on this machine")
    assert len([a for a in torso.manifest.outputs if a.kind == "picture"]) == 7


@pytest.mark.slow
def test_the_case_verifies_and_is_made_again_byte_for_byte(torso):
    assert verify(torso.folder).ok
    again = rebuild(torso.folder)
    assert again.ok, again.problems


def test_both_hippocampi_of_the_template_are_found_on_their_sides(demo):
    case = demo.case("mr-hippocampus", 2)  # two crops
    assert case.manifest.usable
    meshes = {record.segment: record for record in case.manifest.meshes}
    assert len(meshes) == 4
    for side, sign in (("left", 1), ("right", -1)):
        total = 0.0
        for part in ("anterior", "posterior"):
            record = meshes[f"hippocampus_{part}_{side}"]
            mesh = trimesh.load(case.folder / record.files["stl"])
            assert sign * mesh.centroid[0] > 15  # LPS: the patient's left is +x
            total += record.volume_mm3
        assert 2000 < total < 6000
        front, back = (
            trimesh.load(case.folder / meshes[f"hippocampus_{part}_{side}"].files["stl"]).centroid
            for part in ("anterior", "posterior")
        )
        assert front[1] < back[1] - 10  # LPS: the front is -y


@pytest.mark.slow
def test_a_whole_head_gives_four_parts_on_their_sides(demo):
    case = demo.case("mr-hippocampus", 1)
    assert case.manifest.usable
    assert [(record.label, record.segment) for record in case.manifest.meshes] == [
        (1, "hippocampus_anterior_left"),
        (2, "hippocampus_posterior_left"),
        (3, "hippocampus_anterior_right"),
        (4, "hippocampus_posterior_right"),
    ]
    for sign, parts in ((1, case.manifest.meshes[:2]), (-1, case.manifest.meshes[2:])):
        assert 2000 < sum(record.volume_mm3 for record in parts) < 6000
        front, back = (trimesh.load(case.folder / record.files["stl"]) for record in parts)
        assert front.is_watertight
        assert back.is_watertight
        assert sign * front.centroid[0] > 15  # LPS: the patient's left is +x
        assert front.centroid[1] < back.centroid[1] - 10  # and the front is -y


@pytest.mark.slow
def test_a_real_head_agrees_with_its_atlas(shared_data):
    """AAL's hippocampus is nearly twice as large as the network's: Dice can't exceed 0.7 then."""
    answers = {figure.what: figure.ours for figure in localise.plain()}
    for side in ("left", "right"):
        assert 2000 < answers[f"volume, {side}"] < 6000
        assert answers[f"Dice with AAL, {side}"] > 0.55


def test_slices_far_apart_are_not_taken_for_a_head(shared_data, tmp_path):
    folder = shared_data / "dicom" / "mr-head-t1-thick"
    outcome = run(folder, tmp_path, [load_protocol("mr-hippocampus")], RunOptions("cpu", pictures=False))
    assert not outcome.cases
    assert [notice.code for notice in outcome.refused] == ["no_matching_series"]
    assert "slice step of 6.5 mm is above 3 mm" in outcome.selection[0].choice.reasons


@pytest.mark.parametrize("number", [1, 2, 3])
def test_real_crops_give_two_closed_parts_of_likely_size(shared_data, tmp_path, number):
    folder = shared_data / "dicom" / f"mr-hippocampus-crop-{number}"
    case = run(folder, tmp_path, [load_protocol("mr-hippocampus")], RunOptions("cpu", pictures=False)).cases[
        0
    ]
    assert 2000 < sum(mesh.volume_mm3 for mesh in case.manifest.meshes) < 5000
    labels = np.asarray(nibabel.load(case.folder / case.manifest.labels[0].file).dataobj)
    grid = Geometry(labels.shape, np.array(case.manifest.volumes[0].affine_lps))
    index = np.argwhere(np.ones(labels.shape, bool))
    for record in case.manifest.meshes:
        mesh = trimesh.load(case.folder / record.files["stl"])
        assert mesh.is_watertight
        assert len(mesh.split()) == 1
        inside, marked = encloses(mesh, grid.to_world(index)), labels[tuple(index.T)] == record.label
        assert 2 * (inside & marked).sum() / (inside.sum() + marked.sum()) >= 0.97

"""The command line: exit codes, JSON on standard output, and nothing loaded before it is needed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import trimesh
import yaml

from tests.cases import bright_protocol
from tomosurf import resources
from tomosurf.cli import main
from tomosurf.data.geometry import Geometry
from tomosurf.testing.dicom_writer import SeriesOptions, write_series
from tomosurf.testing.phantoms import Ball

HEAVY = ("torch", "monai", "vtkmodules", "vtk", "SimpleITK", "prefect")


def spoken(capsys) -> dict:
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("code", ["import tomosurf", "import tomosurf.cli as c; c.parser().format_help()"])
def test_start_up_loads_nothing_heavy(code):
    probe = f"import sys; {code}; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_run_prints_the_words_of_the_interface(small_ct, tmp_path, capsys):
    assert (
        main(["run", str(small_ct), "-o", str(tmp_path), "--protocol", "ct-bone", "--no-pictures", "--json"])
        == 0
    )
    document = spoken(capsys)
    assert set(document) >= {"cases", "refused", "skipped", "selection"}
    case = document["cases"][0]
    assert set(case) == {"folder", "study", "usable", "findings", "meshes"}
    mesh = case["meshes"][0]
    assert {"segment", "label", "volume_mm3", "area_mm2", "triangles", "closed", "files"} <= set(mesh)
    assert trimesh.load(mesh["files"]["stl"]).is_watertight
    assert main(["verify", case["folder"], "--json"]) == 0
    assert spoken(capsys)["ok"] is True


def test_a_result_with_an_error_ends_with_4(small_ct, tmp_path, capsys):
    arguments = ["run", str(small_ct), "-o", str(tmp_path), "--protocol", "ct-lungs", "--no-pictures"]
    assert main([*arguments, "--json"]) == 4
    assert spoken(capsys)["cases"][0]["usable"] is False
    assert main(arguments) == 4
    assert "NOT FOR USE" in capsys.readouterr().out


def test_an_input_without_slices_ends_with_3(tmp_path, capsys):
    (tmp_path / "letter.txt").write_text("Dear colleague")
    assert main(["run", str(tmp_path), "-o", str(tmp_path / "out"), "--json"]) == 3
    captured = capsys.readouterr()
    assert json.loads(captured.out)["cases"] == []
    assert not list((tmp_path / "out").glob("*")) if (tmp_path / "out").exists() else True


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "IN", "-o", "OUT", "--protocol", "ct-bones"],
        ["run", "IN", "-o", "OUT", "--format", "stl,doc"],
        ["models", "show", "nobody"],
        ["segment", "IN", "--model", "nobody", "-o", "x.nii.gz"],
    ],
)
def test_wrong_usage_ends_with_2_and_says_what_is_known(arguments, small_ct, tmp_path, capsys):
    known = {"IN": str(small_ct), "OUT": str(tmp_path / "out")}
    assert main([known.get(word, word) for word in arguments]) == 2
    assert capsys.readouterr().err.startswith("tomosurf: ")
    assert not (tmp_path / "out").exists()


def test_argparse_ends_with_2_too():
    with pytest.raises(SystemExit) as caught:
        main(["fly"])
    assert caught.value.code == 2


def test_inspect_reads_headers_and_tells_the_verdict(small_ct, capsys):
    assert main(["inspect", str(small_ct), "--json"]) == 0
    series = spoken(capsys)["series"]
    assert [(s["verdict"], s["shape"], s["modality"]) for s in series] == [("ok", [64, 60, 48], "CT")]
    assert main(["inspect", str(small_ct)]) == 0
    assert "64 x 60 x 48" in capsys.readouterr().out


def test_inspect_shows_what_a_protocol_would_take_and_why_not(small_ct, tmp_path, capsys):
    assert main(["inspect", str(small_ct), "--protocol", "ct-bone", "--json"]) == 0
    (entry,) = spoken(capsys)["selection"]
    assert (entry["protocol"], entry["taken"], entry["score"], entry["reasons"]) == (
        "ct-bone",
        True,
        0.0,
        ["fits"],
    )
    mine = tmp_path / "mine.yaml"
    text = (resources.folder("configs") / "protocols" / "ct-bone.yaml").read_text()
    mine.write_text(text.replace("min_slices: 10", "require: {description: venous}"))
    assert main(["inspect", str(small_ct), "--protocol", str(mine)]) == 0
    assert "description doesn't match" in capsys.readouterr().out


def test_inspect_names_phases_where_there_are_some(small_ct, tmp_path, capsys):
    assert main(["inspect", str(small_ct)]) == 0
    assert "phase" not in capsys.readouterr().out.splitlines()[1]
    grid = Geometry((12, 12, 9), np.eye(4))
    for k, echo in enumerate((2.46, 4.92)):
        attributes = {"EchoTime": echo, "SOPInstanceUID": lambda n, k=k: f"2.25.{9 * k + n + 1}"}
        options = SeriesOptions(modality="MR", file_name=f"{k}-{{number}}", attributes=attributes)
        write_series(tmp_path, np.full(grid.shape, 100 + k, np.int16), grid, options)
    assert main(["inspect", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "phase" in out
    assert "EchoTime 2.46" in out
    assert "EchoTime 4.92" in out


def test_volume_writes_one_file_a_series_and_what_was_refused(small_ct, tmp_path, capsys):
    assert main(["volume", str(small_ct), "-o", str(tmp_path), "--json"]) == 0
    document = spoken(capsys)
    assert json.loads((tmp_path / "ingest.json").read_text()) == document
    entry = document["volumes"][0]
    image = nibabel.load(tmp_path / entry["file"])
    assert image.shape == tuple(entry["shape"])
    assert np.allclose(image.affine, np.diag([-1, -1, 1, 1]) @ entry["affine_lps"], atol=1e-4)
    assert (entry["unit"], entry["min"], entry["max"]) == ("HU", -1000, 700)


def test_policy_and_rectify_change_exit_codes_and_ledgers(tmp_path, capsys):
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    affine[1, 2] = 0.8
    grid = Geometry((12, 12, 9), affine)
    write_series(tmp_path / "in", np.full(grid.shape, 1100, np.int16), grid)[4].unlink()
    source, out = str(tmp_path / "in"), tmp_path / "out"
    assert main(["volume", source, "-o", str(out), "--json"]) == 3
    assert [notice["code"] for notice in spoken(capsys)["refused"]] == ["missing_slice"]
    assert [path.name for path in out.iterdir()] == ["ingest.json"]
    assert main(["inspect", source, "--json"]) == 3
    assert spoken(capsys)["series"][0]["verdict"] == "missing_slice"
    assert main(["inspect", source, "--policy", "repair", "--json"]) == 0
    verdict = spoken(capsys)["series"][0]
    assert (verdict["verdict"], verdict["shape"]) == ("ok", [12, 12, 9])
    assert "1 of 9 slices" in verdict["message"]
    assert main(["volume", source, "-o", str(out), "--policy", "repair", "--json"]) == 0
    (entry,) = spoken(capsys)["volumes"]
    assert np.allclose(entry["affine_lps"], affine, atol=1e-6)
    assert not entry["orthogonal"]
    assert [(e["code"], e["slices"]) for e in entry["ledger"]] == [
        ("gantry_tilt", []),
        ("missing_slice", [4]),
        ("interpolated_slice", [4]),
    ]
    arguments = ["volume", source, "-o", str(out), "--policy", "repair", "--rectify"]
    assert main([*arguments, "--json"]) == 0
    (entry,) = spoken(capsys)["volumes"]
    assert entry["orthogonal"]
    assert [e["code"] for e in entry["ledger"]] == ["missing_slice", "interpolated_slice", "rectified"]
    assert main(arguments) == 0
    assert "interpolated_slice: 1 of 9 slices" in capsys.readouterr().out


def test_surface_turns_anyones_label_map_into_meshes(tmp_path, capsys):
    ball = Ball((0.0, 0.0, 0.0), 9.0)
    grid = np.argwhere(np.ones((30, 30, 30))) - 14.6
    labels = (ball.signed_distance(grid) < 0).reshape(30, 30, 30).astype(np.uint8) * 5
    affine = np.eye(4)
    affine[:3, 3] = -14.6
    nibabel.save(nibabel.Nifti1Image(labels, affine), tmp_path / "l.nii.gz")
    assert (
        main(
            [
                "surface",
                str(tmp_path / "l.nii.gz"),
                "-o",
                str(tmp_path / "out"),
                "--format",
                "stl,glb",
                "--json",
            ]
        )
        == 0
    )
    document = spoken(capsys)
    assert [mesh["segment"] for mesh in document["meshes"]] == ["label_5"]
    mesh = trimesh.load(document["meshes"][0]["files"]["stl"])
    assert mesh.volume == pytest.approx(ball.volume, rel=0.03)
    assert np.abs(mesh.centroid).max() < 0.1
    assert set(document["scene"]) == {"glb"}


def test_lists_for_people_and_scripts(capsys):
    assert main(["protocols", "--json"]) == 0
    assert "ct-bone" in [protocol["name"] for protocol in spoken(capsys)["protocols"]]
    assert main(["protocols"]) == 0
    assert "Skin (CT)" in capsys.readouterr().out
    assert main(["models", "list", "--json"]) == 0
    assert "mr-hippocampus" in [model["name"] for model in spoken(capsys)["models"]]
    assert main(["models", "show", "mr-hippocampus"]) == 0
    assert "hippocampus_anterior" in capsys.readouterr().out


def test_doctor_finds_this_machine_fit(capsys):
    assert main(["doctor", "--json"]) == 0
    probes = {probe["what"]: probe["state"] for probe in spoken(capsys)["probes"]}
    assert probes["packages"] == probes["device"] == "ok"


def test_segment_labels_a_single_file(shared_data, tmp_path, capsys):
    image = shared_data / "msd-hippocampus-208" / "imagesTr" / "hippocampus_001.nii.gz"
    reference = nibabel.load(str(image).replace("imagesTr", "labelsTr")).get_fdata()
    target = tmp_path / "labels.nii.gz"
    assert main(["segment", str(image), "--model", "mr-hippocampus", "-o", str(target), "--json"]) == 0
    found = nibabel.load(target).get_fdata()
    for label in (1, 2):
        both = ((found == label) & (reference == label)).sum()
        assert 2 * both / ((found == label).sum() + (reference == label).sum()) > 0.8
    assert set(spoken(capsys)["volumes_mm3"]) == {"hippocampus_anterior", "hippocampus_posterior"}


def test_segment_refuses_what_a_model_or_a_protocol_has_no_place_for(tmp_path, capsys):
    """No crop for the model by itself, and no head for the protocol."""
    image, target = tmp_path / "thick.nii.gz", tmp_path / "labels.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.ones((30, 30, 20), np.float32), np.diag([3.0, 3, 5, 1])), image)
    for how, code in (("--model", "larger_than_crop"), ("--protocol", "not_localised")):
        assert main(["segment", str(image), how, "mr-hippocampus", "-o", str(target)]) == 3
        assert code in capsys.readouterr().err
        assert not target.exists()


def test_segment_takes_a_protocols_thresholds_and_clean_up(tmp_path, capsys):
    values = np.zeros((20, 20, 20), np.float32)
    values[2:8, 2:8, 2:8] = values[12:18, 12:18, 12:18] = 1000
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / "image.nii.gz")
    content = bright_protocol("MR").model_dump(mode="json") | {"refine": {"bright": {"keep": 1}}}
    (tmp_path / "bright.yaml").write_text(yaml.safe_dump(content))
    chosen = ["--protocol", str(tmp_path / "bright.yaml"), "-o", str(tmp_path / "labels.nii.gz"), "--json"]
    assert main(["segment", str(tmp_path / "image.nii.gz"), *chosen]) == 0
    document = spoken(capsys)
    assert document["volumes_mm3"] == {"bright": 216.0}
    assert document["findings"] == []
    assert main(["segment", *[str(tmp_path / "image.nii.gz")] * 2, *chosen]) == 2


def test_a_case_that_was_changed_is_not_for_use(small_ct, tmp_path, capsys):
    assert (
        main(["run", str(small_ct), "-o", str(tmp_path), "--protocol", "ct-skin", "--no-pictures", "--json"])
        == 0
    )
    folder = Path(spoken(capsys)["cases"][0]["folder"])
    assert main(["verify", str(folder), "--rebuild"]) == 0
    assert "made again" in capsys.readouterr().out
    mesh = folder / "meshes" / "skin.stl"
    mesh.write_bytes(mesh.read_bytes()[:-1] + b"\x01")
    assert main(["verify", str(folder)]) == 4
    assert "meshes/skin.stl" in capsys.readouterr().err
    assert main(["verify", str(tmp_path / "nowhere")]) == 3


def test_deidentify_says_what_it_wrote_and_what_not(small_ct, tmp_path, capsys):
    (tmp_path / "in").mkdir()
    for path in sorted(small_ct.iterdir())[:2]:
        (tmp_path / "in" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "in" / "zz-doe.txt").write_text("no slice")
    (tmp_path / "key").write_bytes(bytes(32))
    arguments = [
        "deidentify",
        str(tmp_path / "in"),
        "-o",
        str(tmp_path / "out"),
        "--key-file",
        str(tmp_path / "key"),
    ]
    assert main([*arguments, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert sorted(document["files"]) == sorted(
        str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.dcm")
    )
    assert [(n["code"], n["files"]) for n in document["skipped"]] == [("no_dicom", ["input-000003"])]
    assert main(arguments) == 2  # the output isn't empty any more
    (tmp_path / "none").mkdir()
    assert main(["deidentify", str(tmp_path / "none"), "-o", str(tmp_path / "out2")]) == 3


@pytest.mark.parametrize(("given", "then"), [(None, "passive"), ("active", "active")])
def test_waiting_threads_sleep_unless_somebody_says_otherwise(monkeypatch, capsys, given, then):
    from tomosurf.cli import entry

    monkeypatch.setenv("OMP_WAIT_POLICY", given or "")
    if given is None:
        monkeypatch.delenv("OMP_WAIT_POLICY")
    monkeypatch.setattr("sys.argv", ["tomosurf", "protocols"])
    with pytest.raises(SystemExit) as ended:
        entry()
    assert ended.value.code == 0
    assert os.environ["OMP_WAIT_POLICY"] == then
    capsys.readouterr()

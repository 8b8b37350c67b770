"""A foreign folder into the user's folder of models and out again, by the command; and what it then segments."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch

from tomosurf.cli import main
from tomosurf.data.geometry import Geometry
from tomosurf.data.volume import Volume
from tomosurf.export.nifti import write_volume

VOXEL_MM = (2.0, 1.5, 2.5)
SHAPE = (20, 24, 16)


class Payload:
    """Pickled, it would make a file when it is read."""

    def __reduce__(self) -> Any:
        return (Path.touch, (Path("CANARY"),))


def spoken(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def copied(bundle: Path, target: Path) -> Path:
    return Path(shutil.copytree(bundle, target))


def test_it_is_installed_whole_listed_shown_and_removed(
    bundle: Path, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "import", str(bundle), "--json"]) == 0
    taken = spoken(capsys)
    assert (taken["name"], taken["kind"], taken["licence"]) == ("everywhere_ct", "monai-bundle", "Apache-2.0")
    folder = Path(taken["folder"])
    assert folder == models / "everywhere_ct"
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md",
        "model.yaml",
        "weights.safetensors",
    ]
    assert [path.name for path in models.iterdir()] == ["everywhere_ct"]
    assert "Licence: Apache-2.0." in (folder / "README.md").read_text()

    assert main(["models", "list", "--json"]) == 0
    listed = spoken(capsys)
    assert listed["broken"] == []
    mine = next(entry for entry in listed["models"] if entry["name"] == "everywhere_ct")
    assert mine["folder"] == str(folder)
    assert mine["sha256"] == [weights["sha256"] for weights in taken["weights"]]
    assert "mr-hippocampus" in {entry["name"] for entry in listed["models"]}

    assert main(["models", "show", "everywhere_ct", "--json"]) == 0
    shown = spoken(capsys)
    assert {key: shown[key] for key in shown} == {key: taken[key] for key in shown}

    assert main(["models", "remove", "everywhere_ct", "--json"]) == 0
    assert spoken(capsys) == {"removed": "everywhere_ct", "folder": str(folder)}
    assert list(models.iterdir()) == []


def test_people_read_the_licence_and_where_it_is(
    bundle: Path, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "import", str(bundle), "--name", "mine", "--licence", "Ours alone"]) == 0
    said = capsys.readouterr().out
    assert "licence: Ours alone" in said
    assert f"kept in {models / 'mine'}; use it with --model mine" in said


def test_a_name_is_given_once(bundle: Path, models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "import", str(bundle)]) == 0
    before = (models / "everywhere_ct" / "model.yaml").read_bytes()
    for name in ("everywhere_ct", "mr-hippocampus"):
        assert main(["models", "import", str(bundle), "--name", name]) == 2
        assert f"there is a model called {name} already" in capsys.readouterr().err
    assert main(["models", "import", str(bundle), "--name", "../elsewhere"]) == 2
    assert [path.name for path in models.iterdir()] == ["everywhere_ct"]
    assert (models / "everywhere_ct" / "model.yaml").read_bytes() == before


def test_what_ships_or_is_unknown_is_not_removed(
    bundle: Path, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "import", str(bundle)]) == 0
    capsys.readouterr()
    for name, told in (
        ("mr-hippocampus", "ships with tomosurf and stays"),
        ("nobody", "it holds: everywhere_ct"),
        ("../models/everywhere_ct", "it holds: everywhere_ct"),
        (".", "it holds: everywhere_ct"),
    ):
        assert main(["models", "remove", name]) == 2
        assert told in capsys.readouterr().err
    assert (models / "everywhere_ct" / "weights.safetensors").is_file()


def test_a_link_is_removed_and_not_what_it_leads_to(bundle: Path, models: Path, tmp_path: Path) -> None:
    assert main(["models", "import", str(bundle)]) == 0
    shared = (models / "everywhere_ct").rename(tmp_path / "shared")
    (models / "everywhere_ct").symlink_to(shared)
    assert main(["models", "remove", "everywhere_ct"]) == 0
    assert list(models.iterdir()) == []
    assert (shared / "model.yaml").is_file()


def test_a_spoilt_folder_does_not_hide_the_others(
    bundle: Path, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "import", str(bundle), "--name", "sound"]) == 0
    (models / "spoilt").mkdir()
    (models / "spoilt" / "model.yaml").write_text("name: spoilt\n")
    capsys.readouterr()
    assert main(["models", "list", "--json"]) == 0
    captured = capsys.readouterr()
    listed = json.loads(captured.out)
    assert "sound" in {entry["name"] for entry in listed["models"]}
    assert [entry["name"] for entry in listed["broken"]] == ["spoilt"]
    assert "spoilt can't be used" in captured.err
    assert main(["models", "remove", "spoilt"]) == 0


def test_a_refused_folder_leaves_nothing(
    bundle: Path,
    models: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    hostile = copied(bundle, tmp_path / "hostile")
    torch.save({"model": Payload()}, hostile / "models" / "model.pt")
    empty = tmp_path / "empty"
    empty.mkdir()
    both = copied(bundle, tmp_path / "both")
    (both / "plans.json").write_text("{}")
    for folder, told in (
        (hostile, "othing"),
        (empty, "is none of what can be imported: MONAI bundle"),
        (tmp_path / "nowhere", "is no folder"),
        (both, "holds no dataset.json"),
    ):
        assert main(["models", "import", str(folder)]) == 1
        assert told in capsys.readouterr().err
    assert not list(tmp_path.rglob("CANARY"))
    assert not models.exists() or list(models.iterdir()) == []


def test_it_segments_an_image_and_its_licence_is_told(
    bundle: Path, models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "import", str(bundle), "--licence", "Ours alone"]) == 0
    affine = np.diag([*VOXEL_MM, 1.0])
    values = np.random.default_rng(0).normal(0, 100, SHAPE).astype(np.float32)
    image = tmp_path / "image.nii.gz"
    write_volume(Volume(Geometry(SHAPE, affine), values, modality="CT"), image)
    capsys.readouterr()
    arguments = ["segment", str(image), "--model", "everywhere_ct", "--device", "cpu"]
    assert main([*arguments, "-o", str(tmp_path / "labels.nii.gz"), "--json"]) == 0
    told = spoken(capsys)
    voxels = np.prod(SHAPE)
    assert told["volumes_mm3"] == {"field": pytest.approx(voxels * np.prod(VOXEL_MM))}
    assert told["provenance"]["model_licence"] == "Ours alone"
    assert told["provenance"]["model"] == "everywhere_ct"
    labels = nibabel.load(tmp_path / "labels.nii.gz")
    assert np.asarray(labels.dataobj).sum() == voxels
    assert np.allclose(labels.affine, np.diag([-1, -1, 1, 1]) @ affine)


def test_its_licence_stands_in_the_manifest_and_the_report(
    bundle: Path, models: Path, small_ct: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "import", str(bundle), "--licence", "Ours alone"]) == 0
    protocol = tmp_path / "mine.yaml"
    protocol.write_text(
        "name: mine\ntitle: Everything\nseries: {modality: CT, min_slices: 10}\n"
        "segment: {method: network, model: everywhere_ct}\n"
    )
    capsys.readouterr()
    arguments = ["run", str(small_ct), "-o", str(tmp_path / "out"), "--protocol", str(protocol)]
    main([*arguments, "--device", "cpu", "--no-pictures", "--json"])
    (case,) = spoken(capsys)["cases"]
    folder = Path(case["folder"])
    (model,) = json.loads((folder / "manifest.json").read_text())["models"]
    assert (model["name"], model["licence"]) == ("everywhere_ct", "Ours alone")
    assert "Ours alone" in (folder / "report.html").read_text()

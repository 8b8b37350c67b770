"""Whole runs: tables, resuming after a kill, workers, what is wrong with data sets, the page, the command line."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from tests.labelled_sets import NAMES, STRUCTURES, WRITERS, grid, labels, predictions, write_image, write_map
from tomosurf.cli import main
from tomosurf.config import NetworkMethod
from tomosurf.data.geometry import Geometry
from tomosurf.errors import ConfigError, ModelError, UnknownNameError
from tomosurf.image_file import read_label_voxels, read_volume
from tomosurf.validate.options import ValidateOptions
from tomosurf.validate.plan import make_plan
from tomosurf.validate.run import open_output, save_plan, validate
from tomosurf.validate.workers import score_in_workers

FILES = ("metrics.csv", "metrics.json", "report.html")
START = ["case", "structure", "dice", "nsd", "hd95_mm", "msd_mm", "volume_error_pct", "mesh_msd_mm"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return WRITERS["decathlon"](tmp_path / "data")


@pytest.fixture
def shifted(tmp_path: Path) -> Path:
    """Predictions that lie 1.5 mm beside the truth."""
    return predictions(tmp_path / "shifted", 1.5)


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def content(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


def told_by(result, check: str) -> list[dict]:
    return [finding for finding in result["findings"] if finding["check"] == check]


def test_a_shift_is_measured_in_millimetres(data, shifted, tmp_path):
    options = ValidateOptions(tolerances_mm=(1.0, 3.0))
    outcome = validate(data, str(shifted), tmp_path / "out", options)
    rows = rows_of(tmp_path / "out")
    assert list(rows[0])[: len(START)] == START
    assert [(row["case"], row["structure"]) for row in rows] == [(c, s) for c in NAMES for s in STRUCTURES]
    assert {row["outcome"] for row in rows} == {"found"}
    for row in rows:
        # a sphere that is shifted lies, on average, half the shift off
        assert float(row["mesh_msd_mm"]) == pytest.approx(0.75, abs=0.12)
        assert float(row["msd_mm"]) == pytest.approx(0.75, abs=0.45)
        assert float(row["nsd_3mm"]) == 1.0
        assert row["false_components"] == "0"
    assert outcome.passed
    assert outcome.result["structures"]["large"]["metrics"]["dice"]["n"] == 3


def test_the_same_input_gives_the_same_bytes_whatever_the_workers(data, shifted, tmp_path):
    validate(data, str(shifted), tmp_path / "one")
    validate(data, str(shifted), tmp_path / "two", ValidateOptions(workers=2))
    assert content(tmp_path / "one") == content(tmp_path / "two")
    again = validate(data, str(shifted), tmp_path / "one")
    assert again.reused == 3
    assert content(tmp_path / "one") == content(tmp_path / "two")


def many(folder: Path, cases: int = 12) -> tuple[Path, Path]:
    """A folder pair and predictions, of several cases."""
    for number in range(cases):
        write_image(folder / "data" / "images" / f"{number:02}.nii.gz")
        write_map(folder / "data" / "labels" / f"{number:02}.nii.gz", labels(grid()), grid())
        write_map(folder / "predicted" / f"{number:02}.nii.gz", labels(grid(), number / 10), grid())
    return folder / "data", folder / "predicted"


def killed(data: Path, model: str, out: Path, after: int, *more: str) -> dict[Path, int]:
    """Kill the command line's process by SIGKILL once ``after`` cases are finished; their records, with times."""
    command = [
        sys.executable,
        "-m",
        "tomosurf",
        "validate",
        str(data),
        "--model",
        model,
        "-o",
        str(out),
        *more,
    ]
    child = subprocess.Popen(command)
    finished = "cases/[!.]*.json"  # not one that is being written
    while len(list(out.glob(finished))) < after:
        assert child.poll() is None, "it ended before it could be killed"
        time.sleep(0.005)
    child.send_signal(signal.SIGKILL)
    child.wait()
    return {path: path.stat().st_mtime_ns for path in out.glob(finished)}


def test_a_killed_run_goes_on_where_it_was(tmp_path):
    data, predicted = many(tmp_path)
    out = tmp_path / "killed"
    before = killed(data, str(predicted), out, 3)
    table = (out / "metrics.csv").read_bytes()
    assert 3 <= len(before) < 12
    outcome = validate(data, str(predicted), out)
    assert outcome.reused == len(before)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    validate(data, str(predicted), tmp_path / "whole")
    assert content(out) == content(tmp_path / "whole")
    assert content(out)["metrics.csv"].startswith(table)


def test_what_changed_is_scored_again_and_a_damaged_record_too(data, shifted, tmp_path):
    validate(data, str(shifted), tmp_path / "out")
    write_map(shifted / "case_2.nii.gz", labels(grid(2)), grid(2))
    next(tmp_path.glob("out/cases/*.json")).write_text("{")
    outcome = validate(data, str(shifted), tmp_path / "out")
    assert outcome.reused in (1, 2)  # the damaged record may be the changed case's
    dice = {
        row["case"]: float(row["dice"]) for row in rows_of(tmp_path / "out") if row["structure"] == "large"
    }
    assert dice["case_2"] == 1.0 > dice["case_1"]
    assert validate(data, str(shifted), tmp_path / "out", ValidateOptions(component_overlap=0.5)).reused == 0


def test_a_case_without_a_prediction_is_told(data, tmp_path):
    predicted = predictions(tmp_path / "predicted", names=NAMES[:2])
    outcome = validate(data, str(predicted), tmp_path / "out")
    assert not outcome.passed
    assert [finding["data"]["case"] for finding in told_by(outcome.result, "no_prediction")] == ["case_3"]
    assert outcome.result["unscored"] == ["case_3"]


def workers_of_this_process() -> list[int]:
    """Children that serve cases."""
    found = []
    for task in Path("/proc/self/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            if b"tomosurf.validate.worker" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(child)
    return found


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="children are found in /proc")
def test_a_worker_that_dies_is_told_and_what_was_finished_is_kept(tmp_path):
    data, predicted = many(tmp_path)
    out = tmp_path / "out"
    open_output(out)
    plan = make_plan(data, str(predicted), ValidateOptions(workers=2))
    results = score_in_workers(plan, out, save_plan(plan, out))
    next(results)
    for child in workers_of_this_process():
        os.kill(child, signal.SIGKILL)
    with pytest.raises(ModelError, match="ended before its time"):
        list(results)
    assert not workers_of_this_process()
    assert validate(data, str(predicted), out).reused >= 1


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="children are found in /proc")
def test_workers_share_the_cores_and_no_waiting_thread_spins(tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    data, predicted = many(tmp_path)
    open_output(tmp_path / "out")
    plan = make_plan(data, str(predicted), ValidateOptions(workers=2))
    results = score_in_workers(plan, tmp_path / "out", save_plan(plan, tmp_path / "out"))
    next(results)
    share = max(1, (os.cpu_count() or 1) // 2)
    for child in workers_of_this_process():
        given = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
        assert f"NUMBA_NUM_THREADS={share}".encode() in given
        assert f"OMP_NUM_THREADS={share}".encode() in given
        assert b"OMP_WAIT_POLICY=passive" in given
    results.close()


@pytest.mark.parametrize("far", [True, False])
def test_an_image_and_labels_that_dont_share_a_grid_are_told_not_scored(data, shifted, tmp_path, far):
    geometry = grid(1)
    affine = geometry.affine.copy()
    affine[:3, 3] += 0.5 if far else 0.001
    write_map(data / "labelsTr" / "case_1.nii.gz", labels(geometry), Geometry(geometry.shape, affine))
    write_map(
        data / "labelsTr" / "case_2.nii.gz", labels(grid(2))[:-1], Geometry((24, 20, 17), grid(2).affine)
    )
    outcome = validate(data, str(shifted), tmp_path / "out")
    told = {f["data"]["case"]: f["message"] for f in told_by(outcome.result, "unusable_case")}
    assert "24 x 20 x 17 voxels, the image 25 x 20 x 17" in told["case_2"]
    assert ("case_1" in told) == far
    if far:
        assert "0.866 mm off the image's grid (tolerance 0.01 mm)" in told["case_1"]
    assert {row["case"] for row in rows_of(tmp_path / "out")} == {"case_3"} | (set() if far else {"case_1"})
    assert not outcome.passed


def test_unknown_labels_and_empty_references_are_told(data, shifted, tmp_path):
    odd = labels(grid(1))
    odd[0, 0, :3] = 7
    write_map(data / "labelsTr" / "case_1.nii.gz", odd, grid(1))
    write_map(
        data / "labelsTr" / "case_2.nii.gz", np.where(labels(grid(2)) == 1, 1, 0).astype(np.uint8), grid(2)
    )
    write_map(data / "labelsTr" / "case_3.nii.gz", np.zeros_like(labels(grid(3))), grid(3))
    write_map(shifted / "case_3.nii.gz", np.zeros_like(labels(grid(3))), grid(3))
    outcome = validate(data, str(shifted), tmp_path / "out")
    (unknown,) = told_by(outcome.result, "unknown_label")
    assert "3 voxels" in unknown["message"]
    assert "(7)" in unknown["message"]
    empty = {(f["data"]["case"], f["segment"]) for f in told_by(outcome.result, "empty_reference")}
    assert empty == {("case_2", "small"), ("case_3", "large"), ("case_3", "small")}
    small = outcome.result["structures"]["small"]
    assert (small["found"], small["invented"], small["absent"], small["missed"]) == (1, 1, 1, 0)
    invented = next(row for row in rows_of(tmp_path / "out") if row["outcome"] == "invented")
    assert (invented["dice"], invented["msd_mm"], invented["volume_error_pct"]) == ("0.0", "", "")
    assert outcome.passed


def test_voxels_to_ignore_are_refused_not_counted(tmp_path, shifted):
    data = WRITERS["nnunet-raw"](tmp_path / "data")
    told = json.loads((data / "dataset.json").read_text())
    told["labels"]["ignore"] = 3
    (data / "dataset.json").write_text(json.dumps(told))
    odd = labels(grid(1))
    odd[0, 0, 0] = 3
    write_map(data / "labelsTr" / "case_1.nii.gz", odd, grid(1))
    outcome = validate(data, str(shifted), tmp_path / "out")
    assert outcome.result["unscored"] == ["case_1"]
    assert "label 3" in told_by(outcome.result, "unusable_case")[0]["message"]


def test_masks_may_be_predicted_one_by_one(data, tmp_path):
    for number, name in enumerate(NAMES, 1):
        for structure, label in STRUCTURES.items():
            mask = np.asfortranarray(labels(grid(number)) == label, np.uint8)
            if (name, structure) != ("case_2", "small"):
                write_map(tmp_path / "masks" / name / f"{structure}.nii.gz", mask, grid(number))
    outcome = validate(data, str(tmp_path / "masks"), tmp_path / "out")
    assert outcome.result["unscored"] == ["case_2"]
    assert outcome.result["structures"]["large"]["metrics"]["dice"]["worst"] == 1.0


def test_a_data_set_without_names_is_compared_by_number(tmp_path, shifted):
    data = WRITERS["folder-pair"](tmp_path / "data")
    (data / "labels.json").unlink()
    (shifted / "labels.json").unlink()
    outcome = validate(data, str(shifted), tmp_path / "out")
    assert list(outcome.result["structures"]) == ["label_1", "label_2"]
    assert told_by(outcome.result, "unnamed_labels")


def test_wrong_usage_is_told(data, shifted, tmp_path):
    with pytest.raises(UnknownNameError, match="no model is called"):
        validate(data, "no-such-model", tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match="no validation wrote it"):
        validate(data, str(shifted), tmp_path / "full")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="holds no prediction"):
        validate(data, str(tmp_path / "empty"), tmp_path / "out")


class Page(HTMLParser):
    """What is in a page: tags, links, text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.sources: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.sources += [value for name, value in attrs if name in ("src", "href") and value]

    def handle_data(self, data):
        self.text += data


def test_the_page_escapes_everything_and_loads_nothing(tmp_path):
    evil = "<script>alert(1)</script>&'\""
    name = evil.replace("/", "_")
    write_image(tmp_path / "data" / "images" / f"{name}.nii.gz")
    write_map(tmp_path / "data" / "labels" / f"{name}.nii.gz", labels(grid()), grid())
    (tmp_path / "data" / "labels.json").write_text(json.dumps({"1": "<b>large</b>", "2": "small"}))
    write_map(tmp_path / "predicted" / f"{name}.nii.gz", labels(grid(), 2), grid())
    validate(tmp_path / "data", str(tmp_path / "predicted"), tmp_path / "out")
    text = (tmp_path / "out" / "report.html").read_text()
    page = Page(text)
    assert not page.tags & {"script", "link", "iframe", "b"}
    assert name in page.text
    assert page.sources
    assert all(source.startswith(("data:", "#")) for source in page.sources)
    assert not re.search(r"https?://", text)
    assert "Research software, not a medical device" in page.text
    assert "b_large_b" in page.text


def test_the_page_shows_where_the_worst_cases_are_wrong(data, shifted, tmp_path):
    write_map(shifted / "case_2.nii.gz", labels(grid(2), 4.0), grid(2))
    validate(data, str(shifted), tmp_path / "out")
    text = (tmp_path / "out" / "report.html").read_text()
    pictures = re.findall(r'<svg class="slice".*?</svg>', text, re.S)
    assert len(pictures) == 3
    for picture in pictures:
        assert 'class="reference" d="M' in picture
        assert 'class="predicted" d="M' in picture
    captions = re.findall(r"<figcaption><strong>(.*?)</strong>, (\w+)", text)
    assert captions[0] == ("case_2", "small")


def test_the_command_line(data, shifted, tmp_path, capsys):
    first = ["validate", str(data), "--model", str(shifted), "--json", "-o"]
    assert main([*first, str(tmp_path / "earlier")]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["passed"]
    assert said["comparison"] is None
    gate = tmp_path / "gate.yaml"
    gate.write_text(
        "bounds:\n- {structure: large, metric: dice, at_least: 0.99}\n- {metric: missed, at_most: 0}\n"
    )
    better = [
        "validate",
        str(data),
        "--model",
        str(predictions(tmp_path / "better")),
        "-o",
        str(tmp_path / "now"),
    ]
    more = [
        "--compare",
        str(tmp_path / "earlier"),
        "--gate",
        str(gate),
        "--tolerance",
        "2",
        "--tolerance",
        "0.5",
    ]
    assert main([*better, *more]) == 0
    told = capsys.readouterr()
    assert "Dice" in told.out
    assert not told.err
    result = json.loads((tmp_path / "now" / "metrics.json").read_text())
    assert result["comparison"]["structures"]["large"]["dice"]["verdict"] == "better"
    assert "nsd_0.5mm" in rows_of(tmp_path / "now")[0]
    assert main([*first, str(tmp_path / "earlier"), "--gate", str(gate)]) == 4
    told = capsys.readouterr()
    assert "gate broken: large dice mean: 0." in told.err
    assert "missed" not in told.err
    assert not json.loads(told.out)["passed"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tolerance", "-1"], "tolerances_mm"),
        (["--workers", "0"], "workers"),
        (["--map", "large"], "STRUCTURE=SEGMENT"),
        (["--map", "large=heart"], "neither a structure nor a segment"),
        (["--compare", "/nowhere"], "no finished validation"),
        (["--gate", "/nowhere.yaml"], "not a readable YAML file"),
    ],
)
def test_wrong_arguments_are_wrong_usage(data, shifted, tmp_path, capsys, arguments, message):
    assert (
        main(["validate", str(data), "--model", str(shifted), "-o", str(tmp_path / "out"), *arguments]) == 2
    )
    assert message in capsys.readouterr().err


def test_a_model_is_run_as_users_run_it(trained, tmp_path):
    """Labels, clean-up and surfaces are those of the stages themselves; doubt gives a calibration curve."""
    from tomosurf.refine.refine import refine
    from tomosurf.segment.network import segment
    from tomosurf.segment.options import SegmentOptions

    data = shutil.copytree(trained.data, tmp_path / "data")
    told = json.loads((data / "dataset.json").read_text())
    told |= {"labels": {"0": "background", "1": "bright", "2": "dark"}, "training": told["training"][:3]}
    (data / "dataset.json").write_text(json.dumps(told))
    options = ValidateOptions(device="cpu", keep=True)
    outcome = validate(data, str(trained.model), tmp_path / "out", options)
    rows = rows_of(tmp_path / "out")
    assert [row["structure"] for row in rows] == ["bright", "dark"] * 3
    assert outcome.result["model"]["title"] == "two-balls 1.0.0"
    volume = read_volume(data / "imagesTr" / "case_000.nii.gz", "MR")
    found = refine(
        segment(volume, NetworkMethod(method="network", model=str(trained.model)), SegmentOptions("cpu")), {}
    )
    kept, geometry = read_label_voxels(tmp_path / "out" / "predictions" / "case_000.nii.gz")
    assert np.array_equal(kept, found.labels)
    assert geometry.coincides(volume.geometry)
    drawn = read_label_voxels(data / "labelsTr" / "case_000.nii.gz")[0]
    both = ((kept == 1) & (drawn == 1)).sum()
    assert float(rows[0]["dice"]) == pytest.approx(
        2 * both / ((kept == 1).sum() + (drawn == 1).sum()), abs=1e-5
    )
    calibration = outcome.result["calibration"]
    assert calibration["voxels"] > 1000
    assert 0 <= calibration["expected_calibration_error"] <= 1
    (tmp_path / "out" / "predictions" / "case_000.nii.gz").unlink()
    assert validate(data, str(trained.model), tmp_path / "out", options).reused == 2


def test_eight_real_hippocampi_and_a_kill_in_the_middle(shared_data, tmp_path):
    """On cases that the shipped model knows: it must do at least as well as on those it doesn't."""
    source, data, out = shared_data / "msd-hippocampus-208", tmp_path / "data", tmp_path / "killed"
    told = json.loads((source / "dataset.json").read_text())
    told["training"] = told["training"][:8]
    for entry in told["training"]:
        for name in entry.values():
            (data / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / name, data / name)
    (data / "dataset.json").write_text(json.dumps(told))
    before = killed(data, "mr-hippocampus", out, 3, "--device", "cpu")
    table = (out / "metrics.csv").read_bytes()
    assert 3 <= len(before) < 8
    options = ValidateOptions(device="cpu")
    outcome = validate(data, "mr-hippocampus", out, options)
    assert outcome.reused == len(before)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(list(out.glob("cases/*.json"))) == 8
    validate(data, "mr-hippocampus", tmp_path / "whole", options)
    assert content(out) == content(tmp_path / "whole")
    assert content(out)["metrics.csv"].startswith(table)
    assert outcome.result["pairs"] == {
        "Anterior": "hippocampus_anterior",
        "Posterior": "hippocampus_posterior",
    }
    for about in outcome.result["structures"].values():
        assert about["found"] == 8
        assert about["metrics"]["dice"]["worst"] > 0.8
        assert about["metrics"]["mesh_msd_mm"]["worst"] < 0.6

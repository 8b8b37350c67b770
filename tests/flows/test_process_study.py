"""The flow, on Prefect's own embedded server and database."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import traceback
from pathlib import Path

import pytest
import yaml

from tests.cases import bright_protocol
from tomosurf.case_folder import read_manifest
from tomosurf.config import load_protocol
from tomosurf.errors import InputRefused
from tomosurf.pipeline import RunOptions, run

ROOT = Path(__file__).parents[2]
SCRIPT = """
import json, sqlite3, sys
from pathlib import Path
from tomosurf.commands import demo
source, output, home = map(Path, sys.argv[1:4])
demo.os.environ.update(demo.QUIET_PREFECT, PREFECT_HOME=str(home))
flow = demo.load_flow("process_study").process_study
try:
    result = {"folders": flow(str(source), str(output), ["ct-bone", "ct-skin"], "cpu", face="blunt")}
except Exception as error:
    result = {"error": type(error).__name__, "message": str(error)}
print(json.dumps(result))
"""


def run_flow(source: Path, output: Path, home: Path) -> tuple[dict, str]:
    """The flow in a process of its own, as a worker runs it; its last line of output, and its errors."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, source, output, home],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


@pytest.mark.slow
def test_the_flow_makes_what_the_plain_run_makes_and_tells_prefect_nothing_of_the_patient(
    small_head, tmp_path
):
    result, errors = run_flow(small_head, tmp_path / "flow", tmp_path / "prefect")
    folder = Path(result["folders"][0])
    protocols = [load_protocol(name) for name in ("ct-bone", "ct-skin")]
    options = RunOptions("cpu", pictures=False, face="blunt")
    plain = run(small_head, tmp_path / "plain", protocols, options).cases[0]
    assert folder.name == plain.folder.name
    assert read_manifest(folder).meshes == plain.manifest.meshes
    assert read_manifest(folder).faces == plain.manifest.faces
    assert [face.action for face in plain.manifest.faces] == ["blunted"]
    for part in ("meshes", "labels", "volume"):
        for path in (plain.folder / part).iterdir():
            assert (folder / part / path.name).read_bytes() == path.read_bytes()
    assert {entry.name for entry in (tmp_path / "flow").iterdir()} == {folder.name, "ingest.json"}
    assert not errors.strip()
    database = b"".join(path.read_bytes() for path in (tmp_path / "prefect").glob("prefect.db*"))
    assert b"process-study" in database
    for secret in (b"Phantom^", b"0001.dcm", b"2.25."):
        assert secret not in database


@pytest.mark.slow
def test_the_tasks_carry_the_policy_to_the_case(small_ct, tmp_path):
    from flows import tasks

    folder = shutil.copytree(small_ct, tmp_path / "in")
    (folder / "0020.dcm").unlink()
    work = tmp_path / "work"
    work.mkdir()
    assert tasks.ingest.fn(str(folder), ["ct-bone"], str(work)) == []
    (plan,) = tasks.ingest.fn(str(folder), ["ct-bone"], str(work), "repair")
    (job,) = json.loads(Path(plan).read_text())["jobs"]
    part = tasks.surface.fn(job, tasks.segment.fn(job, f"{plan}.npz", "cpu"))
    made = Path(tasks.export_and_report.fn(plan, [part], str(tmp_path / "flow"), "cpu"))
    options = RunOptions("cpu", pictures=False, policy="repair")
    plain = run(folder, tmp_path / "plain", [load_protocol("ct-bone")], options).cases[0]
    assert made.name == plain.folder.name
    assert read_manifest(made).volumes == read_manifest(plain.folder).volumes
    assert read_manifest(made).meshes == plain.manifest.meshes


@pytest.mark.slow
def test_a_place_that_isnt_found_is_refused_and_the_rest_is_made(thick_mr, far_protocol, tmp_path):
    from flows import tasks

    bright = tmp_path / "bright.yaml"
    bright.write_text(yaml.safe_dump(bright_protocol("MR").model_dump(mode="json")))
    work = tmp_path / "work"
    work.mkdir()
    (plan,) = tasks.ingest.fn(str(thick_mr), [str(far_protocol), str(bright)], str(work))
    jobs = json.loads(Path(plan).read_text())["jobs"]
    found = [tasks.segment.fn(job, f"{plan}.{n}.npz", "cpu") for n, job in enumerate(jobs)]
    parts = [tasks.surface.fn(job, one) for job, one in zip(jobs, found, strict=True)]
    tasks.tell_refused(work / "ingest.json", parts)
    told = json.loads((work / "ingest.json").read_text())["refused"]
    assert [notice["code"] for notice in told] == ["not_localised"]
    made = read_manifest(Path(tasks.export_and_report.fn(plan, parts, str(tmp_path / "flow"), "cpu")))
    protocols = [load_protocol(str(path)) for path in (far_protocol, bright)]
    plain = run(thick_mr, tmp_path / "plain", protocols, RunOptions("cpu", pictures=False)).cases[0].manifest
    assert (made.identity, made.meshes, made.notices) == (plain.identity, plain.meshes, plain.notices)


@pytest.mark.slow
def test_an_input_with_nothing_usable_fails_the_flow_by_code_not_by_file_name(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "DOE^JANE.txt").write_text("no slice")
    result, errors = run_flow(tmp_path / "in", tmp_path / "out", tmp_path / "prefect")
    assert result["error"] == "InputRefused"
    assert "DOE" not in result["message"] + errors
    assert (tmp_path / "out" / "ingest.json").is_file()


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(2, "No such file or directory", "/in/DOE^JANE.dcm"),
        InputRefused("truncated", "the file ends", files=("DOE^JANE.dcm",), advice="Transfer it again."),
    ],
)
def test_what_a_task_raises_names_no_file(error):
    from flows.tasks import nameless

    with pytest.raises(type(error)) as caught, nameless():
        raise error
    told = "".join(traceback.format_exception(caught.value))
    assert "DOE" not in told
    assert str(error).split("[")[0].split("'")[0].strip(": ") in told


def test_the_deployment_withholds_faces_and_repairs_nothing_unless_told():
    deployment = yaml.safe_load((ROOT / "flows" / "prefect.yaml").read_text())["deployments"][0]
    assert deployment["parameters"] == {
        "protocols": [], "device": "auto", "policy": "strict", "face": "refuse",
    }  # fmt: skip

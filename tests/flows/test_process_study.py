"""The flow, on Prefect's own embedded server and database."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import traceback
from dataclasses import dataclass
from itertools import chain
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
home, *pairs = map(Path, sys.argv[1:])
demo.os.environ.update(demo.QUIET_PREFECT, PREFECT_HOME=str(home))
flow = demo.load_flow("process_study").process_study
results = []
for source, output in zip(pairs[::2], pairs[1::2]):
    try:
        made = flow(str(source), str(output), ["ct-bone", "ct-skin"], "cpu", face="blunt")
        results.append({"folders": made})
    except Exception as error:
        results.append({"error": type(error).__name__, "message": str(error)})
    print("=====", file=sys.stderr, flush=True)
print(json.dumps(results))
"""


def run_flow(home: Path, *pairs: tuple[Path, Path]) -> tuple[list[dict], list[str]]:
    """The flow in a process of its own, as a worker runs it, from each source to its output, one after the other.

    Its results, and what it wrote to standard error during each run and after the last.
    """
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, home, *chain(*pairs)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return json.loads(done.stdout.splitlines()[-1]), done.stderr.split("=====")


@dataclass(frozen=True)
class Ran:
    """Two runs, one after the other: of a head, and of a folder that holds no slice."""

    folder: Path
    made: dict
    refused: dict
    errors: list[str]


@pytest.fixture(scope="module")
def ran(small_head, tmp_path_factory) -> Ran:
    folder = tmp_path_factory.mktemp("flow")
    (folder / "in").mkdir()
    (folder / "in" / "DOE^JANE.txt").write_text("no slice")
    pairs = (small_head, folder / "flow"), (folder / "in", folder / "nothing")
    (made, refused), errors = run_flow(folder / "prefect", *pairs)
    return Ran(folder, made, refused, errors)


@pytest.mark.slow
def test_the_flow_makes_what_the_plain_run_makes_and_tells_prefect_nothing_of_the_patient(
    small_head, ran, tmp_path
):
    folder = Path(ran.made["folders"][0])
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
    assert {entry.name for entry in (ran.folder / "flow").iterdir()} == {folder.name, "ingest.json"}
    assert not ran.errors[0].strip()
    database = b"".join(path.read_bytes() for path in (ran.folder / "prefect").glob("prefect.db*"))
    assert b"process-study" in database
    for secret in (b"Phantom^", b"0001.dcm", b"2.25.", b"DOE"):
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
def test_an_input_with_nothing_usable_fails_the_flow_by_code_not_by_file_name(ran):
    assert ran.refused["error"] == "InputRefused"
    assert "DOE" not in ran.refused["message"] + "".join(ran.errors)
    assert (ran.folder / "nothing" / "ingest.json").is_file()


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

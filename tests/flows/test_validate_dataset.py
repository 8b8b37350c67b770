"""The flow, on Prefect's own embedded server and database: the plain run's bytes, and no case's name kept."""

from __future__ import annotations

import json
import subprocess
import sys
import traceback
from pathlib import Path

import pytest
import yaml

from tests.labelled_sets import WRITERS, predictions
from tomosurf.errors import ConfigError
from tomosurf.validate.options import ValidateOptions
from tomosurf.validate.run import validate

ROOT = Path(__file__).parents[2]
SCRIPT = """
import json, sys
from tomosurf.commands import demo
data, model, output, home, gate = sys.argv[1:6]
demo.os.environ.update(demo.QUIET_PREFECT, PREFECT_HOME=home)
flow = demo.load_flow("validate_dataset").validate_dataset
told = [flow(data, model, output, "cpu")]
try:
    flow(data, model, output, "cpu", "", gate)
except Exception as error:
    told.append(str(error))
print(json.dumps(told))
"""


@pytest.mark.slow
def test_the_flow_makes_what_the_plain_run_makes_and_names_no_case(tmp_path):
    data = WRITERS["nnunet-raw"](tmp_path / "data")
    predicted = predictions(tmp_path / "predicted", 1.5)
    (tmp_path / "gate.yaml").write_text("bounds:\n- {structure: small, metric: dice, at_least: 0.999}\n")
    folders = [str(tmp_path / name) for name in ("data", "predicted", "flow", "prefect", "gate.yaml")]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *folders],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    first, second = json.loads(done.stdout.splitlines()[-1])
    assert first == {"folder": str(tmp_path / "flow"), "unscored": 0, "broken": []}
    assert "small dice mean" in second
    validate(data, str(predicted), tmp_path / "plain", ValidateOptions(device="cpu"))
    made, plain = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("flow", "plain"))
    assert made["gate"]
    assert made | {"gate": None} == plain
    assert (tmp_path / "flow" / "metrics.csv").read_bytes() == (
        tmp_path / "plain" / "metrics.csv"
    ).read_bytes()
    database = b"".join(path.read_bytes() for path in (tmp_path / "prefect").glob("prefect.db*"))
    assert b"validate-dataset" in database
    assert b"case_1" not in database


def test_what_the_plan_task_raises_names_no_file(tmp_path):
    from flows import validate_dataset

    data = WRITERS["decathlon"](tmp_path / "data")
    path = data / "imagesTr" / "case_1.nii.gz"
    path.symlink_to(path.rename(tmp_path / "DOE^JANE.nii.gz"))
    with pytest.raises(ConfigError) as caught:
        validate_dataset.plan_cases.fn(str(data), str(data), str(tmp_path / "out"), "cpu")
    assert "case_1" not in "".join(traceback.format_exception(caught.value))


def test_deployments_name_flows_and_each_other():
    from importlib import import_module

    from prefect import Flow

    deployments = yaml.safe_load((ROOT / "flows" / "prefect.yaml").read_text())["deployments"]
    flows = {}
    for deployment in deployments:
        module, name = deployment["entrypoint"].rsplit(".", 1)
        flow = getattr(import_module(module), name)
        assert isinstance(flow, Flow)
        assert set(deployment.get("parameters", {})) <= set(flow.parameters.properties)
        flows[f"{flow.name}/{deployment['name']}"] = deployment
    assert "validate-dataset/weekly" in flows
    spread = flows["validate-on-pool/spread"]
    batch = flows[spread["parameters"]["deployment"]]
    assert batch["work_pool"]["name"] != spread["work_pool"]["name"], (
        "a run that waits would hold its batches' place"
    )

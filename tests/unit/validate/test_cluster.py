"""A Dask cluster of two processes: the same bytes, a killed worker, and what is told when it isn't there."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.labelled_sets import grid, labels, write_image, write_map
from tomosurf.errors import ConfigError
from tomosurf.validate.options import ValidateOptions
from tomosurf.validate.plan import make_plan
from tomosurf.validate.run import open_output, save_plan, validate

distributed = pytest.importorskip("distributed", reason="the extra dask isn't installed")

FILES = ("metrics.csv", "metrics.json", "report.html")


@pytest.fixture(scope="module")
def cluster():
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as running:
        yield running


@pytest.fixture
def data(tmp_path: Path) -> tuple[Path, str]:
    for number in range(8):
        write_image(tmp_path / "data" / "images" / f"secret_{number}.nii.gz")
        write_map(tmp_path / "data" / "labels" / f"secret_{number}.nii.gz", labels(grid()), grid())
        write_map(tmp_path / "predicted" / f"secret_{number}.nii.gz", labels(grid(), number / 10), grid())
    return tmp_path / "data", str(tmp_path / "predicted")


def test_a_cluster_gives_the_same_bytes_and_goes_on_too(cluster, data, tmp_path):
    source, predicted = data
    options = ValidateOptions(scheduler=cluster.scheduler_address)
    outcome = validate(source, predicted, tmp_path / "cluster", options)
    validate(source, predicted, tmp_path / "plain")
    assert outcome.reused == 0
    for name in FILES:
        assert (tmp_path / "cluster" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()
    next(tmp_path.glob("cluster/cases/*.json")).unlink()
    assert validate(source, predicted, tmp_path / "cluster", options).reused == 7


def test_the_cases_of_a_worker_that_dies_go_to_others(cluster, data, tmp_path):
    from tomosurf.validate.cluster import score_on_cluster

    source, predicted = data
    open_output(tmp_path / "out")
    plan = make_plan(source, predicted, ValidateOptions(scheduler=cluster.scheduler_address))
    results = score_on_cluster(plan, tmp_path / "out", save_plan(plan, tmp_path / "out"))
    first, _, _ = next(results)
    with distributed.Client(cluster, set_as_default=False) as client:
        victim = next(iter(client.run(os.getpid).values()))
    os.kill(victim, signal.SIGKILL)
    assert sorted([first, *(number for number, _, _ in results)]) == list(range(8))


def test_a_scheduler_that_isnt_there_is_told(data, tmp_path, monkeypatch):
    monkeypatch.setattr("tomosurf.validate.cluster.CONNECT_SECONDS", 0.3)
    with pytest.raises(ConfigError, match="no Dask scheduler answers"):
        validate(*data, tmp_path / "out", ValidateOptions(scheduler="tcp://127.0.0.1:9"))

"""The flows validate-dataset and validate-on-pool: a model, or predictions, against a labelled data set.

Batches of cases run in threads of the flow's own process; or each as a run of score-cases on a work pool, whose
workers sit on several GPUs or machines, and what kills one of them costs its batch alone.
Tasks exchange paths, numbers of cases and digests. Names of cases stay in the output folder.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.deployments import run_deployment
from prefect.futures import PrefectFuture
from prefect.states import State

from tomosurf.errors import ConfigError, ModelError
from tomosurf.validate.gate import load_gate
from tomosurf.validate.metrics import METRICS
from tomosurf.validate.options import ValidateOptions
from tomosurf.validate.plan import load_plan, make_plan
from tomosurf.validate.record import load_record
from tomosurf.validate.run import PLAN, REPORT, Judgement, finish, open_output, save_plan
from tomosurf.validate.score import Scorer

from .tasks import nameless, worth_retrying

BATCH = 16
"""Cases of one task: each task loads the model once."""

PLACES = BoundedSemaphore(2)
"""Batches at a time in one process; each holds a model of its own."""

BATCH_SECONDS = 3600
"""Wall time for a batch on a work pool: a worker that dies with its run leaves it as running for ever."""


@flow(name="validate-dataset")
def validate_dataset(
    path: str,
    model: str,
    output: str,
    device: str = "auto",
    earlier: str = "",
    gate: str = "",
) -> dict[str, Any]:
    """Score every case, sum up and report.

    A run that was stopped goes on where it was. The flow fails when a bound of the gate is broken.

    Args:
        path: the data set, in any registered form.
        model: a model's name or folder, or a folder of predictions.
        output: folder for tables and report; every worker must reach it under this path.
        device: "auto", "cpu" or "cuda".
        earlier: output folder of an earlier run to compare with, or "".
        gate: YAML file with bounds, or "".

    Returns:
        the folder, the number of cases without figures, and whether all bounds hold.

    Raises:
        ModelError: a bound of the gate is broken.
    """
    cases = plan_cases(path, model, output, device)
    return _judged(output, [score_cases.submit(output, batch) for batch in _batches(cases)], earlier, gate)


@flow(name="validate-on-pool")
def validate_on_pool(
    path: str,
    model: str,
    output: str,
    deployment: str = "score-cases/batch",
    earlier: str = "",
    gate: str = "",
) -> dict[str, Any]:
    """As validate-dataset, with every batch as a run of ``deployment``, a deployment of score-cases.

    Each run takes the GPU that its worker has, or the CPU. Parameters, result and errors are those of
    :func:`validate_dataset`.
    """
    cases = plan_cases(path, model, output, "auto")
    runs = [score_elsewhere.submit(output, batch, deployment) for batch in _batches(cases)]
    return _judged(output, runs, earlier, gate)


@flow(name="score-cases")
def score_batch(output: str, numbers: list[int]) -> None:
    """Score some cases of the plan in ``output``."""
    score_cases(output, numbers)


def _batches(cases: int) -> list[list[int]]:
    return [list(range(start, min(start + BATCH, cases))) for start in range(0, cases, BATCH)]


def _judged(output: str, runs: Sequence[PrefectFuture[list[str]]], earlier: str, gate: str) -> dict[str, Any]:
    """The report on what ``runs`` scored, when all have ended.

    Raises:
        ModelError: a bound of the gate is broken.
    """
    keys = [key for run in runs for key in run.result()]
    told: dict[str, Any] = report(output, keys, earlier, gate)
    if told["broken"]:
        raise ModelError(f"the gate is broken: {'; '.join(told['broken'])}; see {told['folder']}/{REPORT}")
    return told


@task(name="plan")
def plan_cases(path: str, model: str, output: str, device: str) -> int:
    """Open the data set and match its names; writes plan.json, returns the number of cases."""
    with nameless(), _without_cases():
        open_output(Path(output))
        options = ValidateOptions.model_validate({"device": device})
        plan = make_plan(Path(path), model, options)
        save_plan(plan, Path(output))
        return len(plan.cases)


@contextmanager
def _without_cases() -> Iterator[None]:
    """Errors about a data set name its files; what a task raises is kept in Prefect's database."""
    try:
        yield
    except ConfigError:
        raise ConfigError(
            "the data set, the predictions or the output folder can't be used; "
            "`tomosurf validate` with the same arguments says what is wrong with which file"
        ) from None


@task(name="score", retries=2, retry_delay_seconds=5, retry_condition_fn=worth_retrying)
def score_cases(output: str, numbers: Sequence[int]) -> list[str]:
    """Score some cases; returns the keys of their records."""
    with PLACES, nameless():
        plan = load_plan(Path(output) / PLAN)
        scorer = Scorer(plan, Path(output))
        return [scorer.score(plan.cases[number])[0].key for number in numbers]


@task(name="score-elsewhere", retries=2, retry_delay_seconds=5)
def score_elsewhere(output: str, numbers: Sequence[int], deployment: str) -> list[str]:
    """Have some cases scored on a work pool; returns the keys of their records.

    Raises:
        ModelError: the run didn't complete, or took longer than ``BATCH_SECONDS``.
    """
    given = {"output": output, "numbers": list(numbers)}
    state: State[Any] | None = run_deployment(deployment, parameters=given, timeout=BATCH_SECONDS).state
    if state is None or not state.is_completed():
        what = state.name.lower() if state and state.name else "lost"
        raise ModelError(f"a run of {deployment} is {what}; its page in Prefect says why")
    plan = load_plan(Path(output) / PLAN)
    return [plan.key(plan.cases[number]) for number in numbers]


@task(name="report-validation")
def report(output: str, keys: Sequence[str], earlier: str, gate: str) -> dict[str, Any]:
    """Table, summary, report, and a summary for Prefect's pages that names no case."""
    with nameless():
        plan = load_plan(Path(output) / PLAN)
        records = [record for key in keys if (record := load_record(Path(output), key)) is not None]
        if len(records) < len(plan.cases):
            raise ModelError(f"{len(plan.cases) - len(records)} cases have no record in {output}; run again")
        judgement = Judgement(Path(earlier) if earlier else None, load_gate(Path(gate)) if gate else None)
        result = finish(plan, Path(output), records, judgement)
    create_markdown_artifact(_table(result), key="validation", description="Means over cases")
    broken = [bound["message"] for bound in result["gate"] or () if not bound["holds"]]
    return {"folder": output, "unscored": len(result["unscored"]), "broken": broken}


def _table(result: dict[str, Any]) -> str:
    lines = [
        f"# {result['model']['title']} on {result['data_set']['title']}",
        "",
        f"| structure | {' | '.join(METRICS)} |",
        f"| --- {'| --- ' * len(METRICS)}|",
    ]
    for name, about in result["structures"].items():
        figures = [about["metrics"][key].get("mean") for key in METRICS]
        lines.append(f"| {name} | {' | '.join(json.dumps(figure) for figure in figures)} |")
    return "\n".join(lines)

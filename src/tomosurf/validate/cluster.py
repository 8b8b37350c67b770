"""Cases scored on the workers of a Dask cluster, wherever they run; needs the extra ``dask``."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from threading import Lock

from tomosurf.errors import ConfigError, MissingExtraError, ModelError
from tomosurf.validate.plan import Plan, load_plan
from tomosurf.validate.record import Record, load_record
from tomosurf.validate.score import Scorer

CONNECT_SECONDS = 30.0
"""Wall time in which the scheduler must answer."""

ONE_AT_A_TIME = Lock()
"""A model serves one case at a time, however many threads a worker has."""


def score_on_cluster(plan: Plan, output: Path, plan_file: Path) -> Iterator[tuple[int, Record, bool]]:
    """Number, record and whether it was finished before, of every case, in the order in which they get done.

    Every worker must reach the data set, the model and ``output`` under the same paths. What goes to the
    scheduler are paths and numbers of cases. The cases of a worker that dies are given to others.

    Raises:
        MissingExtraError: Dask isn't installed.
        ConfigError: no scheduler answers at ``plan.options.scheduler``, or the workers write elsewhere.
        ModelError: a case ended several workers, or the model can't run.
    """
    try:
        from distributed import Client, KilledWorker, as_completed
    except ImportError as error:
        raise MissingExtraError(
            "a Dask cluster needs the extra dask: pip install 'tomosurf[dask]'"
        ) from error
    scheduler = plan.options.scheduler
    try:
        client = Client(scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ConfigError(f"no Dask scheduler answers at {scheduler}") from error
    said = plan.options.model_dump_json()
    with client:
        futures = {
            client.submit(score_case, str(plan_file), str(output), said, number, pure=False): number
            for number in range(len(plan.cases))
        }
        for future in as_completed(list(futures), loop=client.loop):
            number = futures[future]
            try:
                key, before = future.result()
            except KilledWorker as error:
                name = plan.cases[number].name
                what = f"every worker that scored {name} ended before its time (out of memory?)"
                raise ModelError(f"{what}; run again: finished cases are kept") from error
            record = load_record(output, key)
            if record is None:
                raise ConfigError(
                    f"the cluster's workers don't write to {output}; it must be a folder they share"
                )
            yield number, record, before


def score_case(plan_file: str, output: str, said: str, number: int) -> tuple[str, bool]:
    """On a worker: score one case; returns its record's key, and whether it was finished before.

    ``said`` are the options, so that a plan that was written anew is read anew.

    Raises:
        ConfigError: the plan isn't the caller's: another file lies there on this worker's machine.
        ModelError: the model can't run.
    """
    with ONE_AT_A_TIME:
        plan, scorer = _loaded(plan_file, output, Path(plan_file).stat().st_mtime_ns)
        if plan.options.model_dump_json() != said:
            raise ConfigError(f"{plan_file} isn't the same file for every worker")
        record, before = scorer.score(plan.cases[number])
        return record.key, before


@lru_cache(1)
def _loaded(plan_file: str, output: str, written: int) -> tuple[Plan, Scorer]:
    """The plan and the model, kept from case to case until another plan is ``written``."""
    plan = load_plan(Path(plan_file))
    return plan, Scorer(plan, Path(output))

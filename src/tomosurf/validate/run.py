"""A whole validation: plan, score, sum up, compare, judge, report."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tomosurf import __version__
from tomosurf.errors import ConfigError
from tomosurf.progress import Progress, silent
from tomosurf.validate.calibration import add_up, curve
from tomosurf.validate.compare import SUMMARY, compare, open_earlier
from tomosurf.validate.gate import Gate, check_gate, refuse_misfit
from tomosurf.validate.options import ValidateOptions
from tomosurf.validate.page import page
from tomosurf.validate.plan import Plan, make_plan
from tomosurf.validate.record import Record
from tomosurf.validate.score import Scorer
from tomosurf.validate.summary import summarise
from tomosurf.validate.suspicious import rule, suspicious
from tomosurf.validate.table import FILE, Table, write_table
from tomosurf.validate.workers import score_in_workers
from tomosurf.whole_file import whole_file

PLAN = "plan.json"
REPORT = "report.html"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a run is held against besides the references.

    ``earlier`` is the output folder of a run to compare with; ``folds`` are those of other networks on the same
    cases, which must agree before a reference is called suspicious.
    """

    earlier: Path | None = None
    gate: Gate | None = None
    folds: tuple[Path, ...] = ()

    def refuse_misfit(self, plan: Plan) -> None:
        """See to it before anything is scored that both can be used.

        Raises:
            ConfigError: one can't.
        """
        for folder in (self.earlier, *self.folds):
            if folder is not None:
                open_earlier(folder)
        if self.gate is not None:
            refuse_misfit(self.gate, plan.pairs, self.earlier is not None)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The output folder, the document of its metrics.json, and how many cases were finished before."""

    folder: Path
    result: dict[str, Any]
    reused: int

    @property
    def passed(self) -> bool:
        """Whether every case was scored and no bound of the gate is broken."""
        sound = all(finding["severity"] != "error" for finding in self.result["findings"])
        return sound and all(bound["holds"] for bound in self.result["gate"] or ())


def validate(
    source: Path,
    model: str,
    output: Path,
    options: ValidateOptions = ValidateOptions(),  # noqa: B008  (frozen)
    judgement: Judgement = Judgement(),
    progress: Progress = silent,
) -> Outcome:
    """Hold a model, or a folder of predictions, against a labelled data set.

    A run that was stopped goes on where it was: a case whose files, model and options are the same isn't scored
    again. The same input gives the same metrics.csv and metrics.json, whatever the number of workers.

    Args:
        source: the data set, in any form of ``tomosurf.registry.DATASETS``.
        model: a model's name or folder, or a folder of predicted label maps named like the cases.
        output: made when missing: metrics.csv, metrics.json, report.html, plan.json, cases/ (to go on from).
        options: see :class:`ValidateOptions`.
        judgement: what to compare with.
        progress: told "validate" and the share of cases that are finished.

    Raises:
        ConfigError: wrong data set, names that don't match, or an output folder with other things in it.
        UnknownNameError: no such model or form.
        ModelError: the model can't run.
    """
    open_output(output)
    plan = make_plan(source, model, options, progress)
    judgement.refuse_misfit(plan)
    save_plan(plan, output)
    records: dict[int, Record] = {}
    reused = 0
    with Table(output / FILE, options) as table:
        progress("validate", 0.0)
        for number, record, before in _scored(plan, output):
            records[number] = record
            reused += before
            table.add(number, record)
            progress("validate", len(records) / len(plan.cases))
    ordered = [records[number] for number in range(len(plan.cases))]
    return Outcome(output, finish(plan, output, ordered, judgement), reused)


def open_output(output: Path) -> None:
    """Make the folder.

    Raises:
        ConfigError: it holds something that no validation wrote.
    """
    if output.is_dir() and any(output.iterdir()) and not (output / PLAN).is_file():
        raise ConfigError(f"{output} isn't empty and no validation wrote it; choose another folder")
    output.mkdir(parents=True, exist_ok=True)


def save_plan(plan: Plan, output: Path) -> Path:
    """Write the plan where workers find it."""
    with whole_file(output / PLAN) as partial:
        partial.write_text(plan.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return output / PLAN


def _scored(plan: Plan, output: Path) -> Iterator[tuple[int, Record, bool]]:
    if plan.options.scheduler:
        from tomosurf.validate.cluster import score_on_cluster

        yield from score_on_cluster(plan, output, output / PLAN)
        return
    if plan.options.workers > 1:
        yield from score_in_workers(plan, output, output / PLAN)
        return
    scorer = Scorer(plan, output)
    for number, case in enumerate(plan.cases):
        yield number, *scorer.score(case)


def finish(
    plan: Plan,
    output: Path,
    records: Sequence[Record],
    judgement: Judgement = Judgement(),
) -> dict[str, Any]:
    """Table, summary and report of all records, in the order of the plan's cases; returns the summary.

    Raises:
        ConfigError: the gate or the earlier run doesn't fit.
    """
    write_table(output / FILE, plan.options, records)
    result = _result(plan, records, judgement.folds)
    if judgement.earlier is not None:
        result["comparison"] = compare(records, list(plan.pairs), judgement.earlier)
    if judgement.gate is not None:
        result["gate"] = check_gate(judgement.gate, result)
    with whole_file(output / SUMMARY) as partial:
        partial.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    with whole_file(output / REPORT) as partial:
        partial.write_text(page(result, records), encoding="utf-8", newline="\n")
    return result


def _result(plan: Plan, records: Sequence[Record], folds: Sequence[Path]) -> dict[str, Any]:
    findings = [*plan.findings, *(finding for record in records for finding in record.findings)]
    structures = list(plan.pairs)
    bins = add_up(record.bins for record in records)
    return {
        "tomosurf": __version__,
        "data_set": {"title": plan.title, "form": plan.form, "cases": len(records)},
        "model": {"title": plan.model_title, "sha256": plan.model_sha256},
        "options": plan.options.meaning(),
        "pairs": plan.pairs,
        "structures": summarise(records, structures),
        "calibration": None if bins is None else curve(bins),
        "suspicious": {"rule": rule(folds), "cases": suspicious(records, structures, folds)},
        "unscored": sorted(
            {f["data"]["case"] for f in findings if f["severity"] == "error" and "case" in f["data"]}
        ),
        "findings": findings,
        "cases": [{"case": r.case, "reference_sha256": r.reference_sha256} for r in records],
        "comparison": None,
        "gate": None,
    }

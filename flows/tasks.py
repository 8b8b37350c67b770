"""One thin task a stage: load, call, save.

What lies between two tasks is a file in the flow's work folder (``tomosurf.store``). Neither arrays nor header
values nor file names of slices pass through Prefect, whose database outlives a run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from prefect import task
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task

from tomosurf import pipeline, store
from tomosurf.config import Protocol, load_protocol
from tomosurf.data.case import Case, InputFile, SeriesChoice
from tomosurf.data.face import FacePolicy
from tomosurf.data.notice import Notice
from tomosurf.data.volume import Policy
from tomosurf.errors import InputRefused, TomosurfError
from tomosurf.ingest.read import read
from tomosurf.label_surfaces import Surfaces
from tomosurf.pipeline import RunOptions
from tomosurf.plan import make_plan, told
from tomosurf.whole_file import whole_file

REFUSAL = ".refused"
"""Suffix of the file that says why a volume couldn't be segmented."""


async def worth_retrying(task: Task[Any, Any], run: TaskRun, state: State[Any]) -> bool:
    """A disk or a share may come back; an error that tomosurf raised on purpose will be raised again."""
    result = await state.aresult(raise_on_failure=False)
    return not isinstance(result, TomosurfError)


@task(name="ingest", retries=2, retry_delay_seconds=5, retry_condition_fn=worth_retrying)
def ingest(source: str, protocols: Sequence[str], work: str, policy: Policy = "strict") -> list[str]:
    """Slices to volumes. Returns one plan file a study; what was refused or skipped goes to ingest.json."""
    with nameless():
        return _ingest(Path(source), [load_protocol(name) for name in protocols], Path(work), policy)


@contextmanager
def nameless() -> Iterator[None]:
    """Errors without the names of slices: what a task raises is kept in Prefect's database."""
    try:
        yield
    except InputRefused as error:
        raise InputRefused(
            error.code, error.message, advice=error.advice, attribute=error.attribute, series=error.series
        ) from None
    except OSError as error:
        raise OSError(error.errno, error.strerror or type(error).__name__) from None


def _ingest(source: Path, chosen: Sequence[Protocol], folder: Path, policy: Policy) -> list[str]:
    """Write the volumes, one plan a study, and ingest.json into ``folder``."""
    intake = read(source, workspace=folder)
    refused = list(intake.refused)
    plans = []
    for study in intake.studies:
        plan = make_plan(study, chosen, told(intake), policy)
        volumes, more = pipeline.build_volumes(plan.series, policy=policy)
        refused += [*plan.refused, *more]
        for digest, volume in volumes.items():
            store.save_volume(volume, folder / f"{digest}.npz")
        jobs = [
            {
                "protocol": job.protocol.model_dump(mode="json"),
                "volume": str(folder / f"{job.series.digest}.npz"),
            }
            for job in plan.jobs
            if job.series.digest in volumes
        ]
        if jobs:
            notices = [asdict(notice) for notice in (*plan.refused, *more, *plan.warnings)]
            inputs = [asdict(entry) for entry in plan.inputs()]
            content = {
                "study": plan.study,
                "policy": policy,
                "inputs": inputs,
                "jobs": jobs,
                "notices": notices,
                "selection": [asdict(choice) for choice in plan.selection],
            }
            path = folder / f"{plan.study}.plan.json"
            path.write_text(json.dumps(content), encoding="utf-8")
            plans.append(str(path))
    kinds = {"refused": refused, "skipped": intake.skipped, "warnings": intake.warnings}
    document = {kind: [notice.as_dict() for notice in found] for kind, found in kinds.items()}
    (folder / "ingest.json").write_text(json.dumps(document, indent=2), encoding="utf-8")
    return plans


@task(name="segment", retries=2, retry_delay_seconds=5, retry_condition_fn=worth_retrying)
def segment(job: Mapping[str, Any], target: str, device: str) -> str:
    """One volume to a segmentation with margins, or to why it was refused; returns the file."""
    volume = store.load_volume(Path(job["volume"]))
    protocol = Protocol.model_validate(job["protocol"])
    try:
        found = pipeline.segment_volume(volume, protocol, RunOptions(device))
    except InputRefused as error:
        refusal = Path(target).with_suffix(REFUSAL)
        refusal.write_text(json.dumps(Notice.of(error).as_dict()), encoding="utf-8")
        return str(refusal)
    return str(store.save_segmentation(found, Path(target)))


@task(name="surface")
def surface(job: Mapping[str, Any], segmentation: str, face: FacePolicy = "refuse") -> dict[str, str]:
    """Clean up and contour; returns the files of the label map and of the scene, or the refusal's."""
    path = Path(segmentation)
    if path.suffix == REFUSAL:
        return {"refused": segmentation}
    protocol = Protocol.model_validate(job["protocol"])
    made = pipeline.surfaces_of(store.load_segmentation(path), protocol, face=face)
    labels = store.save_segmentation(made.segmentation, path.with_suffix(".labels.npz"))
    scene = store.save_scene(made.scene, path.with_suffix(".scene.npz"))
    path.unlink()
    return {"labels": str(labels), "scene": str(scene)}


@task(name="export-and-report")
def export_and_report(
    plan: str, parts: Sequence[Mapping[str, str]], output: str, device: str, face: FacePolicy = "refuse"
) -> str:
    """Gather, check, export, picture, report and seal; returns the case folder, which appears whole."""
    content = json.loads(Path(plan).read_text(encoding="utf-8"))
    done = [(job, part) for job, part in zip(content["jobs"], parts, strict=True) if "refused" not in part]
    protocols = [Protocol.model_validate(job["protocol"]) for job, _ in done]
    volumes = [store.load_volume(Path(file)) for file in dict.fromkeys(job["volume"] for job, _ in done)]
    series = {volume.series for volume in volumes}
    inputs = tuple(InputFile(**entry) for entry in content["inputs"] if entry["series"] in series)
    surfaces = [
        Surfaces(store.load_segmentation(Path(part["labels"])), store.load_scene(Path(part["scene"])))
        for _, part in done
    ]
    notices = [Notice.from_dict(entry) for entry in content["notices"]] + _refused(parts)
    selection = [
        SeriesChoice(**{**entry, "reasons": tuple(entry["reasons"])}) for entry in content["selection"]
    ]
    options = RunOptions(device, policy=content["policy"], face=face)
    case = Case(
        content["study"],
        "",
        inputs,
        tuple(volumes),
        notices=tuple(notices),
        selection=tuple(selection),
    )
    case = pipeline.gather_case(case, protocols, surfaces, options)
    return str(pipeline.write_case(case, protocols, Path(output), options).folder)


def tell_refused(ingest: Path, parts: Sequence[Mapping[str, str]]) -> None:
    """Add to the document ``ingest`` what was refused among a study's ``parts``."""
    document = json.loads(ingest.read_text(encoding="utf-8"))
    document["refused"] += [notice.as_dict() for notice in _refused(parts)]
    with whole_file(ingest) as partial:
        partial.write_text(json.dumps(document, indent=2), encoding="utf-8")


def _refused(parts: Sequence[Mapping[str, str]]) -> list[Notice]:
    files = [Path(part["refused"]) for part in parts if "refused" in part]
    return [Notice.from_dict(json.loads(file.read_text(encoding="utf-8"))) for file in files]

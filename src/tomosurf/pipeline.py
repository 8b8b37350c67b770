"""The order of the stages, and nothing else.

read -> plan -> build -> segment -> refine -> extract -> gather -> check -> write -> report

``run`` takes a folder of slices all the way; ``run_case`` one study. The steps between are functions of their
own, because a flow calls the same ones and keeps what lies between them on disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from tomosurf import case_folder
from tomosurf.config import NetworkMethod, Protocol, RefineRule, ThresholdMethod
from tomosurf.data.case import Case
from tomosurf.data.face import FacePolicy
from tomosurf.data.manifest import Manifest
from tomosurf.data.notice import Notice
from tomosurf.data.segmentation import Segmentation
from tomosurf.data.series import Series
from tomosurf.data.volume import Policy, Volume
from tomosurf.errors import InputRefused
from tomosurf.gather import gather, identity_of
from tomosurf.isolated import segment_in_child
from tomosurf.label_surfaces import Surfaces, surfaces_of_labels
from tomosurf.plan import Plan, Selected, make_plan, selected, told
from tomosurf.progress import Progress, silent
from tomosurf.registry import SEGMENTERS
from tomosurf.segment.options import SegmentOptions
from tomosurf.segment.resident import Engine


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What a caller may choose.

    Args:
        device: "auto", "cpu" or "cuda".
        exports: the mesh formats; None: as the protocols say.
        pictures: whether views are rendered.
        policy: what happens to stacks with missing slices or uneven steps: "strict" refuses, "repair"
            interpolates within limits, and says so in the manifest.
        isolated: whether networks run in a process of their own, which can be stopped and can't end this one.
        engine: holds networks from case to case; None: :func:`run` makes one, a single step does without.
        face: what happens to surfaces that show a face: "refuse" leaves them out, "blunt" hides the features,
            "keep" writes them as they are.
        precision, mirror, threads: how networks compute, as in :class:`~tomosurf.segment.options.SegmentOptions`.
    """

    device: str = "auto"
    exports: tuple[str, ...] | None = None
    pictures: bool = True
    policy: Policy = "strict"
    isolated: bool = False
    engine: Engine | None = None
    precision: Literal["auto", "float32"] = "auto"
    mirror: bool = False
    face: FacePolicy = "refuse"
    threads: int | None = None


@dataclass(frozen=True, slots=True)
class CaseResult:
    """A finished case folder and its manifest."""

    folder: Path
    manifest: Manifest


def read_case(folder: Path) -> CaseResult:
    """A finished case folder, read back.

    Raises:
        CaseFolderError: it is none.
    """
    return CaseResult(folder, case_folder.read_manifest(folder))


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that came of one input."""

    cases: tuple[CaseResult, ...] = ()
    refused: tuple[Notice, ...] = ()
    skipped: tuple[Notice, ...] = ()
    warnings: tuple[Notice, ...] = ()
    selection: tuple[Selected, ...] = ()


def run(
    source: Path,
    output: Path,
    protocols: Sequence[Protocol] = (),
    options: RunOptions = RunOptions(),
    progress: Progress = silent,
) -> Outcome:
    """Turn a folder, file or ZIP of DICOM slices into one case folder a study under ``output``.

    Args:
        source: the input; nothing is written to it.
        output: made when missing; a case folder is whole or not there.
        protocols: what to build; none named means every shipped protocol that fits a series.
        options: see :class:`RunOptions`.
        progress: called with (stage, fraction).

    Returns:
        the cases, and what was refused or skipped with its reason. No case at all isn't an exception here.

    Raises:
        TomosurfError: nothing can be read, or a stage fails.
    """
    from tomosurf.ingest.read import opened

    with opened(source, progress) as intake:
        cases: list[CaseResult] = []
        refused = list(intake.refused)
        selection: list[Selected] = []
        for study in intake.studies:
            plan = make_plan(study, protocols, told(intake), options.policy)
            refused += plan.refused
            selection += selected(plan)
            if plan.jobs:
                result, more = run_case(plan, output, options, progress)
                cases += result
                refused += more
        return Outcome(tuple(cases), tuple(refused), intake.skipped, intake.warnings, tuple(selection))


def run_case(
    plan: Plan, output: Path, options: RunOptions, progress: Progress = silent
) -> tuple[list[CaseResult], list[Notice]]:
    """One study from its plan to its case folder.

    A series that can't be decoded, or in which a protocol's place isn't found, is refused; the rest is made.
    """
    volumes, refused = build_volumes(plan.series, progress, options.policy)
    jobs, parts, unplaced = [], [], []
    for job in plan.jobs:
        if job.series.digest in volumes:
            try:
                parts.append(build_surfaces(volumes[job.series.digest], job.protocol, options, progress))
                jobs.append(job)
            except InputRefused as error:
                unplaced.append(Notice.of(error))
    if not jobs:
        return [], [*refused, *unplaced]
    plan = replace(plan, jobs=tuple(jobs))
    protocols = [job.protocol for job in jobs]
    notices = (*plan.refused, *refused, *plan.warnings, *unplaced)
    made = tuple(volumes[series.digest] for series in plan.series)
    case = Case(plan.study, "", plan.inputs(), made, notices=notices, selection=plan.selection)
    case = gather_case(case, protocols, parts, options)
    return [write_case(case, protocols, output, options, progress)], [*refused, *unplaced]


def build_volumes(
    series: Iterable[Series],
    progress: Progress = silent,
    policy: Policy = "strict",
    *,
    rectified: bool = False,
) -> tuple[dict[str, Volume], list[Notice]]:
    """Series digest to volume, and why others were refused; ``rectified`` puts leaning stacks on right angles."""
    from tomosurf.volume.build import build
    from tomosurf.volume.rectify import rectify

    volumes, refused = {}, []
    for one in series:
        try:
            volume = replace(build(one, progress, policy=policy), head=one.hints.head)
            volumes[one.digest] = rectify(volume, progress) if rectified else volume
        except InputRefused as error:
            refused.append(Notice.of(error))
    return volumes, refused


def segment_volume(
    volume: Volume, protocol: Protocol, options: RunOptions, progress: Progress = silent
) -> Segmentation:
    """One protocol's segmentation of one volume, margins along, before clean-up."""
    segment = SEGMENTERS.load(protocol.segment.method)
    if options.isolated and isinstance(protocol.segment, NetworkMethod):
        segment = segment_in_child
    chosen = SegmentOptions(
        options.device,
        options.precision,
        mirror=options.mirror,
        threads=options.threads,
        engine=options.engine,
    )
    found: Segmentation = segment(volume, protocol.segment, chosen, progress)
    provenance = {**found.provenance, **({"head_by_header": True} if volume.head else {})}
    return replace(found, protocol=protocol.name, series=volume.series, provenance=provenance)


def clean_up(
    method: ThresholdMethod | NetworkMethod, own: Mapping[str, RefineRule]
) -> Mapping[str, RefineRule]:
    """Rules by segment: those that belong to the network's model, and a protocol's ``own`` before them."""
    from tomosurf.segment.model.catalogue import find_model
    from tomosurf.segment.model.spec import load_spec

    if isinstance(method, NetworkMethod):
        return {**load_spec(find_model(method.model)).refine, **own}
    return own


def on_sides(rules: Mapping[str, RefineRule], segmentation: Segmentation) -> Mapping[str, RefineRule]:
    """``rules`` for the segments of a localised head: that of a name holds for it on either side."""
    told = segmentation.provenance.get("localise")
    if told is None:
        return rules
    names = {segment.name for segment in segmentation.segments}
    both = {f"{name}_{side}": rule for name, rule in rules.items() for side in told["sides"]}
    return {name: rule for name, rule in {**both, **rules}.items() if name in names or name not in rules}


def surfaces_of(
    segmentation: Segmentation,
    protocol: Protocol,
    progress: Progress = silent,
    face: FacePolicy = "refuse",
) -> Surfaces:
    """Clean up, guard faces, contour, measure, follow every piece through all of it, and let the margins go."""
    from tomosurf.refine.refine import refine
    from tomosurf.survival import lost_between, lost_to_labels

    refined = refine(segmentation, on_sides(clean_up(protocol.segment, protocol.refine), segmentation))
    losses = (*lost_to_labels(segmentation), *lost_between(segmentation, refined))
    del segmentation
    made = surfaces_of_labels(refined, progress, face)
    return replace(made, scene=replace(made.scene, losses=(*losses, *made.scene.losses)))


def build_surfaces(
    volume: Volume, protocol: Protocol, options: RunOptions, progress: Progress = silent
) -> Surfaces:
    """One job: segment, refine, extract."""
    return surfaces_of(segment_volume(volume, protocol, options, progress), protocol, progress, options.face)


def gather_case(
    case: Case, protocols: Sequence[Protocol], parts: Sequence[Surfaces], options: RunOptions = RunOptions()
) -> Case:
    """All jobs of a study as one case, measured and checked; ``protocols[n]`` gave ``parts[n]``.

    ``case`` comes with its study, inputs, volumes and notices; the identity is computed here.
    """
    from tomosurf.qc.run import run_checks

    segmentations = [part.segmentation for part in parts]
    identity = identity_of(
        case.study, case.inputs, protocols, segmentations, policy=options.policy, face=options.face
    )
    results = [(p, part.segmentation, part.scene) for p, part in zip(protocols, parts, strict=True)]
    case = gather(replace(case, identity=identity), results)
    return replace(case, findings=run_checks(case))


def write_case(
    case: Case,
    protocols: Sequence[Protocol],
    output: Path,
    options: RunOptions,
    progress: Progress = silent,
) -> CaseResult:
    """Export, picture, report and seal; the folder appears whole at the end."""
    from tomosurf.report.assemble import report_case

    exports = options.exports or tuple(dict.fromkeys(e for p in protocols for e in p.exports))
    with case_folder.CaseFolder(output, case.identity) as folder:
        artifacts = case_folder.write_case(case, exports, folder, progress)
        manifest = report_case(
            case, protocols, artifacts, folder, pictures=options.pictures, progress=progress
        )
    return CaseResult(folder.final, manifest)

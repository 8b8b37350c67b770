"""The order of the stages, and nothing else.

read -> plan -> build -> segment -> refine -> extract -> gather -> check -> write -> report

``run`` takes a folder of slices all the way; ``run_case`` one study. The steps between are functions of their
own, because a flow calls the same ones and keeps what lies between them on disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from tomosurf import case_folder
from tomosurf.config import (
    NetworkMethod,
    Protocol,
    RefineRule,
    ThresholdMethod,
    load_protocol,
    protocol_names,
)
from tomosurf.data.case import Case, InputFile, SeriesChoice
from tomosurf.data.codes import notice
from tomosurf.data.face import FacePolicy
from tomosurf.data.manifest import Manifest, plain
from tomosurf.data.mesh import Scene
from tomosurf.data.notice import Notice
from tomosurf.data.segmentation import Segmentation
from tomosurf.data.series import Intake, Series, Study
from tomosurf.data.volume import Policy, Volume
from tomosurf.errors import ConfigError, InputRefused
from tomosurf.gather import gather, identity_of, lighter_scenes
from tomosurf.isolated import segment_in_child
from tomosurf.progress import Progress, silent
from tomosurf.registry import SEGMENTERS
from tomosurf.segment.options import SegmentOptions
from tomosurf.segment.resident import Engine
from tomosurf.select import Choice, Verdict, choose

if TYPE_CHECKING:
    from tomosurf.surface.decimate import Target


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
class Job:
    """One protocol to run on one series."""

    protocol: Protocol
    series: Series


@dataclass(frozen=True, slots=True)
class Selected:
    """Why one series of a study was or wasn't taken."""

    study: str
    choice: SeriesChoice

    def as_dict(self) -> dict[str, Any]:
        """Plain values for ``--json``."""
        return {"study": self.study, **plain(self.choice)}


@dataclass(frozen=True, slots=True)
class Plan:
    """What to build from one study; which of its series can't be used, and what is odd about the others.

    ``selection`` says for every series, and every protocol that was asked, why it was or wasn't taken.
    """

    study: str
    jobs: tuple[Job, ...]
    refused: tuple[Notice, ...] = ()
    warnings: tuple[Notice, ...] = ()
    selection: tuple[SeriesChoice, ...] = ()

    @property
    def series(self) -> tuple[Series, ...]:
        """The series that some job uses, each once."""
        return tuple({job.series.digest: job.series for job in self.jobs}.values())

    def inputs(self) -> tuple[InputFile, ...]:
        """Digest of every slice that goes in."""
        return tuple(dict.fromkeys(InputFile(i.sha256, s.digest) for s in self.series for i in s.instances))


@dataclass(frozen=True, slots=True, eq=False)
class Surfaces:
    """What one job gives: the label map (its margins dropped) and the surfaces."""

    segmentation: Segmentation
    scene: Scene


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


def told(intake: Intake) -> tuple[Notice, ...]:
    """What a case may have to know of its input: oddities, and what was refused of or beside its series."""
    return (*intake.warnings, *intake.refused)


def selected(plan: Plan) -> list[Selected]:
    """The plan's selection, with its study beside each entry."""
    return [Selected(plan.study, choice) for choice in plan.selection]


def make_plan(
    study: Study,
    protocols: Sequence[Protocol] = (),
    warnings: Sequence[Notice] = (),
    policy: Policy = "strict",
) -> Plan:
    """Which protocol runs on which series of ``study``, from headers alone.

    A series whose geometry is refused is left out and told in ``refused``; so is a study that no protocol
    fits. Of ``warnings``, those about a series that is used, or about no known series, are kept.

    Raises:
        ConfigError: two different protocols share a name.
    """
    from tomosurf.volume.build import examine

    chosen = tuple(protocols) or tuple(load_protocol(name) for name in protocol_names())
    if len({protocol.name for protocol in chosen}) < len(chosen):
        raise ConfigError("two protocols share a name; their results would share files: rename one")
    usable, refused, selection = [], [], []
    for series in study.series:
        try:
            usable.append((series, examine(series, policy=policy)))
        except InputRefused as error:
            refused.append(Notice.of(error))
            selection.append(
                _chosen(series, Verdict(series.digest, False, None, (f"refused: {error.code}",)))
            )
    choices = [(protocol, choose(usable, protocol.series)) for protocol in chosen]
    jobs = [Job(protocol, series) for protocol, choice in choices for series in choice.taken]
    if usable and not jobs:
        refused.append(_nothing_fits(choices))
    used = {job.series.digest for job in jobs}
    kept = tuple(warning for warning in warnings if warning.series in used or not warning.series)
    by_digest = {series.digest: series for series in study.series}
    selection += [
        _chosen(by_digest[verdict.series], verdict, protocol.name)
        for protocol, choice in choices
        for verdict in choice.considered
    ]
    return Plan(study.digest, tuple(jobs), tuple(refused), kept, tuple(selection))


def _nothing_fits(choices: Sequence[tuple[Protocol, Choice]]) -> Notice:
    """That no series fits; why, series by series, where one protocol was asked for."""
    considered = choices[0][1].considered
    told = f"none of {len(considered)} series fits {', '.join(protocol.name for protocol, _ in choices)}"
    if len(choices) == 1:
        told += "".join(f"; series {v.series}: {', '.join(v.reasons)}" for v in considered)
    only = considered[0].series if len(considered) == 1 else ""
    return notice("no_matching_series", told, series=only)


def _chosen(series: Series, verdict: Verdict, protocol: str = "") -> SeriesChoice:
    return SeriesChoice(
        series=series.digest,
        modality=series.modality,
        phase=series.phase,
        slices=len(series.instances),
        protocol=protocol,
        taken=verdict.taken,
        score=verdict.score,
        reasons=verdict.reasons,
    )


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


def surfaces_of_labels(
    segmentation: Segmentation, progress: Progress = silent, face: FacePolicy = "refuse"
) -> Surfaces:
    """The same without clean-up, for a label map as it is, anyone's included."""
    from tomosurf.refine.face import guard_faces
    from tomosurf.surface.error import with_errors
    from tomosurf.surface.extract import extract
    from tomosurf.survival import lost_to_surfaces

    guarded, faces = guard_faces(segmentation, face)
    scene = with_errors(extract(guarded, progress), guarded)
    scene = replace(scene, losses=lost_to_surfaces(guarded, scene), faces=faces)
    return Surfaces(guarded.without_margins(), shown(scene))


def case_of_labels(
    segmentation: Segmentation,
    progress: Progress = silent,
    face: FacePolicy = "refuse",
    targets: Mapping[str, Target] = MappingProxyType({}),
) -> Case:
    """A label map without its images as a case: surfaces, measured and checked; no study, no files.

    ``targets`` names lighter scenes to make beside the full one. An error that a target allows comes on top of
    what the check of errors allows.
    """
    from tomosurf.qc.run import run_checks
    from tomosurf.qc.total_error import MOST_MM
    from tomosurf.surface.describe import basis_of, describe, reliability_of
    from tomosurf.surface.measure import measure

    made = surfaces_of_labels(segmentation, progress, face)
    scene = describe(made.scene, made.segmentation, None)
    basis = basis_of(made.segmentation)
    allowed = MOST_MM + max((target.max_error_mm or 0.0 for target in targets.values()), default=0.0)
    case = Case(
        "",
        "",
        segmentations=(made.segmentation,),
        scene=scene,
        measurements={mesh.segment.name: measure(mesh) for mesh in scene.meshes},
        reliability={mesh.segment.name: reliability_of(mesh, basis) for mesh in scene.meshes},
        lighter=lighter_scenes(scene, [made.segmentation], targets),
        most_error_mm={mesh.segment.name: allowed for mesh in scene.meshes},
    )
    return replace(case, findings=run_checks(case))


def shown(scene: Scene) -> Scene:
    """``scene`` without the surfaces that are withheld."""
    withheld = {face.segment for face in scene.faces if face.action == "withheld"}
    return replace(scene, meshes=tuple(mesh for mesh in scene.meshes if mesh.segment.name not in withheld))


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

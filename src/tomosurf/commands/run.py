"""``tomosurf run``: the whole job."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tomosurf.console import Console

if TYPE_CHECKING:
    from tomosurf.pipeline import Outcome

HELP = "turn a folder, file or ZIP of DICOM slices into case folders with meshes and a report"


def configure(parser: ArgumentParser) -> None:
    """Arguments of ``run``."""
    parser.add_argument("input", type=Path, help="folder (any depth), one file, or a ZIP")
    parser.add_argument("-o", "--output", type=Path, required=True, help="where case folders are made")
    parser.add_argument(
        "--protocol",
        action="append",
        default=[],
        metavar="NAME",
        help="what to build: a name from `tomosurf protocols` or a YAML file; repeatable; default: all that fit",
    )
    add_network(parser)
    add_policy(parser)
    parser.add_argument(
        "--format", metavar="NAMES", help="mesh formats, comma-separated; default: the protocol's"
    )
    add_face(parser)
    parser.add_argument("--no-pictures", action="store_true", help="leave out the rendered views")


def add_face(parser: ArgumentParser) -> None:
    """The argument ``--face``, the same for all commands that make surfaces."""
    parser.add_argument(
        "--face",
        choices=("refuse", "blunt", "keep"),
        default="refuse",
        help="a skin that shows a face: leave it out, write it without features, or write it as it is",
    )


def add_network(parser: ArgumentParser) -> None:
    """How networks run: the same arguments for all commands that make surfaces or label maps with one."""
    add_device(parser)
    parser.add_argument(
        "--precision",
        choices=("auto", "float32"),
        default="auto",
        help="float32: never half precision, so that labels don't depend on the device",
    )
    parser.add_argument(
        "--mirror",
        action="store_true",
        help="average over mirrored images, along the axes that the model was trained for: slower, surer",
    )
    add_isolated(parser)


def add_device(parser: ArgumentParser) -> None:
    """The argument ``--device``, the same for all commands that run a network."""
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="where networks run"
    )


def add_isolated(parser: ArgumentParser) -> None:
    """The argument ``--isolated``, for commands that run a network once a case."""
    parser.add_argument(
        "--isolated",
        action="store_true",
        help="run networks in a process of their own: should it crash or be killed, the command says so",
    )


def add_policy(parser: ArgumentParser) -> None:
    """The argument ``--policy``, the same for all commands that build volumes."""
    parser.add_argument(
        "--policy",
        choices=("strict", "repair"),
        default="strict",
        help="missing slices and uneven steps: refuse them, or interpolate a few and mark them",
    )


def formats(text: str | None) -> tuple[str, ...] | None:
    """``--format`` as names of exporters; None when it wasn't given.

    Raises:
        UnknownNameError: a format isn't registered.
    """
    from tomosurf.registry import EXPORTERS

    if text is None:
        return None
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        EXPORTERS.load(name)
    return names


def execute(arguments: Namespace, console: Console) -> int:
    """Run it; exit code 0, 3 (nothing usable) or 4 (a result that isn't for use)."""
    from tomosurf.config import load_protocol
    from tomosurf.pipeline import RunOptions, run

    protocols = [load_protocol(name) for name in dict.fromkeys(arguments.protocol)]
    options = RunOptions(
        arguments.device,
        formats(arguments.format),
        not arguments.no_pictures,
        arguments.policy,
        arguments.isolated,
        precision=arguments.precision,
        mirror=arguments.mirror,
        face=arguments.face,
    )
    with console.progress() as progress:
        outcome = run(arguments.input, arguments.output, protocols, options, progress)
    console.emit(as_document(outcome))
    show(outcome, console)
    return exit_code(outcome)


def exit_code(outcome: Outcome) -> int:
    """0 done, 3 no case, 4 a case with an error among its findings."""
    if not outcome.cases:
        return 3
    return 0 if all(case.manifest.usable for case in outcome.cases) else 4


def as_document(outcome: Outcome) -> dict[str, Any]:
    """What ``--json`` prints."""
    from tomosurf.data.manifest import case_summary

    return {
        "cases": [case_summary(case.manifest, case.folder) for case in outcome.cases],
        "refused": [notice.as_dict() for notice in outcome.refused],
        "skipped": [notice.as_dict() for notice in outcome.skipped],
        "warnings": [notice.as_dict() for notice in outcome.warnings],
        "selection": [selected.as_dict() for selected in outcome.selection],
    }


def show(outcome: Outcome, console: Console) -> None:
    """The same for people: structures, findings, and where the files are."""
    from tomosurf import case_folder

    for case in outcome.cases:
        manifest = case.manifest
        rows = [
            [
                mesh.segment,
                f"{mesh.volume_mm3 / 1000:,.2f}",
                f"{mesh.area_mm2 / 100:,.1f}",
                f"{mesh.triangles:,}",
                f"{sum(a.bytes for a in manifest.outputs if a.segment == mesh.segment) / 1e6:,.1f}",
                "yes" if mesh.closed else "NO",
            ]
            for mesh in manifest.meshes
        ]
        mark = "" if manifest.usable else "  ** NOT FOR USE **"
        columns = ["structure", "volume mL", "area cm2", "triangles", "files MB", "closed"]
        console.table(f"case {manifest.identity}{mark}", columns, rows)
        if not manifest.findings:
            console.say("  findings: none")
        for finding in manifest.findings:
            about = f" {finding.segment}" if finding.segment else ""
            console.say(f"  {finding.severity}: {finding.check}{about}: {finding.message}")
        console.say(f"  report: {case.folder / case_folder.REPORT}")
        folders = sorted({str(Path(file).parent) for mesh in manifest.meshes for file in mesh.files.values()})
        console.say(f"  meshes: {', '.join(str(case.folder / name) for name in folders) or 'none'}")
        console.say()
    for notice in outcome.refused:
        files = f" [{len(notice.files)} files, first: {notice.files[0]}]" if notice.files else ""
        advice = f" {notice.advice}" if notice.advice else ""
        console.warn(f"refused: {notice.code}: {notice.message}{files}{advice}")
    if outcome.skipped:
        console.warn(
            f"skipped: {sum(max(1, len(n.files)) for n in outcome.skipped)} files; --json lists them"
        )
    if outcome.cases:
        console.say("Research software, not a medical device.")

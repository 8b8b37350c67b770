"""``tomosurf inspect``: what is in there, from headers alone."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tomosurf.commands.run import add_policy
from tomosurf.console import Console

if TYPE_CHECKING:
    from tomosurf.data.case import SeriesChoice
    from tomosurf.data.series import Series
    from tomosurf.data.volume import Policy

HELP = "list the series of an input with a verdict on each, reading headers only"


def configure(parser: ArgumentParser) -> None:
    """Arguments of ``inspect``."""
    parser.add_argument("input", type=Path, help="folder (any depth), one file, or a ZIP")
    parser.add_argument(
        "--protocol",
        action="append",
        default=[],
        metavar="NAME",
        help="whose choice of series is shown: a name or a YAML file; repeatable; default: all that ship",
    )
    add_policy(parser)


def execute(arguments: Namespace, console: Console) -> int:
    """Show the verdicts; exit code 3 when no series can be used."""
    from tomosurf.config import load_protocol
    from tomosurf.ingest.read import opened
    from tomosurf.plan import make_plan, selected

    protocols = [load_protocol(name) for name in dict.fromkeys(arguments.protocol)]
    with console.progress() as progress, opened(arguments.input, progress, hashed=False) as intake:
        policy = arguments.policy
        verdicts = [_verdict(series, policy) for study in intake.studies for series in study.series]
        selection = [
            s for study in intake.studies for s in selected(make_plan(study, protocols, policy=policy))
        ]
    notices = {
        name: [n.as_dict() for n in getattr(intake, name)] for name in ("refused", "skipped", "warnings")
    }
    console.emit({"series": verdicts, **notices, "selection": [entry.as_dict() for entry in selection]})
    _show(verdicts, console)
    for verdict in verdicts:
        if verdict["message"]:
            console.say(f"  {verdict['series']}: {verdict['message']}")
    rows = [
        [s.choice.series, s.choice.protocol, _score(s.choice), "; ".join(s.choice.reasons)]
        for s in selection
        if s.choice.protocol
    ]
    console.table("Choice of series", ["series", "protocol", "score", "why"], rows)
    for kind in ("refused", "skipped", "warnings"):
        for notice in getattr(intake, kind):
            console.say(f"  {kind}: {notice.code}: {notice.message} ({len(notice.files)} files)")
    return 0 if any(verdict["verdict"] == "ok" for verdict in verdicts) else 3


def _show(verdicts: list[dict[str, Any]], console: Console) -> None:
    """The table of series; its column for the phase is there when some series was split."""
    columns = ["study", "series", "modality", "voxels", "spacing mm", "verdict"]
    rows = [
        [v["study"], v["series"], v["modality"], " x ".join(map(str, v["shape"])), _spacing(v), v["verdict"]]
        for v in verdicts
    ]
    if any(v["phase"] for v in verdicts):
        columns.insert(2, "phase")
        for row, v in zip(rows, verdicts, strict=True):
            row.insert(2, v["phase"] or "")
    console.table("Series", columns, rows)


def _verdict(series: Series, policy: Policy) -> dict[str, Any]:
    """One row: ok with its geometry and what is odd about the stack, or the code that refuses it."""
    from tomosurf.errors import InputRefused
    from tomosurf.volume.verdict import judge

    row: dict[str, Any] = {
        "study": series.study,
        "series": series.digest,
        "modality": series.modality,
        "phase": series.phase or None,
        "slices": len(series.instances),
    }
    try:
        stack = judge(series, policy=policy)
    except InputRefused as error:
        return {**row, "shape": [], "spacing_mm": [], "verdict": error.code, "message": str(error)}
    note = "; ".join(entry.message for entry in stack.ledger)
    return {**row, **stack.geometry.as_dict(), "verdict": "ok", "message": note}


def _score(choice: SeriesChoice) -> str:
    """The score of a series that fits, with a word when it is taken."""
    if choice.score is None:
        return "doesn't fit"
    return f"{choice.score:g}, taken" if choice.taken else f"{choice.score:g}"


def _spacing(verdict: dict[str, Any]) -> str:
    return " x ".join(f"{s:.3g}" for s in verdict["spacing_mm"])

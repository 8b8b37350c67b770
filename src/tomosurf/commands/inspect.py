"""``tomosurf inspect``: what is in there, from headers alone."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from tomosurf.commands.run import add_policy
from tomosurf.console import Console

if TYPE_CHECKING:
    from tomosurf.data.series import Series
    from tomosurf.data.volume import Policy
    from tomosurf.select import Verdict

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
    from tomosurf.ingest.read import read
    from tomosurf.pipeline import make_plan

    protocols = [load_protocol(name) for name in dict.fromkeys(arguments.protocol)]
    with TemporaryDirectory(prefix="tomosurf-") as workspace, console.progress() as progress:
        intake = read(arguments.input, progress, workspace=Path(workspace), hashed=False)
        policy = arguments.policy
        verdicts = [_verdict(series, policy) for study in intake.studies for series in study.series]
        selection = [
            s for study in intake.studies for s in make_plan(study, protocols, policy=policy).selection
        ]
    notices = {
        name: [n.as_dict() for n in getattr(intake, name)] for name in ("refused", "skipped", "warnings")
    }
    console.emit({"series": verdicts, **notices, "selection": [entry.as_dict() for entry in selection]})
    rows = [
        [v["study"], v["series"], v["modality"], " x ".join(map(str, v["shape"])), _spacing(v), v["verdict"]]
        for v in verdicts
    ]
    console.table("Series", ["study", "series", "modality", "voxels", "spacing mm", "verdict"], rows)
    for verdict in verdicts:
        if verdict["message"]:
            console.say(f"  {verdict['series']}: {verdict['message']}")
    rows = [
        [s.verdict.series, s.protocol, _score(s.verdict), "; ".join(s.verdict.reasons)] for s in selection
    ]
    console.table("Choice of series", ["series", "protocol", "score", "why"], rows)
    for kind in ("refused", "skipped", "warnings"):
        for notice in getattr(intake, kind):
            console.say(f"  {kind}: {notice.code}: {notice.message} ({len(notice.files)} files)")
    return 0 if any(verdict["verdict"] == "ok" for verdict in verdicts) else 3


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


def _score(verdict: Verdict) -> str:
    """The score of a series that fits, with a word when it is taken."""
    if verdict.score is None:
        return "doesn't fit"
    return f"{verdict.score:g}, taken" if verdict.taken else f"{verdict.score:g}"


def _spacing(verdict: dict[str, Any]) -> str:
    return " x ".join(f"{s:.3g}" for s in verdict["spacing_mm"])

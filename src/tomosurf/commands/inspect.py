"""``tomosurf inspect``: what is in there, from headers alone."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from tomosurf.console import Console

if TYPE_CHECKING:
    from tomosurf.data.series import Series

HELP = "list the series of an input with a verdict on each, reading headers only"


def configure(parser: ArgumentParser) -> None:
    """Arguments of ``inspect``."""
    parser.add_argument("input", type=Path, help="folder (any depth), one file, or a ZIP")


def execute(arguments: Namespace, console: Console) -> int:
    """Show the verdicts; exit code 3 when no series can be used."""
    from tomosurf.ingest.read import read

    with TemporaryDirectory(prefix="tomosurf-") as workspace, console.progress() as progress:
        intake = read(arguments.input, progress, workspace=Path(workspace), hashed=False)
        verdicts = [_verdict(series) for study in intake.studies for series in study.series]
    notices = {
        name: [n.as_dict() for n in getattr(intake, name)] for name in ("refused", "skipped", "warnings")
    }
    console.emit({"series": verdicts, **notices})
    rows = [
        [v["study"], v["series"], v["modality"], " x ".join(map(str, v["shape"])), _spacing(v), v["verdict"]]
        for v in verdicts
    ]
    console.table("Series", ["study", "series", "modality", "voxels", "spacing mm", "verdict"], rows)
    for verdict in verdicts:
        if verdict["message"]:
            console.say(f"  {verdict['series']}: {verdict['message']}")
    for kind in ("refused", "skipped", "warnings"):
        for notice in getattr(intake, kind):
            console.say(f"  {kind}: {notice.code}: {notice.message} ({len(notice.files)} files)")
    return 0 if any(verdict["verdict"] == "ok" for verdict in verdicts) else 3


def _verdict(series: Series) -> dict[str, Any]:
    """One row: ok with its geometry, or the code that refuses it."""
    from tomosurf.errors import InputRefused
    from tomosurf.volume.build import examine

    row: dict[str, Any] = {
        "study": series.study,
        "series": series.digest,
        "modality": series.modality,
        "slices": len(series.instances),
    }
    try:
        geometry = examine(series)
    except InputRefused as error:
        return {**row, "shape": [], "spacing_mm": [], "verdict": error.code, "message": str(error)}
    about = geometry.as_dict()
    note = "" if geometry.is_orthogonal else "the stack is sheared (tilted gantry); kept as it is"
    return {**row, **about, "verdict": "ok", "message": note}


def _spacing(verdict: dict[str, Any]) -> str:
    return " x ".join(f"{s:.3g}" for s in verdict["spacing_mm"])

"""``tomosurf validate``: predictions against references."""

from __future__ import annotations

import time
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tomosurf.commands.run import add_device
from tomosurf.console import Console
from tomosurf.registry import DATASETS

if TYPE_CHECKING:
    from tomosurf.validate.run import Outcome

HELP = "hold a model, or a folder of predictions, against a labelled data set, and report"


def configure(parser: ArgumentParser) -> None:
    """Arguments of ``validate``."""
    _what(parser)
    _scores(parser)
    _judgement(parser)
    _where(parser)


def _what(parser: ArgumentParser) -> None:
    """What is held against what."""
    parser.add_argument("dataset", type=Path, help="folder of a labelled data set, or a JSON datalist")
    parser.add_argument(
        "--model",
        required=True,
        metavar="NAME|PREDICTIONS",
        help="a model (see `tomosurf models`), or a folder of label maps named like the cases",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for tables and report")
    parser.add_argument(
        "--form", choices=DATASETS.names(), default="", help="of the data set; default: found out"
    )
    parser.add_argument(
        "--map",
        action="append",
        default=[],
        metavar="STRUCTURE=SEGMENT",
        help="which segment of the model is which structure of the data set, where names differ; repeatable",
    )


def _scores(parser: ArgumentParser) -> None:
    """Tolerances of the figures."""
    parser.add_argument(
        "--tolerance",
        action="append",
        type=float,
        metavar="MM",
        help="of the normalised surface distance; repeatable, the first is the column nsd; default: 1",
    )
    parser.add_argument(
        "--overlap",
        type=float,
        default=0.1,
        metavar="SHARE",
        help="share of a piece's voxels that must be covered for it to count as found; default: 0.1",
    )
    parser.add_argument(
        "--geometry-tolerance",
        type=float,
        default=0.01,
        metavar="MM",
        help="how far an image's grid and its labels' may lie apart; default: 0.01",
    )


def _judgement(parser: ArgumentParser) -> None:
    """What the figures are held against."""
    parser.add_argument("--compare", type=Path, metavar="EARLIER", help="output folder of an earlier run")
    parser.add_argument(
        "--gate", type=Path, metavar="FILE", help="YAML file with bounds; a broken one gives exit code 4"
    )
    parser.add_argument(
        "--fold",
        type=Path,
        action="append",
        default=[],
        metavar="EARLIER",
        help="output folder of another fold's run on the same cases; a reference is then suspicious only when all "
        "are against it; repeatable",
    )


def _where(parser: ArgumentParser) -> None:
    """Where cases are scored, and what is kept of them."""
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes; each loads the model")
    parser.add_argument(
        "--dask",
        default="",
        metavar="ADDRESS",
        help="of a Dask scheduler, tcp://HOST:8786: its workers score the cases; needs the extra dask",
    )
    parser.add_argument("--keep", action="store_true", help="write every predicted label map")
    add_device(parser)


def execute(arguments: Namespace, console: Console) -> int:
    """Validate; exit code 4 when a bound of the gate is broken, or a case couldn't be scored.

    Raises:
        ConfigError: the data set, the options, the gate or the names are wrong.
    """
    from tomosurf.config import parse
    from tomosurf.validate.gate import load_gate
    from tomosurf.validate.options import ValidateOptions
    from tomosurf.validate.run import Judgement, validate

    wanted: dict[str, Any] = {
        "tolerances_mm": tuple(arguments.tolerance or (1.0,)),
        "component_overlap": arguments.overlap,
        "geometry_tolerance_mm": arguments.geometry_tolerance,
        "names": _names(arguments.map),
        "form": arguments.form,
        "keep": arguments.keep,
        "device": arguments.device,
        "workers": arguments.workers,
        "scheduler": arguments.dask,
    }
    options = parse(ValidateOptions, wanted, "options")
    gate = load_gate(arguments.gate) if arguments.gate else None
    judgement = Judgement(arguments.compare, gate, tuple(arguments.fold))
    began = time.perf_counter()
    with console.progress() as progress:
        outcome = validate(
            arguments.dataset,
            arguments.model,
            arguments.output,
            options,
            judgement,
            progress=progress,
        )
    seconds = time.perf_counter() - began
    console.emit(
        {
            "folder": str(outcome.folder),
            "passed": outcome.passed,
            "reused": outcome.reused,
            "seconds": round(seconds, 2),
            **outcome.result,
        }
    )
    _show(outcome, seconds, console)
    return 0 if outcome.passed else 4


def _names(pairs: list[str]) -> dict[str, str]:
    from tomosurf.errors import ConfigError

    names = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    if len(names) < len(pairs):
        raise ConfigError("--map takes STRUCTURE=SEGMENT, each structure once")
    return names


def _show(outcome: Outcome, seconds: float, console: Console) -> None:
    """The same for people: means, broken bounds, and where the files are."""
    from tomosurf.validate.metrics import METRICS

    result = outcome.result
    rows = []
    for name, about in result["structures"].items():
        means = [about["metrics"][key] for key in METRICS]
        cells = [
            f"{m['mean']:.{METRICS[key].decimals}f}" if m["n"] else "-"
            for key, m in zip(METRICS, means, strict=True)
        ]
        rows.append([name, str(about["found"]), str(about["missed"]), *cells])
    columns = [
        "structure",
        "found",
        "missed",
        "Dice",
        "NSD",
        "HD95 mm",
        "MSD mm",
        "volume %",
        "mesh mm",
        "mesh 95 mm",
    ]
    console.table(f"{result['model']['title']} on {result['data_set']['title']}, means", columns, rows)
    for finding in result["findings"]:
        if finding["severity"] != "info":
            console.warn(f"{finding['severity']}: {finding['check']}: {finding['message']}")
    for entry in result["suspicious"]["cases"]:
        console.warn(f"suspicious reference: {entry['case']} {entry['structure']}: Dice {entry['dice']:.3f}")
    for bound in result["gate"] or ():
        if not bound["holds"]:
            console.warn(f"gate broken: {bound['message']}")
    scored = result["data_set"]["cases"] - outcome.reused
    pace = f" ({seconds / scored:.2f} s a case)" if scored else ""
    console.say(f"{scored} cases scored, {outcome.reused} finished before, {seconds:.1f} s{pace}.")
    console.say(f"report: {outcome.folder / 'report.html'}")
    console.say("Research software, not a medical device.")

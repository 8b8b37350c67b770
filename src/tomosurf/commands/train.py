"""``tomosurf train``: a model from labelled cases."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from pathlib import Path

from tomosurf.commands.run import add_device
from tomosurf.console import Console

HELP = "train a model on a labelled data set, with figures from cases it never saw"


def configure(parser: ArgumentParser) -> None:
    """Arguments of ``train``."""
    parser.add_argument("config", type=Path, help="YAML file, such as configs/training/mr-hippocampus.yaml")
    parser.add_argument("--data", type=Path, required=True, help="data set in the decathlon's form")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="folder for the model; the same one again: go on"
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--fold", type=int, metavar="N", help="hold fold N out, and score on it")
    which.add_argument(
        "--folds", type=int, metavar="K", help="K folds, each held out once, then a model of all cases"
    )
    add_device(parser)


def execute(arguments: Namespace, console: Console) -> int:
    """Train; under torchrun, the first process speaks.

    Raises:
        ConfigError: the configuration, the data set or the output folder is wrong.
        DataError: a case can't be used.
    """
    from tomosurf.train.run import Wanted, train

    wanted = Wanted(arguments.device, arguments.fold, arguments.folds is not None, arguments.folds)
    arguments.output.mkdir(parents=True, exist_ok=True)
    with console.progress() as progress:
        metrics = train(arguments.config, arguments.data, arguments.output, wanted, progress)
    if os.environ.get("RANK", "0") != "0":
        return 0
    console.emit(metrics)
    columns = ["structure", "Dice", "worst", "NSD 1 mm", "HD95 mm", "MSD mm"]
    keys = ("dice_mean", "dice_worst", "nsd_mean", "hd95_mm_mean", "msd_mm_mean")
    rows = [
        [name, *(f"{own[key]:.3f}" if key in own else "-" for key in keys)]
        for name, own in metrics["held_out"].items()
    ]
    if rows:
        console.table("Cases that the networks never saw", columns, rows)
    else:
        console.say("No case was held out: there are no figures. --folds gives them.")
    console.say(f"model: {arguments.output}; curves: {arguments.output / 'curves.svg'}")
    return 0

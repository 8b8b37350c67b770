"""The files of an nnU-Net results folder, found and read with care: a folder from elsewhere is input."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tomosurf.errors import ConfigError, ModelError
from tomosurf.segment.model.imported import ImportChoices

PLANS = "plans.json"
DATASET = "dataset.json"
CHECKPOINT = "checkpoint_final.pth"

MOST_JSON = 64 << 20
"""Largest JSON file in bytes."""

DEPTH = 4
"""Levels below the given folder at which a trainer's folder is looked for: TotalSegmentator's whole tree."""


@dataclass(frozen=True, slots=True)
class Results:
    """One trainer's folder: its two descriptions and the checkpoints of its folds."""

    folder: Path
    plans: Any
    dataset: Any
    checkpoints: tuple[Path, ...]


def trained_folders(folder: Path) -> tuple[Path, ...]:
    """The folder itself when it holds plans.json, else those called Trainer__Plans__configuration below it."""
    if (folder / PLANS).is_file():
        return (folder,)
    return tuple(sorted(_below(folder, DEPTH)))


def _below(folder: Path, depth: int) -> Iterator[Path]:
    try:
        children = [path for path in folder.iterdir() if path.is_dir() and not path.is_symlink()]
    except OSError as error:
        raise ModelError(f"{folder} can't be read ({error.strerror})") from error
    for path in children:
        if path.name.count("__") == 2 and (path / PLANS).is_file():
            yield path
        elif depth > 1:
            yield from _below(path, depth - 1)


def read_results(folder: Path, choices: ImportChoices) -> Results:
    """The chosen trainer's folder, read as data.

    Raises:
        ConfigError: there are several and none, or one that isn't there, was chosen; or a fold isn't there.
        ModelError: a file is missing, isn't JSON, or leads out of the folder.
    """
    return _results(_chosen(trained_folders(folder), choices.configuration, folder), choices.folds)


def _results(chosen: Path, folds: tuple[str, ...]) -> Results:
    for name in (PLANS, DATASET):
        _stays_inside(chosen / name, chosen)
    return Results(
        chosen,
        _json(chosen / PLANS),
        _json(chosen / DATASET),
        _checkpoints(chosen, folds),
    )


def read_stage(folder: Path, second: Results, configuration: str, choices: ImportChoices) -> Results:
    """The results of a cascade's first stage: those below ``folder`` of ``second``'s trainer and plans.

    Raises:
        ModelError, ConfigError: it isn't there, or as :func:`read_results`.
    """
    name = "__".join((*second.folder.name.split("__")[:-1], configuration))
    fitting = [path for path in trained_folders(folder) if path.name == name and path != second.folder]
    beside = [path for path in fitting if path.parent == second.folder.parent]
    if len(beside) != 1:
        raise ConfigError(
            f"{second.folder.name} is the second stage of a cascade and needs its first, {name}, beside it: give"
            " the folder that holds both, and --configuration for the second"
        )
    return _results(beside[0], choices.folds)


def _chosen(there: tuple[Path, ...], wanted: str | None, folder: Path) -> Path:
    if not there:
        raise ModelError(f"{folder} holds no results of nnU-Net v2: no folder with {PLANS}")
    if len(there) == 1:
        return there[0]
    names = ", ".join(str(path.relative_to(folder)) for path in there)
    fitting = [
        path
        for path in there
        if wanted in {path.name, path.name.rsplit("__", 1)[-1], str(path.relative_to(folder))}
    ]
    if len(fitting) != 1:
        told = "one must be chosen" if wanted is None else f"{wanted!r} names {len(fitting)} of them"
        raise ConfigError(f"{folder} holds several models and {told} (--configuration): {names}")
    return fitting[0]


def _checkpoints(folder: Path, wanted: tuple[str, ...]) -> tuple[Path, ...]:
    """nnU-Net's own choice: all numbered folds, or "all" where there is no other."""
    there = {
        path.parent.name.removeprefix("fold_"): path for path in sorted(folder.glob(f"fold_*/{CHECKPOINT}"))
    }
    if not there:
        raise ModelError(
            f"{folder} holds no fold_*/{CHECKPOINT}; copy the folder again, checkpoints included"
        )
    missing = sorted(set(wanted) - set(there))
    if missing:
        raise ConfigError(f"{folder} has no fold {', '.join(missing)}; it has {', '.join(there)}")
    names = wanted or tuple(name for name in there if name != "all") or tuple(there)
    for name in names:
        _stays_inside(there[name], folder)
    return tuple(there[name] for name in names)


def _stays_inside(path: Path, folder: Path) -> None:
    if not path.is_file():
        raise ModelError(f"{folder} holds no {path.name}; copy the folder again")
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ModelError(f"{path} leads out of its folder; copy the file itself")


def _json(path: Path) -> Any:
    try:
        if path.stat().st_size > MOST_JSON:
            raise ModelError(f"{path} is too large for a description")
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"{path} can't be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is no JSON ({error})") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path} is no JSON object")
    return content

"""A folder from another tool into the user's folder of models."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from tomosurf.errors import ModelError
from tomosurf.registry import IMPORTERS
from tomosurf.segment.model.imported import ImportChoices, Importer
from tomosurf.segment.model.library import install


@dataclass(frozen=True, slots=True)
class TakenIn:
    """What became of a foreign folder: the model's new folder, what kind it was, notes for the user."""

    folder: Path
    kind: str
    notes: tuple[str, ...]


def take_in(
    folder: Path,
    choices: ImportChoices = ImportChoices(),  # noqa: B008  (frozen)
    notes: tuple[str, ...] = (),
) -> TakenIn:
    """Read ``folder`` as data by the importer that recognises it, and install the model.

    ``notes`` join those of the importer: on the model's card, and in the result.

    Raises:
        ModelError: no importer recognises the folder, or what it holds isn't understood.
        ConfigError: a choice is missing or doesn't fit, or the name is taken.
    """
    if not folder.is_dir():
        raise ModelError(f"{folder} is no folder; give the folder of a MONAI bundle or of nnU-Net's results")
    importers: dict[str, Importer] = {name: IMPORTERS.load(name) for name in IMPORTERS}
    fitting = [name for name, importer in importers.items() if importer.recognises(folder)]
    if len(fitting) != 1:
        kinds = ", ".join(importer.title for importer in importers.values())
        raise ModelError(
            f"{folder} is {'none' if not fitting else 'more than one'} of what can be imported: {kinds}"
        )
    model = importers[fitting[0]].read(folder, choices)
    model = replace(model, notes=(*model.notes, *notes))
    return TakenIn(install(model), fitting[0], model.notes)

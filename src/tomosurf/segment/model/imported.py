"""A model that was read from another tool's files, before it is written as one of ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from tomosurf.segment.model.spec import ModelDescription

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class ImportChoices:
    """What a folder doesn't say and a person must, or may say better.

    ``name``, ``licence`` and ``modality`` go before the folder's own. ``order`` names the structures of
    overlapping regions, a later one painted over an earlier one. ``configuration`` and ``folds`` choose among
    several in one nnU-Net folder; no folds: all that are there. ``orientation`` says how the training images of
    a network lay that took them as they were stored: the letters that their axes run towards, such as "RAS".
    """

    name: str | None = None
    licence: str | None = None
    modality: Literal["CT", "MR", "PT", "any"] | None = None
    order: tuple[str, ...] = ()
    configuration: str | None = None
    folds: tuple[str, ...] = ()
    orientation: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Imported:
    """A description, the tensors of each set of weights by name, and ``notes`` on what a user should know.

    ``earlier`` is the first stage of the cascade that this is the second of.
    """

    description: ModelDescription
    state_dicts: tuple[Mapping[str, torch.Tensor], ...]
    notes: tuple[str, ...] = ()
    earlier: Imported | None = None


class Importer(Protocol):
    """Reads one kind of foreign model folder as data; nothing in it is ever run."""

    title: str

    def recognises(self, folder: Path) -> bool:
        """Whether the folder looks like one of its kind, by the names of its files."""

    def read(self, folder: Path, choices: ImportChoices) -> Imported:
        """The model.

        Raises:
            ModelError: something in it isn't understood, is missing, contradicts itself or is no data.
            ConfigError: a choice is missing or doesn't fit.
        """

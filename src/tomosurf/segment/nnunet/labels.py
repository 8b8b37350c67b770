"""dataset.json: what a network's channels mean."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import model_validator

from tomosurf.errors import ConfigError, ModelError
from tomosurf.segment.nnunet.plans import Told

MAGNETIC = re.compile(r"\b(t1\w*|t2\w*|flair|adc|dwi|swi|pdw?|mri?|mra|cine)\b")


class Dataset(Told):
    """The data set that a network was trained on; several spellings of the licence are in use."""

    labels: dict[str, int | tuple[int, ...]]
    channel_names: dict[str, str]
    regions_class_order: tuple[int, ...] | None = None
    licence: str | None = None
    reference: str | None = None
    description: str | None = None

    @property
    def foreground(self) -> tuple[int, ...]:
        """Every label but background and what was ignored, ascending: what a cascade's second stage is shown."""
        given = {label for name, own in self.labels.items() if name != "ignore" for label in _each(own)}
        return tuple(sorted(given - {0}))

    @model_validator(mode="before")
    @classmethod
    def _other_spellings(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        same = {"license": "licence", "modality": "channel_names"}
        renamed = {new: values[old] for old, new in same.items() if old in values and new not in values}
        return {**values, **renamed}


@dataclass(frozen=True, slots=True)
class Meaning:
    """What the channels stand for: labels with their names; ``regions`` only where channels overlap."""

    channels: int
    names: tuple[tuple[int, str], ...]
    regions: tuple[int, ...] = ()

    @property
    def activation(self) -> Literal["softmax", "sigmoid"]:
        """Whether channels exclude each other."""
        return "sigmoid" if self.regions else "softmax"


def meaning_of(dataset: Dataset) -> Meaning:
    """The channels of a network of this data set; a label that was ignored in training has none.

    Raises:
        ModelError: there is no background or nothing else, labels have gaps, or the order of regions doesn't fit.
    """
    given = {name: label for name, label in dataset.labels.items() if name != "ignore"}
    if given.get("background") != 0:
        raise ModelError("dataset.json: labels lacks background, which is 0")
    if any(isinstance(label, tuple) and len(label) > 1 for label in given.values()):
        return _regions(given, dataset.regions_class_order)
    single = {name: label[0] if isinstance(label, tuple) else label for name, label in given.items()}
    ordered = sorted(single.items(), key=lambda item: item[1])
    if [label for _, label in ordered] != list(range(len(ordered))) or len(ordered) < 2:
        raise ModelError("dataset.json: labels aren't 0, 1, 2 ... without gaps, as nnU-Net demands")
    return Meaning(len(ordered), tuple((label, name) for name, label in ordered[1:]))


def _regions(given: dict[str, int | tuple[int, ...]], order: tuple[int, ...] | None) -> Meaning:
    """Each region is a channel, in the order of the file; a later one paints over an earlier one."""
    names = [name for name, label in given.items() if label != 0 and set(_each(label)) != {0}]
    if order is None or len(order) != len(names) or min(order, default=0) < 1:
        raise ModelError(
            f"dataset.json: regions_class_order isn't one label for each of {len(names)} regions"
        )
    painted: dict[int, list[str]] = {}
    for label, name in zip(order, names, strict=True):
        painted.setdefault(label, []).append(name)
    return Meaning(
        len(names), tuple((label, " or ".join(own)) for label, own in sorted(painted.items())), order
    )


def _each(label: int | tuple[int, ...]) -> tuple[int, ...]:
    return label if isinstance(label, tuple) else (label,)


def modality_of(
    dataset: Dataset, schemes: tuple[str, ...], wanted: Literal["CT", "MR", "PT", "any"] | None
) -> Literal["CT", "MR", "PT", "any"]:
    """What the channels' names and normalisations say; "any" where they say nothing, or several things.

    Raises:
        ConfigError: the one wanted contradicts a normalisation in Hounsfield units.
    """
    found = {_modality(name.lower()) for name in dataset.channel_names.values()}
    if "CTNormalization" in schemes and len(schemes) == 1:
        found = {"CT"}
    if wanted is not None:
        if found == {"CT"} and wanted not in {"CT", "any"}:
            raise ConfigError(f"the network was trained on CT, not on {wanted}")
        return wanted
    return found.pop() if len(found) == 1 else "any"


def _modality(name: str) -> Literal["CT", "MR", "PT", "any"]:
    if re.search(r"\b(ct|cta|cbct)\b", name):
        return "CT"
    if re.search(r"\b(pet|pt|suv)\b", name):
        return "PT"
    return "MR" if MAGNETIC.search(name.replace("_", " ")) else "any"

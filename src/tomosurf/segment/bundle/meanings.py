"""What a bundle's metadata says: its name, what it is for, what its channels mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tomosurf.errors import ConfigError, ModelError
from tomosurf.segment.bundle.expressions import Painting, shown
from tomosurf.segment.model.imported import ImportChoices
from tomosurf.segment.model.naming import slug

BACKGROUND = frozenset({"background", "bg", "back_ground"})

Modality = Literal["CT", "MR", "PT", "any"]


@dataclass(frozen=True, slots=True)
class Meaning:
    """Names of labels, and the old place of each output where they had to change places."""

    names: tuple[tuple[int, str], ...]
    activation: Literal["softmax", "sigmoid"]
    regions: tuple[int, ...] = ()
    order: tuple[int, ...] = ()


def modality_of(metadata: Mapping[str, Any], notes: list[str]) -> Modality:
    """The kind of image that the metadata names; "any", with a note, where it names none that is known."""
    inputs = _table(_table(_table(metadata, "network_data_format"), "inputs"))
    texts = [_table(value).get("modality") for value in inputs.values()]
    words = {word for text in texts if isinstance(text, str) for word in re.findall("[a-z]+", text.lower())}
    found: set[Modality] = set()
    for known, names in (("CT", {"ct"}), ("MR", {"mr", "mri"}), ("PT", {"pet", "pt"})):
        if words & names:
            found.add(known)  # type: ignore[arg-type]
    if len(found) == 1:
        return found.pop()
    notes.append(
        "its metadata doesn't name one modality, so that any image is accepted; state it with --modality"
    )
    return "any"


def input_names(metadata: Mapping[str, Any], inputs: int) -> tuple[str, ...]:
    """The images that a network of several takes, in its order; () where the metadata doesn't name them."""
    formats = _table(_table(_table(metadata, "network_data_format"), "inputs"))
    for value in formats.values():
        names = _table(value, "channel_def")
        if inputs > 1 and set(map(str, names)) == {str(n) for n in range(inputs)}:
            return tuple(str(names[key]) for key in sorted(names, key=lambda key: int(str(key))))
    return ()


def channel_names(metadata: Mapping[str, Any], outputs: int) -> list[str] | None:
    """The names of the outputs, from ``channel_def``; None where there are none.

    Raises:
        ModelError: they don't fit the network.
    """
    formats = _table(_table(metadata, "network_data_format"), "outputs")
    named = [_table(value) for value in formats.values() if _table(_table(value), "channel_def")]
    if not named:
        return None
    names = _table(named[0], "channel_def")
    if len(names) != outputs and len(names) == 1:
        return None
    if set(map(str, names)) != {str(n) for n in range(outputs)}:
        raise ModelError(
            f"metadata.json: channel_def names {len(names)} channels, but the network has {outputs} outputs"
        )
    return [str(names[key]) for key in sorted(names, key=lambda key: int(str(key)))]


def meaning_of(
    names: list[str] | None,
    outputs: int,
    activation: Literal["softmax", "sigmoid"],
    choices: ImportChoices,
    painted: Painting | None = None,
) -> Meaning:
    """Labels for the outputs.

    Raises:
        ModelError: a softmax has no background at 0.
        ConfigError: overlapping channels need an order that isn't given, or doesn't name them.
    """
    own = names or [f"structure {n + (activation == 'sigmoid')}" for n in range(outputs)]
    if activation == "softmax":
        if names and slug(names[0]) not in BACKGROUND:
            raise ModelError(
                f"metadata.json: channel 0 is {shown(names[0])}, not background, though channels exclude each other"
            )
        return Meaning(tuple(enumerate(own))[1:], activation)
    if painted is not None and not choices.order:
        return _painted(own, painted)
    if outputs == 1:
        return Meaning(((1, own[0]),), activation, (1,))
    return _overlapping(own, choices.order)


def _painted(names: list[str], painted: Painting) -> Meaning:
    """The order and the labels that the bundle itself states."""
    places, labels = zip(*painted.channels, strict=True) if painted.channels else ((), ())
    if sorted(places) != list(range(len(names))) or len(set(labels)) != len(labels) or min(labels) < 1:
        raise ModelError("the function that joins its channels doesn't give each of them a label of its own")
    named = sorted((label, names[place]) for place, label in painted.channels)
    return Meaning(tuple(named), "sigmoid", tuple(labels), tuple(places))


def _overlapping(names: list[str], order: tuple[str, ...]) -> Meaning:
    """Outputs in painting order, each with a label of its own: their places in the bundle, counted from 1."""
    own, wanted = [slug(name) for name in names], [slug(name) for name in order]
    if sorted(wanted) != sorted(own) or len(set(own)) != len(own):
        raise ConfigError(
            f"the bundle's channels {', '.join(own)} may overlap, and it doesn't say which one a voxel in several"
            " belongs to; name them all with --order, a later one painted over an earlier one"
        )
    places = tuple(own.index(name) for name in wanted)
    labels = tuple(place + 1 for place in places)
    return Meaning(tuple((n + 1, name) for n, name in enumerate(names)), "sigmoid", labels, places)


def version_of(metadata: Mapping[str, Any]) -> str:
    """Its version as three numbers, "0.0.0" where it states none."""
    found = re.match(r"([0-9]+)(?:\.([0-9]+))?(?:\.([0-9]+))?", str(metadata.get("version", "")))
    return ".".join(part or "0" for part in found.groups()) if found else "0.0.0"


def source_of(metadata: Mapping[str, Any]) -> str:
    """Who made it, as far as the metadata says."""
    parts = [
        str(metadata[key]) for key in ("name", "authors", "copyright") if isinstance(metadata.get(key), str)
    ]
    return " ".join(f"MONAI bundle {version_of(metadata)}; {'; '.join(parts)}".split())[:500]


def _table(value: Any, key: str | None = None) -> Mapping[str, Any]:
    inner = value if key is None else value.get(key) if isinstance(value, Mapping) else None
    return inner if isinstance(inner, Mapping) else {}

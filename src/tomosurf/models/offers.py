"""Models that others publish: where they are, what they may be used for, what they segment."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from tomosurf import resources
from tomosurf.config import parse, read_yaml
from tomosurf.errors import UnknownNameError
from tomosurf.frozen import Frozen


class Offer(Frozen):
    """One archive (ZIP) that holds a model folder.

    ``sha256`` or ``sha1`` is the digest that the publisher states; without either the archive can't be
    checked, and whoever pulls it must bring a digest or say that none is wanted. ``order`` and
    ``configuration`` are import choices that this archive needs.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    title: str
    segments: str
    modality: Literal["CT", "MR", "PT", "any"]
    licence: str
    publisher: str
    address: str = Field(pattern=r"^(https://|http://127\.0\.0\.1[:/])\S+$")
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    sha1: str | None = Field(default=None, pattern=r"^[0-9a-f]{40}$")
    order: tuple[str, ...] = ()
    configuration: str | None = None


class Offers(Frozen):
    """A catalogue file."""

    offers: tuple[Offer, ...]


def load_offers(file: Path | None = None) -> dict[str, Offer]:
    """Offers by name, of a catalogue ``file`` or the one that ships.

    Raises:
        ConfigError: the file is no catalogue.
    """
    path = file or resources.folder("configs") / "catalogue" / "models.yaml"
    return {offer.name: offer for offer in parse(Offers, read_yaml(path), str(path)).offers}


def find_offer(name: str, file: Path | None = None) -> Offer:
    """The offer of that name.

    Raises:
        UnknownNameError: there is none.
    """
    offers = load_offers(file)
    if name not in offers:
        raise UnknownNameError(f"no model called {name!r} is offered; offered: {', '.join(sorted(offers))}")
    return offers[name]

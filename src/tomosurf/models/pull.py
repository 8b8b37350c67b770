"""Fetch an offered model, check its digest, read it as data and install it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from errno import EEXIST
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from tomosurf.errors import ConfigError, InputRefused, ModelError
from tomosurf.ingest.archive import unpack
from tomosurf.models.fetch import digest, fetch
from tomosurf.models.offers import Offer
from tomosurf.models.take_in import TakenIn, take_in
from tomosurf.progress import Progress, silent
from tomosurf.registry import IMPORTERS
from tomosurf.segment.model.catalogue import user_models
from tomosurf.segment.model.imported import ImportChoices
from tomosurf.segment.model.library import check_free


def pull(
    offer: Offer,
    choices: ImportChoices,
    *,
    sha256: str | None = None,
    unchecked: bool = False,
    progress: Progress = silent,
) -> TakenIn:
    """The offered model, installed.

    ``sha256`` is a digest that the caller brings; it goes before the offer's. Without any digest the archive
    is taken only when it may be ``unchecked``, and the model then says so.

    What is refused before anything is fetched: a name that is taken, a digest that is none. An archive that was
    checked stays in ``.downloads`` only while a choice is missing, so that the next try needn't fetch it again.

    Raises:
        ConfigError: nobody states a digest and ``unchecked`` isn't wanted, a digest is none, the name is taken,
            or a choice is missing.
        ModelError: it can't be fetched, its digest is another (the file is thrown away), or it isn't
            understood.
    """
    expected = _expected(offer, sha256, unchecked)
    check_free(choices.name or offer.name)
    archive = _archive(offer, expected, progress)
    try:
        with TemporaryDirectory(prefix=".unpack-", dir=user_models()) as workspace:
            folder = _model_folder(_unpacked(archive, Path(workspace)), offer)
            taken = take_in(folder, _filled(choices, offer), (_origin(offer, expected),))
    except Exception as error:
        if expected is None or isinstance(error, ModelError):
            archive.unlink()
        raise
    archive.unlink()
    return taken


def _archive(offer: Offer, expected: tuple[str, str] | None, progress: Progress) -> Path:
    """The offer's archive with the expected digest; one that lies there from an earlier try is as good."""
    downloads = user_models() / ".downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    place = hashlib.sha256(offer.address.encode()).hexdigest()[:12]
    archive = downloads / f"{offer.name}-{place}.zip"  # what another address left isn't gone on with
    if expected and archive.is_file() and digest(archive, expected[0]) == expected[1]:
        return archive
    fetch(offer.address, archive, progress)
    if expected is not None:
        kind, wanted = expected
        found = digest(archive, kind)
        if found != wanted:
            archive.unlink()
            raise ModelError(
                f"{offer.address} has {kind} {found}, but {wanted} is stated; it was thrown away."
                " Somebody changed the file, or it was damaged on its way"
            )
    return archive


def _origin(offer: Offer, expected: tuple[str, str] | None) -> str:
    """For the model's card: whence the archive came, and what it was checked against."""
    if expected is None:
        return f"Fetched from {offer.address} without a digest to check the archive against."
    return f"Fetched from {offer.address}, {expected[0]} {expected[1]}."


def _filled(choices: ImportChoices, offer: Offer) -> ImportChoices:
    """The user's choices, and the offer's where the user made none."""
    return replace(
        choices,
        name=choices.name or offer.name,
        licence=choices.licence or offer.licence,
        modality=choices.modality or offer.modality,
        order=choices.order or offer.order,
        configuration=choices.configuration or offer.configuration,
    )


def _expected(offer: Offer, sha256: str | None, unchecked: bool) -> tuple[str, str] | None:
    if sha256 is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise ConfigError("--sha256 takes 64 hexadecimal digits; nothing was fetched")
    for kind, value in (("sha256", sha256), ("sha256", offer.sha256), ("sha1", offer.sha1)):
        if value:
            return kind, value.lower()
    if unchecked:
        return None
    raise ConfigError(
        f"{offer.publisher} states no digest for {offer.name}: give one with --sha256,"
        " or take the archive as it comes with --unchecked (the model's card will say so)"
    )


def _unpacked(archive: Path, workspace: Path) -> Path:
    """The archive's files in a folder, under their own names, each part of which is plain."""
    folder = workspace / "model"
    try:
        members = unpack(archive, workspace)
    except InputRefused as error:
        raise ModelError(f"the archive can't be unpacked: {error}") from error
    for path, name in members:
        parts = PurePosixPath(name).parts
        if any(part.startswith(".") for part in parts):
            continue  # what file managers leave behind
        target = folder.joinpath(*parts)
        if not target.resolve().is_relative_to(folder.resolve()):
            raise ModelError("an archive member leads out of the archive")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists():
                raise FileExistsError(EEXIST, "two members share a name")
            path.rename(target)
        except OSError as error:
            raise ModelError(f"the archive can't be unpacked ({error.strerror})") from error
    return folder


def _model_folder(folder: Path, offer: Offer) -> Path:
    """The folder, or the only one within three levels, that an importer recognises."""
    importers = [IMPORTERS.load(name) for name in IMPORTERS]
    level = [folder]
    for _ in range(4):
        fitting = [path for path in level if any(importer.recognises(path) for importer in importers)]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            raise ModelError(f"the archive of {offer.name} holds several models; unpack it and import one")
        level = [
            child for path in level if path.is_dir() for child in sorted(path.iterdir()) if child.is_dir()
        ]
    raise ModelError(f"the archive of {offer.name} holds no model folder that is understood")

"""Fetch an offered model, check its digest, read it as data and install it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from tomosurf.errors import ConfigError, InputRefused, ModelError
from tomosurf.ingest.archive import unpack
from tomosurf.models.fetch import digest, fetch
from tomosurf.models.offers import Offer
from tomosurf.models.take_in import TakenIn, take_in
from tomosurf.progress import Progress, silent
from tomosurf.registry import IMPORTERS
from tomosurf.segment.catalogue import user_models
from tomosurf.segment.imported import ImportChoices


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

    Raises:
        ConfigError: nobody states a digest and ``unchecked`` isn't wanted.
        ModelError: it can't be fetched, its digest is another (the file is thrown away), or it isn't
            understood.
    """
    expected = _expected(offer, sha256, unchecked)
    downloads = user_models() / ".downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    archive = fetch(offer.address, downloads / f"{offer.name}.zip", progress)
    if expected is not None:
        kind, wanted = expected
        found = digest(archive, kind)
        if found != wanted:
            archive.unlink()
            raise ModelError(
                f"{offer.address} has {kind} {found}, but {wanted} is stated; it was thrown away."
                " Somebody changed the file, or it was damaged on its way"
            )
    filled = replace(
        choices,
        name=choices.name or offer.name,
        licence=choices.licence or offer.licence,
        modality=choices.modality or offer.modality,
        order=choices.order or offer.order,
        configuration=choices.configuration or offer.configuration,
    )
    with TemporaryDirectory(prefix=".unpack-", dir=user_models()) as workspace:
        taken = take_in(_model_folder(_unpacked(archive, Path(workspace)), offer), filled)
    archive.unlink()
    note = () if expected else ("The archive was fetched without a digest to check it against.",)
    if note:
        card = taken.folder / "README.md"
        card.write_text(card.read_text(encoding="utf-8") + f"- {note[0]}\n", encoding="utf-8")
    return replace(taken, notes=(*taken.notes, *note))


def _expected(offer: Offer, sha256: str | None, unchecked: bool) -> tuple[str, str] | None:
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
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
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

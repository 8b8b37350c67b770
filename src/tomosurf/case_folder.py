"""A case folder: the names of its files, and how it comes to be whole or not at all.

::

    DIR/<identity>/
      manifest.json  report.html
      volume/volume.nii.gz            one volume; else volume/<series>.nii.gz (padding: *-padding.nii.gz)
      labels/labels.nii.gz            one label map; else labels/<protocol>.nii.gz, <protocol>-2.nii.gz ...
      meshes/<segment>.<suffix>       and meshes/scene.<suffix> for formats that hold a whole scene
      meshes/<budget>/scene.<suffix>  the same with fewer triangles, for each budget that was asked for
      pictures/<view>.png

Nothing else in tomosurf knows these names. No name comes from a header.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from tomosurf.data.case import Case
from tomosurf.data.manifest import Artifact, Manifest
from tomosurf.data.segmentation import Code, Segment, Segmentation
from tomosurf.data.volume import Volume
from tomosurf.errors import CaseFolderError, DataError
from tomosurf.progress import Progress, silent
from tomosurf.registry import EXPORTERS

if TYPE_CHECKING:
    from tomosurf.export.exporter import Exporter

MANIFEST = "manifest.json"
REPORT = "report.html"
ALWAYS = ("nifti", "nifti-labels")
"""Exporters that every case gets: without volume and labels nothing could be checked or made again."""

_IDENTITY = re.compile(r"[0-9a-z][0-9a-z-]{3,63}")
_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]*")


class FileWriter:
    """Writes files below a folder, none of them twice, and describes them."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, name: str) -> Path:
        """Where to write the file ``name`` (relative, forward slashes); its folder is made.

        Raises:
            CaseFolderError: the name leaves the folder, or the file is there already.
        """
        path = self._inside(name)
        if path.exists():
            raise CaseFolderError(f"{name} would be written twice")
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def artifact(self, name: str, kind: str, **about: str) -> Artifact:
        """The file ``name`` as it was written, with digest and size; ``about`` fills the other fields."""
        path = self._inside(name)
        return Artifact(path=name, sha256=digest_of(path), bytes=path.stat().st_size, kind=kind, **about)

    def _inside(self, name: str) -> Path:
        pure = PurePosixPath(name)
        if pure.is_absolute() or ".." in pure.parts or "\\" in name or not pure.parts:
            raise CaseFolderError(f"{name!r} is no name of a file in a case folder")
        return self._root.joinpath(*pure.parts)


class CaseFolder(FileWriter, AbstractContextManager["CaseFolder"]):
    """A case folder in the making, used as a context manager.

    Files go to a hidden folder beside the final one, which takes its place in one step when the block ends
    well. When it doesn't, the hidden folder is removed and an older case of that identity stays as it was.

    Args:
        parent: where case folders are made; created when missing.
        identity: the case's digest, which becomes the folder's name.

    Raises:
        CaseFolderError: ``identity`` is no digest, or something that is no case folder has its place.

    Attributes:
        final: where the finished folder will be.
    """

    def __init__(self, parent: Path, identity: str) -> None:
        if not _IDENTITY.fullmatch(identity):
            raise CaseFolderError("a case folder is named by a digest: 4 to 64 of 0-9, a-z and '-'")
        super().__init__(parent / f".{identity}.partial-{secrets.token_hex(4)}")
        self.final = parent / identity

    def __enter__(self) -> CaseFolder:
        self._refuse_other(self.final)
        self._root.mkdir(parents=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._move_into_place()
        finally:
            shutil.rmtree(self._root, ignore_errors=True)

    def seal(self, manifest: Manifest) -> None:
        """Write the manifest, last of all files."""
        text = json.dumps(manifest.as_dict(), indent=2, allow_nan=False) + "\n"
        self.path(MANIFEST).write_text(text, encoding="utf-8", newline="\n")

    @staticmethod
    def _refuse_other(place: Path) -> None:
        """Never replace what isn't a case folder."""
        if place.is_symlink() or (place.exists() and not (place / MANIFEST).is_file()):
            raise CaseFolderError(f"{place} is there and is no case folder; move it away or choose another")

    def _move_into_place(self) -> None:
        """Swap the finished folder in; an older one goes only after that."""
        if not (self._root / MANIFEST).is_file():
            raise CaseFolderError("a case folder needs its manifest before it is finished")
        self._refuse_other(self.final)
        older = self.final.with_name(self._root.name.replace(".partial-", ".older-"))
        replaces = self.final.exists()
        if replaces:
            self.final.replace(older)
        try:
            self._root.replace(self.final)
        except OSError:
            if replaces:
                older.replace(self.final)
            raise
        if replaces:
            shutil.rmtree(older, ignore_errors=True)


def digest_of(path: Path) -> str:
    """SHA-256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def picture_name(view: str) -> str:
    """Name of the picture of a view."""
    return f"pictures/{_safe(view)}.png"


def lighter_name(budget: str, suffix: str) -> str:
    """Name of the scene that keeps to a budget of triangles; with no suffix, how such names begin."""
    return f"meshes/{_safe(budget)}/scene{suffix}"


def read_document(folder: Path) -> dict[str, Any]:
    """The manifest of a case folder, as the JSON that it is.

    Raises:
        CaseFolderError: there is no manifest, or it is no JSON object.
    """
    try:
        document = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CaseFolderError(f"{folder} has no {MANIFEST}: it is no case folder") from None
    except (OSError, ValueError, RecursionError) as error:
        raise CaseFolderError(f"{folder / MANIFEST} can't be read as JSON; make the case again") from error
    if not isinstance(document, dict):
        raise CaseFolderError(f"{folder / MANIFEST} is no JSON object; make the case again")
    return document


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a case folder; its seal isn't checked (see :mod:`tomosurf.verify`).

    Raises:
        CaseFolderError: there is no manifest, or it doesn't follow its schema.
    """
    try:
        return Manifest.from_dict(read_document(folder))
    except DataError as error:
        raise CaseFolderError(f"{folder / MANIFEST}: {error}") from error


@dataclass(frozen=True, slots=True, eq=False)
class _Item:
    """One file to write: where, what, and of what it is."""

    name: str
    kind: str
    content: Any
    segment: str = ""
    series: str = ""
    protocol: str = ""


def write_case(
    case: Case, exports: Sequence[str], into: FileWriter, progress: Progress = silent
) -> tuple[Artifact, ...]:
    """Write volumes, label maps and meshes with the exporters named, and describe every file.

    Args:
        case: what to write; a part that is empty gives no file.
        exports: names of exporters (``tomosurf.registry.EXPORTERS``); ``ALWAYS`` are written in any case.
        into: a :class:`CaseFolder` in the making, or any folder.
        progress: told "export" and how much of it is done.

    Raises:
        UnknownNameError: an exporter isn't registered.
        ExportError: a file couldn't be written as its format demands.
    """
    names = tuple(dict.fromkeys((*ALWAYS, *exports)))
    exporters = [(name, EXPORTERS.load(name)) for name in names]
    jobs = [(name, exporter, item) for name, exporter in exporters for item in _items(case, exporter)]
    artifacts = []
    for done, (name, exporter, item) in enumerate(jobs):
        progress("export", done / len(jobs))
        exporter.write(item.content, into.path(item.name))
        about = {"segment": item.segment, "series": item.series, "protocol": item.protocol}
        artifacts.append(into.artifact(item.name, item.kind, format=name, **about))
    progress("export", 1.0)
    return tuple(artifacts)


def _items(case: Case, exporter: Exporter) -> Iterator[_Item]:
    """The files that an exporter makes of a case."""
    suffix = exporter.suffix
    if exporter.content == "volume":
        for volume in case.volumes:
            name = f"volume/{_volume_stem(case, volume)}{suffix}"
            yield _Item(name, "volume", volume, series=volume.series)
    elif exporter.content == "labels":
        yield from _label_items(case, suffix)
    elif exporter.content == "mesh":
        for mesh in case.scene.meshes:
            segment = mesh.segment.name
            yield _Item(f"meshes/{_safe(segment)}{suffix}", "mesh", mesh, segment=segment)
    elif case.scene.meshes:
        yield _Item(f"meshes/scene{suffix}", "scene", case.scene)
        for budget, scene in case.lighter.items():
            yield _Item(lighter_name(budget, suffix), "scene", scene)


def _label_items(case: Case, suffix: str) -> Iterator[_Item]:
    """The files of label maps, and of padding masks, which are label maps too."""
    for volume in case.volumes:
        if volume.padding is not None:
            stem = _volume_stem(case, volume)
            name = "padding" if stem == "volume" else f"{stem}-padding"
            yield _Item(f"volume/{name}{suffix}", "padding", _padding(volume), series=volume.series)
    taken: set[str] = set()
    for labels in case.segmentations:
        first = _safe(labels.protocol or "labels") if len(case.segmentations) > 1 else "labels"
        stem, number = first, 1
        while stem in taken:
            number += 1
            stem = f"{first}-{number}"
        taken.add(stem)
        about = {"series": labels.series, "protocol": labels.protocol}
        yield _Item(f"labels/{stem}{suffix}", "labels", labels, **about)


def _volume_stem(case: Case, volume: Volume) -> str:
    return "volume" if len(case.volumes) == 1 else _safe(volume.series)


def _padding(volume: Volume) -> Segmentation:
    """A volume's padding mask as a label map."""
    if volume.padding is None:
        raise DataError("this volume has no padding")
    segment = Segment(
        1, "padding", Code("PADDING", "Pixel padding, nothing measured", "99TOMOSURF"), (0, 0, 0)
    )
    return Segmentation(volume.geometry, volume.padding.view(np.uint8), (segment,), series=volume.series)


def _safe(name: str) -> str:
    """``name`` when it can be part of a file name.

    Raises:
        DataError: it holds anything but letters, digits, '_' and '-'.
    """
    if not _NAME.fullmatch(name):
        raise DataError("a file in a case folder is named with letters, digits, '_' and '-'")
    return name

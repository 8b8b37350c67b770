"""The sealed record of one case: what went in, what was done with what, and what came out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from tomosurf.data.adjacency import Adjacency
from tomosurf.data.case import InputFile, SeriesChoice
from tomosurf.data.face import Face
from tomosurf.data.finding import Finding
from tomosurf.data.notice import Notice
from tomosurf.data.segmentation import Code, Segment
from tomosurf.errors import DataError

SCHEMA_VERSION = 2
"""Raised whenever a reader of older manifests would misread a new one."""

STATEMENT = (
    "Made by tomosurf, research software. It is not a medical device and is not cleared for diagnosis, "
    "planning or treatment; whoever uses its results answers for checking them against the images."
)

Record = TypeVar("Record")


@dataclass(frozen=True, slots=True)
class Artifact:
    """One file of a case folder.

    ``path`` is relative to the folder, with forward slashes. ``kind`` is "volume", "padding", "labels",
    "mesh", "scene", "picture" or "report"; ``format`` is the exporter's name, or the file type.
    ``segment``, ``series`` and ``protocol`` say what it shows, "" where that has no meaning.
    """

    path: str
    sha256: str
    bytes: int
    kind: str
    format: str = ""
    segment: str = ""
    series: str = ""
    protocol: str = ""


@dataclass(frozen=True, slots=True)
class VolumeRecord:
    """A volume: its file, and what the file can't hold.

    ``affine_lps`` is exact (float64; NIfTI keeps float32). ``padding_file`` is "" without padding.
    ``frame_of_reference`` is a digest of the UID, "" when unknown. ``ledger`` lists what was done to slices.
    ``head``: the header says that the head, or a part of it, was imaged.
    """

    file: str
    padding_file: str
    series: str
    shape: tuple[int, int, int]
    affine_lps: tuple[tuple[float, ...], ...]
    spacing_mm: tuple[float, ...]
    orthogonal: bool
    frame_of_reference: str
    dtype: str
    modality: str
    unit: str
    laterality: str
    ledger: tuple[Mapping[str, Any], ...] = ()
    head: bool = False


@dataclass(frozen=True, slots=True)
class ProtocolRecord:
    """A protocol: name, digest of its meaning, and the whole of it, so that it can be run again."""

    name: str
    title: str
    sha256: str
    definition: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """A network that was used, the digest of its description (which names its weights' digests), its licence."""

    name: str
    version: str
    sha256: str
    licence: str


@dataclass(frozen=True, slots=True)
class LabelsRecord:
    """A label map: its file, the protocol and series it was made from, its segments and how it was made."""

    file: str
    protocol: str
    series: str
    segments: tuple[Segment, ...]
    provenance: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class MeshRecord:
    """A structure's surface, its measurements, its files by format, and its error budget (empty: not measured).

    ``area_mm2`` is the structure's own, ``cut_area_mm2`` that of the patch where the image ends. ``reliability``
    holds the fields of :class:`tomosurf.data.mesh.Reliability`.
    """

    segment: str
    label: int
    volume_mm3: float
    area_mm2: float
    triangles: int
    closed: bool
    files: Mapping[str, str]
    cut_area_mm2: float
    reliability: Mapping[str, Any]
    error: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LighterRecord:
    """A scene with fewer triangles: its budget's name, its files by format, and each structure's error."""

    budget: str
    triangles: int
    files: Mapping[str, str]
    meshes: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Environment:
    """What it ran on."""

    python: str
    platform: str
    packages: Mapping[str, str]
    device: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything that determines a case, and everything that came of it. No header text.

    ``study`` and ``identity`` are digests as in :class:`tomosurf.data.case.Case`; ``created`` is UTC,
    ISO 8601. The JSON form is described by docs/reference/manifest.schema.json.
    """

    tomosurf: str
    created: str
    study: str
    identity: str
    usable: bool
    inputs: tuple[InputFile, ...]
    selection: tuple[SeriesChoice, ...]
    volumes: tuple[VolumeRecord, ...]
    protocols: tuple[ProtocolRecord, ...]
    models: tuple[ModelRecord, ...]
    labels: tuple[LabelsRecord, ...]
    meshes: tuple[MeshRecord, ...]
    lighter: tuple[LighterRecord, ...]
    findings: tuple[Finding, ...]
    notices: tuple[Notice, ...]
    outputs: tuple[Artifact, ...]
    environment: Environment
    faces: tuple[Face, ...]
    adjacency: tuple[Adjacency, ...]
    schema_version: int = SCHEMA_VERSION
    statement: str = field(default=STATEMENT)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, sealed."""
        document: dict[str, Any] = plain(self)
        return {**document, "seal": seal_of(document)}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Manifest:
        """The manifest that :meth:`as_dict` wrote. The seal isn't checked here: see :func:`seal_of`.

        Raises:
            DataError: another schema version, or a key is missing, unknown or of the wrong kind.
        """
        if document.get("schema_version") != SCHEMA_VERSION:
            raise DataError(
                f"a manifest of schema version {SCHEMA_VERSION} is needed, "
                f"not {document.get('schema_version')!r}; read it with the tomosurf that wrote it"
            )
        content = {key: value for key, value in document.items() if key != "seal"}
        content["labels"] = [_labels(entry) for entry in _listed(content, "labels")]
        for key, record in _SECTIONS.items():
            content[key] = tuple(_record(record, entry, key) for entry in _listed(content, key))
        content["environment"] = _record(Environment, content.get("environment"), "environment")
        return _record(cls, content, "manifest")


_SECTIONS: Mapping[str, type] = MappingProxyType(
    {
        "inputs": InputFile,
        "selection": SeriesChoice,
        "volumes": VolumeRecord,
        "protocols": ProtocolRecord,
        "models": ModelRecord,
        "labels": LabelsRecord,
        "meshes": MeshRecord,
        "lighter": LighterRecord,
        "findings": Finding,
        "notices": Notice,
        "outputs": Artifact,
        "faces": Face,
        "adjacency": Adjacency,
    }
)


def plain(value: Any) -> Any:
    """``value`` as JSON knows it: records and mappings to dict, tuples to list, numpy scalars to Python's.

    Raises:
        DataError: something that JSON can't hold exactly.
    """
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    raise DataError(f"a manifest can't hold a {type(value).__name__}")


def seal_of(document: Mapping[str, Any]) -> str:
    """SHA-256 over the canonical JSON of ``document`` without its ``seal``.

    Canonical: keys sorted, no white space, ASCII escapes, floats as Python's shortest exact form.

    Raises:
        DataError: a number that JSON doesn't know (NaN, infinity).

    >>> seal_of({"b": 1, "a": 2}) == seal_of({"a": 2, "b": 1, "seal": "anything"})
    True
    """
    content = {key: value for key, value in document.items() if key != "seal"}
    try:
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except ValueError as error:
        raise DataError("a manifest holds only finite numbers") from error
    return hashlib.sha256(text.encode()).hexdigest()


def case_summary(manifest: Manifest, folder: Path) -> dict[str, Any]:
    """What ``tomosurf run --json`` says about one case: the manifest's words, with whole paths."""
    return {
        "folder": str(folder),
        "study": manifest.study,
        "usable": manifest.usable,
        "findings": [
            {"check": f.check, "severity": f.severity, "segment": f.segment, "message": f.message}
            for f in manifest.findings
        ],
        "meshes": [
            {**plain(mesh), "files": {name: str(folder / path) for name, path in mesh.files.items()}}
            for mesh in manifest.meshes
        ],
    }


def _listed(document: Mapping[str, Any], key: str) -> list[Any]:
    """The list under ``key``; raises DataError when there is none."""
    value = document.get(key)
    if not isinstance(value, list):
        raise DataError(f"manifest: {key!r} is missing or no list")
    return value


def _labels(entry: Any) -> Any:
    """A label map's entry with its segments made whole again."""
    if not isinstance(entry, Mapping):
        return entry
    segments = []
    for segment in _listed(entry, "segments"):
        if not isinstance(segment, Mapping):
            raise DataError("manifest: a segment is no object")
        segments.append(
            _record(Segment, {**segment, "code": _record(Code, segment.get("code"), "code")}, "segments")
        )
    return {**entry, "segments": tuple(segments)}


def _record(record: type[Record], entry: Any, where: str) -> Record:
    """``entry`` as a ``record``; raises DataError when their keys differ."""
    if not isinstance(entry, Mapping):
        raise DataError(f"manifest: an entry of {where!r} is no object")
    known = {f.name for f in fields(record)}  # type: ignore[arg-type]  # every record is a dataclass
    if set(entry) != known:
        raise DataError(f"manifest: {where!r} lacks or doesn't know {sorted(set(entry) ^ known)}")
    return record(**{key: _fixed(value) for key, value in entry.items()})


def _fixed(value: Any) -> Any:
    """Lists as tuples and dicts as read-only views, all the way down."""
    if isinstance(value, list | tuple):
        return tuple(_fixed(entry) for entry in value)
    if isinstance(value, dict):
        return MappingProxyType({key: _fixed(entry) for key, entry in value.items()})
    return value

"""From a case and its files to the manifest."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from tomosurf import __version__
from tomosurf.case_folder import lighter_name
from tomosurf.config import Protocol
from tomosurf.data.case import Case
from tomosurf.data.manifest import (
    Artifact,
    Environment,
    LabelsRecord,
    LighterRecord,
    Manifest,
    MeshRecord,
    ModelRecord,
    ProtocolRecord,
    VolumeRecord,
    plain,
)
from tomosurf.data.mesh import Reliability, Scene
from tomosurf.data.segmentation import Segmentation
from tomosurf.data.volume import Volume
from tomosurf.errors import DataError

PACKAGES = (
    "connected-components-3d",
    "monai",
    "nibabel",
    "numba",
    "numpy",
    "openvino",
    "pydicom",
    "pyjpegls",
    "pylibjpeg-libjpeg",
    "pylibjpeg-openjpeg",
    "pylibjpeg-rle",
    "safetensors",
    "scipy",
    "SimpleITK",
    "torch",
    "vtk",
)
"""Packages whose versions can change a result."""
SOURCE = "tomosurf-source"
"""Among them: the digest of tomosurf's own files, which can change while its version doesn't."""


def manifest_of(
    case: Case,
    artifacts: Sequence[Artifact],
    protocols: Sequence[Protocol] = (),
    created: datetime | None = None,
) -> Manifest:
    """The manifest of ``case``.

    Args:
        case: with findings and measurements; a mesh without measurements is an error.
        artifacts: every file written so far, as :func:`tomosurf.case_folder.write_case` describes them.
        protocols: those that were run.
        created: time of making; now, when None.

    Raises:
        DataError: a volume or label map has no file among ``artifacts``, or a mesh wasn't measured.
    """
    return Manifest(
        tomosurf=__version__,
        created=(created or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="seconds"),
        study=case.study,
        identity=case.identity,
        usable=case.usable,
        inputs=case.inputs,
        selection=case.selection,
        volumes=tuple(_volume(volume, artifacts) for volume in case.volumes),
        protocols=_protocols(protocols),
        models=_models(case.segmentations),
        labels=_label_maps(case, artifacts),
        meshes=_meshes(case, artifacts),
        lighter=tuple(_lighter(budget, scene, artifacts) for budget, scene in case.lighter.items()),
        findings=case.findings,
        notices=tuple(replace(notice, files=()) for notice in case.notices),  # file names can name a patient
        outputs=tuple(sorted(artifacts, key=lambda artifact: artifact.path)),
        environment=_environment(case.segmentations),
        faces=case.scene.faces,
        adjacency=case.scene.adjacency,
    )


def _volume(volume: Volume, artifacts: Sequence[Artifact]) -> VolumeRecord:
    files = {a.kind: a.path for a in artifacts if a.series == volume.series}
    if "volume" not in files:
        raise DataError("a volume of this case has no file")
    grid = volume.geometry
    frame = grid.frame_of_reference_uid
    return VolumeRecord(
        file=files["volume"],
        padding_file=files.get("padding", ""),
        series=volume.series,
        **plain(grid.as_dict()),
        frame_of_reference=hashlib.sha256(frame.encode()).hexdigest()[:16] if frame else "",
        dtype=volume.array.dtype.name,
        modality=volume.modality,
        unit=volume.unit,
        laterality=volume.laterality,
        ledger=tuple(entry.as_dict() for entry in volume.ledger),
        head=volume.head,
    )


def _protocols(protocols: Iterable[Protocol]) -> tuple[ProtocolRecord, ...]:
    """Each protocol once, though it may have run on several series.

    Raises:
        DataError: two that differ share a name.
    """
    records: dict[str, ProtocolRecord] = {}
    for protocol in protocols:
        definition = protocol.model_dump(mode="json")
        record = ProtocolRecord(protocol.name, protocol.title, protocol.digest(), definition)
        if records.setdefault(protocol.name, record).sha256 != record.sha256:
            raise DataError(f"two different protocols are called {protocol.name!r}; rename one")
    return tuple(records.values())


def _models(segmentations: Iterable[Segmentation]) -> tuple[ModelRecord, ...]:
    """Each network that was used, once."""
    used: dict[str, ModelRecord] = {}
    for segmentation in segmentations:
        told = segmentation.provenance
        if told.get("method") == "network":
            digest = told["model_sha256"]
            used[digest] = ModelRecord(told["model"], told["model_version"], digest, told["model_licence"])
    return tuple(used.values())


def _label_maps(case: Case, artifacts: Sequence[Artifact]) -> tuple[LabelsRecord, ...]:
    """One record a label map; their files were written in the same order."""
    files = [a.path for a in artifacts if a.kind == "labels"]
    if len(files) != len(case.segmentations):
        raise DataError("not every label map of this case has one file")
    return tuple(
        LabelsRecord(file, s.protocol, s.series, s.segments, plain(s.provenance))
        for file, s in zip(files, case.segmentations, strict=True)
    )


def _meshes(case: Case, artifacts: Sequence[Artifact]) -> tuple[MeshRecord, ...]:
    records = []
    for mesh in case.scene.meshes:
        name = mesh.segment.name
        if name not in case.measurements:
            raise DataError(f"the surface of {name!r} wasn't measured")
        measured = case.measurements[name]
        records.append(
            MeshRecord(
                segment=name,
                label=mesh.segment.label,
                volume_mm3=measured.volume_mm3,
                area_mm2=measured.area_mm2,
                triangles=measured.triangles,
                closed=measured.closed,
                files={a.format: a.path for a in artifacts if a.kind == "mesh" and a.segment == name},
                error=mesh.error.as_dict() if mesh.error else {},
                cut_area_mm2=measured.cut_area_mm2,
                reliability=plain(case.reliability.get(name, Reliability("none"))),
            )
        )
    return tuple(records)


def _lighter(budget: str, scene: Scene, artifacts: Iterable[Artifact]) -> LighterRecord:
    folder = lighter_name(budget, "")
    return LighterRecord(
        budget=budget,
        triangles=sum(len(mesh.faces) for mesh in scene.meshes),
        files={a.format: a.path for a in artifacts if a.kind == "scene" and a.path.startswith(folder)},
        meshes=tuple(
            {
                "segment": mesh.segment.name,
                "triangles": len(mesh.faces),
                "error": mesh.error.as_dict() if mesh.error else {},
            }
            for mesh in scene.meshes
        ),
    )


def _environment(segmentations: Iterable[Segmentation]) -> Environment:
    devices = {str(s.provenance["device"]) for s in segmentations if "device" in s.provenance}
    return Environment(
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        packages=package_versions(),
        device=", ".join(sorted(devices)) or "cpu",
    )


def package_versions() -> dict[str, str]:
    """Each of ``PACKAGES`` with the version that is installed here, and ``SOURCE``."""
    versions = {SOURCE: _source()}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return versions


def _source() -> str:
    """16 hexadecimal digits over tomosurf's Python files, by their names' order."""
    folder = Path(__file__).resolve().parents[1]
    content = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        content.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return content.hexdigest()[:16]

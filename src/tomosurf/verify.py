"""Is a case folder what its manifest says, and can it be made again byte for byte?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from tomosurf import __version__, case_folder
from tomosurf.config import Protocol, parse
from tomosurf.data.case import Case
from tomosurf.data.face import FacePolicy
from tomosurf.data.geometry import Geometry
from tomosurf.data.manifest import Artifact, LabelsRecord, Manifest, VolumeRecord, plain, seal_of
from tomosurf.data.mesh import Scene
from tomosurf.data.segmentation import Segmentation
from tomosurf.data.volume import LedgerEntry, Volume
from tomosurf.errors import CaseFolderError, DataError
from tomosurf.progress import Progress, silent

if TYPE_CHECKING:
    from tomosurf.pipeline import RunOptions

REBUILT = ("volume", "padding", "labels", "mesh", "scene")
"""Kinds of files that are made again; pictures depend on the OpenGL driver, the report on the clock."""

MOST_THREADS = 1024
"""A manifest that tells of more is wrong; then as many are used as there usually are."""


@dataclass(frozen=True, slots=True)
class Verification:
    """Whether all is as it should be, and if not, what isn't, one sentence each."""

    ok: bool
    problems: tuple[str, ...] = ()


def verify(folder: Path) -> Verification:
    """Compare ``folder`` with its manifest: the seal, every file's digest, and no file beside those listed.

    The seal shows accidents and careless edits. It is no signature: whoever changes a file can seal it anew.

    Raises:
        CaseFolderError: there is no manifest that can be read.
    """
    document = case_folder.read_document(folder)
    problems = [*_seal_problems(document)]
    manifest = case_folder.read_manifest(folder)
    listed = {case_folder.MANIFEST}
    for artifact in manifest.outputs:
        listed.add(artifact.path)
        problems += _file_problems(folder, artifact)
    for name in _names(folder):
        if name not in listed:
            problems.append(f"{name} isn't in the manifest")
    return Verification(not problems, tuple(problems))


def rebuild(folder: Path, progress: Progress = silent) -> Verification:
    """Make label maps and surfaces again from the folder's volumes, and compare their bytes.

    Nothing is written to ``folder``. A folder that :func:`verify` finds fault with isn't rebuilt.

    Args:
        folder: a case folder.
        progress: called with (stage, fraction).

    Raises:
        CaseFolderError: there is no manifest that can be read, or its volumes don't fit it.
        TomosurfError: a model that it needs isn't here, or a stage fails.
    """
    checked = verify(folder)
    if not checked.ok:
        return checked
    manifest = case_folder.read_manifest(folder)
    case, protocols = _case(folder, manifest), _protocols(manifest)
    exports = tuple(dict.fromkeys(a.format for a in manifest.outputs if a.kind in REBUILT))
    with TemporaryDirectory(prefix="tomosurf-") as workspace:
        writer = case_folder.FileWriter(Path(workspace))
        made = case_folder.write_case(
            _surfaces(case, manifest, protocols, progress), exports, writer, progress
        )
    problems = [*_differences(manifest.outputs, made)]
    if problems:
        problems += _other_surroundings(manifest)
    return Verification(not problems, tuple(problems))


def _seal_problems(document: dict[str, Any]) -> Iterator[str]:
    try:
        holds = document.get("seal") == seal_of(document)
    except DataError:
        holds = False
    if not holds:
        yield f"the seal is broken: {case_folder.MANIFEST} was changed after it was written"


def _file_problems(folder: Path, artifact: Artifact) -> Iterator[str]:
    """What is wrong with one listed file; a name that leads out of the folder isn't followed."""
    pure = PurePosixPath(artifact.path)
    path = folder.joinpath(*pure.parts)
    if pure.is_absolute() or ".." in pure.parts or "\\" in artifact.path:
        yield f"{artifact.path!r} lies outside the case folder"
    elif path.is_symlink() or not path.is_file():
        yield f"{artifact.path} is missing"
    elif path.stat().st_size != artifact.bytes or case_folder.digest_of(path) != artifact.sha256:
        yield f"{artifact.path} was changed"


def _names(folder: Path) -> Iterator[str]:
    """Every file and link in ``folder``, relative, sorted; links aren't followed."""
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not path.is_dir():
            yield path.relative_to(folder).as_posix()


def _protocols(manifest: Manifest) -> dict[str, Protocol]:
    """Name to protocol, as the manifest holds them.

    Raises:
        CaseFolderError: a protocol's digest isn't that of its content, or a label map's protocol is missing.
    """
    protocols = {}
    for record in manifest.protocols:
        protocol = parse(Protocol, plain(record.definition), f"{case_folder.MANIFEST}: {record.name}")
        if protocol.digest() != record.sha256:
            raise CaseFolderError(
                f"the protocol {record.name} means something else to this tomosurf ({__version__}) than to the "
                f"one that made the case ({manifest.tomosurf}); rebuild it with that version"
            )
        protocols[record.name] = protocol
    absent = {labels.protocol for labels in manifest.labels} - set(protocols)
    if absent:
        raise CaseFolderError(f"the manifest doesn't hold the protocol of every label map: {sorted(absent)}")
    return protocols


def _case(folder: Path, manifest: Manifest) -> Case:
    """The case before anything was segmented."""
    volumes = tuple(_volume(folder, record) for record in manifest.volumes)
    return Case(manifest.study, manifest.identity, manifest.inputs, volumes)


def _volume(folder: Path, record: VolumeRecord) -> Volume:
    """A volume as it was: voxels from its file, the exact affine and the rest from the manifest.

    The digest of the frame of reference stands for its UID.

    Raises:
        CaseFolderError: file and record don't fit together.
    """
    try:
        geometry = Geometry(record.shape, np.array(record.affine_lps), record.frame_of_reference)
        padding = _voxels(folder / record.padding_file).astype(bool) if record.padding_file else None
        return Volume(
            geometry,
            _voxels(folder / record.file).astype(np.dtype(record.dtype), copy=False),
            record.modality,
            record.unit,
            tuple(LedgerEntry(e["code"], e["message"], tuple(e["slices"])) for e in record.ledger),
            padding,
            record.series,
            record.laterality,
            head=record.head,
        )
    except (ValueError, TypeError, KeyError) as error:
        raise CaseFolderError(f"{record.file} doesn't fit its manifest; make the case again") from error


def _voxels(path: Path) -> NDArray[Any]:
    """The voxels of a NIfTI file in their own dtype, Fortran-ordered."""
    import nibabel

    return np.asarray(nibabel.load(path).dataobj, order="F")


def _surfaces(case: Case, manifest: Manifest, protocols: dict[str, Protocol], progress: Progress) -> Case:
    """``case`` with the label maps and surfaces of every job that the manifest lists."""
    from tomosurf.gather import gather
    from tomosurf.pipeline import build_surfaces

    volumes = {volume.series: volume for volume in case.volumes}
    results: list[tuple[Protocol, Segmentation, Scene]] = []
    for labels in manifest.labels:
        protocol = protocols[labels.protocol]
        part = build_surfaces(volumes[labels.series], protocol, _as_before(manifest, labels), progress)
        results.append((protocol, part.segmentation, part.scene))
    return gather(case, results)


def _differences(before: Sequence[Artifact], after: Sequence[Artifact]) -> Iterator[str]:
    """Files that came out otherwise, or not at all, or anew."""
    listed = {artifact.path: artifact.sha256 for artifact in before if artifact.kind in REBUILT}
    made = {artifact.path: artifact.sha256 for artifact in after}
    for name in sorted(listed.keys() | made.keys()):
        if name not in made:
            yield f"{name} wasn't made again"
        elif name not in listed:
            yield f"{name} came out anew"
        elif made[name] != listed[name]:
            yield f"{name} came out differently"


def _other_surroundings(manifest: Manifest) -> Iterator[str]:
    """What differs between this machine and the one that made the case: where to look for a cause."""
    from tomosurf.report.manifest import package_versions

    here = {**package_versions(), "tomosurf": __version__}
    there = {**manifest.environment.packages, "tomosurf": manifest.tomosurf}
    for name in sorted(there):
        if here.get(name) != there[name]:
            yield f"made with {name} {there[name]}, here is {here.get(name, 'none')}"
    if manifest.environment.device != "cpu":
        yield f"made on {manifest.environment.device}; the device here may be another"


def _as_before(manifest: Manifest, labels: LabelsRecord) -> RunOptions:
    """The choices about a network that its provenance tells of, and about faces that the manifest does."""
    from tomosurf.pipeline import RunOptions

    told = labels.provenance
    strict: Literal["auto", "float32"] = "float32" if told.get("precision") == "float32" else "auto"
    done = {face.action for face in manifest.faces}
    face: FacePolicy = "blunt" if "blunted" in done else "keep" if "kept" in done else "refuse"
    mirror = bool(told.get("mirrored_axes"))
    threads = told.get("threads")
    if not (isinstance(threads, int) and 0 < threads <= MOST_THREADS):
        threads = None
    return RunOptions(precision=strict, mirror=mirror, face=face, threads=threads)

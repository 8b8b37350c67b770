"""A folder, file or ZIP of DICOM slices without their patients, written, then searched for what may be left."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TypeVar

from tomosurf.data.codes import notice, refusal
from tomosurf.data.notice import Notice
from tomosurf.data.transfer_syntax import DEFLATED
from tomosurf.deidentify.dataset import deidentified, keep_private_meaning
from tomosurf.deidentify.identifiers import SEARCHED_VRS, Identifiers, elements_of, values_of
from tomosurf.deidentify.key import Key
from tomosurf.deidentify.mask import Mask, names_of
from tomosurf.deidentify.options import DeidentifyOptions
from tomosurf.deidentify.source import PARSING_ERRORS, check_pixels, load, passed_over, quiet
from tomosurf.errors import ConfigError, InputRefused
from tomosurf.ingest.discover import Entry, discover
from tomosurf.ingest.header import read_header
from tomosurf.progress import Progress, silent
from tomosurf.whole_file import whole_file

if TYPE_CHECKING:
    from pydicom import Dataset

T = TypeVar("T")
BASIC = DeidentifyOptions()
"""The basic profile alone."""


@dataclass(frozen=True, slots=True)
class Deidentified:
    """What came of an input: files relative to the output, and masked notices of what was left out and why."""

    files: tuple[str, ...] = ()
    refused: tuple[Notice, ...] = ()
    skipped: tuple[Notice, ...] = ()
    warnings: tuple[Notice, ...] = ()


@dataclass(slots=True)
class _Run:
    """One run's state."""

    output: Path
    options: DeidentifyOptions
    key: Key
    identifiers: Identifiers = field(default_factory=Identifiers)
    written: dict[str, str] = field(default_factory=dict)
    refused: list[Notice] = field(default_factory=list)
    skipped: list[Notice] = field(default_factory=list)
    warnings: list[Notice] = field(default_factory=list)
    conflicts: set[str] = field(default_factory=set)

    def attempt(self, entry: Entry, action: Callable[[], T]) -> T | None:
        """Do something with one file; a refusal is noted under its name."""
        try:
            return action()
        except InputRefused as error:
            self.refused.append(replace(Notice.of(error), files=(entry.name,)))
        except PARSING_ERRORS as error:
            what = f"the object can't be rewritten ({type(error).__name__})"
            self.refused.append(notice("unreadable_file", what, files=(entry.name,)))
        return None


def deidentify(
    source: Path,
    output: Path,
    options: DeidentifyOptions = BASIC,
    key: Key | None = None,
    progress: Progress = silent,
) -> Deidentified:
    """Write every slice image of ``source`` into ``output`` without its patient (PS3.15 E.1, and beyond).

    First all headers are read for identifying values; then each object is written under a keyed digest's name and
    what was written is searched for every one of these values. A hit takes the file away again.

    Args:
        source: a folder of any depth, one file, or a ZIP.
        output: a new or empty folder, outside of ``source``.
        options: all off by default.
        key: keys UIDs, names and shifts; a random one by default.
        progress: told as stages "look" and "rewrite".

    Raises:
        ConfigError: no such input; or the output isn't empty, or lies inside the input.
        InputRefused: a ZIP or folder that can't be opened.
    """
    _check_output(source, output)
    run = _Run(output, options, key or Key())
    with TemporaryDirectory(prefix="tomosurf-") as workspace:
        try:
            entries, special = discover(source, Path(workspace))
        except InputRefused as error:  # names of files may name a patient
            raise InputRefused(error.code, error.message, advice=error.advice) from None
        run.skipped += special
        taken = []
        for number, entry in enumerate(entries, start=1):
            if run.attempt(entry, partial(_look, entry, run)):
                taken.append(entry)
            progress("look", number / len(entries))
        for number, entry in enumerate(taken, start=1):
            run.attempt(entry, partial(_rewrite, entry, run))
            progress("rewrite", number / len(taken))
        mask = Mask({entry.name for entry in entries} | names_of(special), run.key)
    lists = ([mask.notice(one) for one in notices] for notices in (run.refused, run.skipped, run.warnings))
    return Deidentified(tuple(sorted(run.written)), *(tuple(_merged(notices)) for notices in lists))


def _check_output(source: Path, output: Path) -> None:
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ConfigError(f"{output}: not an empty folder; name a new one")
    if source.is_dir() and output.resolve().is_relative_to(source.resolve()):
        raise ConfigError(f"{output}: lies inside the input; name a folder outside of it")
    output.mkdir(parents=True, exist_ok=True)


def _look(entry: Entry, run: _Run) -> bool:
    """Take the identifying values of one file; whether it is to be rewritten."""
    what = passed_over(entry, allow_burned_in=run.options.allow_burned_in)
    if what is not None:
        run.skipped.append(what)
        return False
    with quiet():
        dataset = load(entry.path, pixels=False)
        if str(dataset.get("BurnedInAnnotation", "")) == "YES":
            run.warnings.append(
                notice("burned_in_annotation", "text may stand in the pixels", files=(entry.name,))
            )
        run.identifiers.collect(dataset, run.options)
    return True


def _rewrite(entry: Entry, run: _Run) -> None:
    """Write one object without its patient, and search what was written."""
    with quiet():
        dataset = load(entry.path, pixels=True)
        check_pixels(dataset)
        name = _name(dataset, run.key)
        result = deidentified(dataset, run.key, run.options, run.identifiers)
        keep_private_meaning(result, read_header(entry.path, hashed=False).elements)
        content = _encoded(result, dataset)
    digest = hashlib.sha256(content).hexdigest()
    if name in run.conflicts or run.written.get(name, digest) != digest:
        run.conflicts.add(name)
        run.written.pop(name, None)
        (run.output / name).unlink(missing_ok=True)
        raise refusal("conflicting_duplicate", "two files carry the same SOP Instance UID, and differ")
    if name in run.written:
        run.skipped.append(notice("duplicate_instance", "a copy of another file", files=(entry.name,)))
        return
    _write(run.output / name, content)
    try:
        _search(run.output / name, run)
    except (InputRefused, *PARSING_ERRORS):
        (run.output / name).unlink()
        raise
    run.written[name] = digest


def _name(dataset: Dataset, key: Key) -> str:
    """The path of an object in the output: keyed digests of its study, series and own UID."""
    study = key.digest("study", str(dataset.StudyInstanceUID))
    series = key.digest("series", str(dataset.SeriesInstanceUID))
    return f"{study}/{series}/{key.digest('instance', str(dataset.SOPInstanceUID))}.dcm"


def _encoded(result: Dataset, original: Dataset) -> bytes:
    """The bytes of a file: zero preamble, new file meta information, the original's transfer syntax."""
    from pydicom import dcmwrite
    from pydicom.dataset import FileMetaDataset

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = result.SOPClassUID
    meta.MediaStorageSOPInstanceUID = result.SOPInstanceUID
    meta.TransferSyntaxUID = syntax = original.file_meta.TransferSyntaxUID
    result.file_meta, result.preamble = meta, b"\0" * 128
    result["PixelData"].is_undefined_length = syntax.is_encapsulated
    buffer = BytesIO()
    dcmwrite(buffer, result, enforce_file_format=True)
    return buffer.getvalue()


def _write(path: Path, content: bytes) -> None:
    """The file appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as partial:
        partial.write_bytes(content)


def _search(path: Path, run: _Run) -> None:
    """Search a written file, element by element and as a whole, for any identifying value of the input.

    Raises:
        InputRefused: identifier_left, with the attribute whose value was found.
    """
    content = path.read_bytes()
    dataset = load(path, pixels=True)
    hit = ""
    for element, raw in elements_of(dataset):
        if element.VR == "UI" and not run.options.retain_uids:
            hit = hit or ("a UID" if run.identifiers.uids.intersection(values_of(element)) else "")
        elif element.VR in SEARCHED_VRS | {"DA", "DT"}:
            hit = hit or run.identifiers.in_text(raw)
    if dataset.file_meta.TransferSyntaxUID == DEFLATED:
        start = 144 + dataset.file_meta.FileMetaInformationGroupLength
        content = zlib.decompress(content[start:], wbits=-zlib.MAX_WBITS)
    header = len(content) - len(dataset.PixelData)
    hit = hit or run.identifiers.in_file(content, header, uids=not run.options.retain_uids)
    if hit:
        raise refusal("identifier_left", "an identifying value was left in the output", attribute=hit)


def _merged(notices: list[Notice]) -> list[Notice]:
    """One notice for all files with the same thing to say."""
    same: dict[Notice, list[str]] = {}
    for one in notices:
        same.setdefault(replace(one, files=()), []).extend(one.files)
    merged = [replace(one, files=tuple(sorted(files))) for one, files in same.items()]
    return sorted(merged, key=lambda one: (one.code, one.series, one.attribute, one.message))

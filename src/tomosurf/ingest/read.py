"""Files to series: the first stage. Headers only; pixels are for :mod:`tomosurf.volume`."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from tomosurf.data.codes import notice, refusal
from tomosurf.data.notice import Notice
from tomosurf.data.series import Intake, short_digest
from tomosurf.errors import InputRefused
from tomosurf.ingest.classify import modality_of, not_a_slice
from tomosurf.ingest.discover import Entry, discover
from tomosurf.ingest.doubts import Damaged
from tomosurf.ingest.elements import Elements, Search
from tomosurf.ingest.group import Groups, Member, Membership, grouped
from tomosurf.ingest.header import Header, NotDicom, new_search, read_header
from tomosurf.ingest.hints import OF_HINTS, hints_of
from tomosurf.ingest.instance import instances_of
from tomosurf.ingest.remains import is_slice, is_uid, remains_of
from tomosurf.ingest.remembered import forget, remembered
from tomosurf.ingest.tags import Tag
from tomosurf.ingest.values import text, texts
from tomosurf.progress import Progress, silent

STAGE = "ingest"
UIDS = (Tag.StudyInstanceUID, Tag.SeriesInstanceUID, Tag.SOPInstanceUID)
"""Without these a slice belongs nowhere."""

_Oddity = tuple[str, str, str]
"""A notice's code, message and attribute."""


@dataclass(slots=True)
class _Findings:
    """What one file gave: a member of a series, or the reason why not."""

    members: tuple[Member, ...] = ()
    refused: Notice | None = None
    skipped: Notice | None = None
    warnings: list[Notice] = field(default_factory=list)
    broken: str = ""
    damaged: Damaged | None = None
    elsewhere: str = ""  # the series of an object that holds no slices


def read(
    source: Path, progress: Progress = silent, *, workspace: Path | None = None, hashed: bool = True
) -> Intake:
    """Read the headers of everything in ``source`` and put the slices together into series.

    Args:
        source: a folder of any depth, one file, or a ZIP.
        progress: told after every file, as stage "ingest".
        workspace: a folder for the content of a ZIP; must live as long as the intake is used. See
            :func:`opened`, which takes care of that.
        hashed: digest whole files (SHA-256) for the manifest; without, only headers are read.

    A series that lost a slice to a refusal is refused whole; one that may have lost a damaged file says so in
    ``Series.damaged``, and there folders matter. Else what comes back doesn't depend on the names of files,
    their folders or their order, but for the names themselves.

    Raises:
        ConfigError: ``source`` doesn't exist, or is a ZIP and there is no workspace.
    """
    try:
        entries, special = discover(source, workspace)
    except InputRefused as error:
        return Intake(refused=(Notice.of(error),))
    found: list[_Findings] = []
    try:
        for findings in _looks(entries, hashed):
            found.append(findings)
            progress(STAGE, len(found) / len(entries))
    finally:
        forget()
    return _collect(found, special)


@contextmanager
def opened(source: Path, progress: Progress = silent, *, hashed: bool = True) -> Iterator[Intake]:
    """:func:`read`, with a temporary workspace for a ZIP that lives as long as the ``with`` block."""
    with TemporaryDirectory(prefix="tomosurf-") as workspace:
        yield read(source, progress, workspace=Path(workspace), hashed=hashed)


def _looks(entries: list[Entry], hashed: bool) -> Iterator[_Findings]:
    """Findings file by file; in threads only for digests, which let go of the interpreter's lock."""
    search = new_search()
    if not hashed:
        yield from (_look(entry, search, hashed) for entry in entries)
        return
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        yield from pool.map(lambda entry: _look(entry, search, hashed), entries)


def _look(entry: Entry, search: Search, hashed: bool) -> _Findings:
    """Everything that one file alone can tell."""
    findings = _Findings()
    try:
        header = read_header(entry.path, hashed=hashed, search=search)
    except NotDicom as error:
        findings.skipped = notice("no_dicom", f"no DICOM: {error}", files=(entry.name,))
        _salvage(entry, findings)
        return findings
    except InputRefused as error:
        findings.refused = replace(Notice.of(error), files=(entry.name,))
        _salvage(entry, findings)
        return findings
    findings.skipped = not_a_slice(header, entry.name)
    if findings.skipped is None:
        _take(header, entry, findings)
    elif _contradicts_itself(header):
        _salvage(entry, findings)
    else:
        findings.elsewhere = text(header.elements, Tag.SeriesInstanceUID)
    return findings


def _contradicts_itself(header: Header) -> bool:
    """Whether an object that holds no slices was meant to: its SOP class is no UID, or its file's is a slice's.

    The two must be the same (PS3.10 section 7.1).
    """
    sop_class = text(header.elements, Tag.SOPClassUID)
    if is_slice(header.parsed.storage):
        return not is_slice(sop_class)
    return bool(sop_class) and not is_uid(sop_class)


def _salvage(entry: Entry, findings: _Findings) -> None:
    """Tell which series a file that can't be read may belong to, where its content shows that it is DICOM."""
    remains = remains_of(entry.path)
    if remains is None:
        return
    if findings.refused is None:
        what = "DICOM, but damaged where it says what it is"
        findings.refused, findings.skipped = notice("unreadable_file", what, files=(entry.name,)), None
    if is_uid(remains.series_uid):
        findings.refused = replace(findings.refused, series=short_digest(remains.series_uid))
    if not remains.is_no_slice:
        findings.damaged = Damaged(entry.name, remains.series_uid)


def _take(header: Header, entry: Entry, findings: _Findings) -> None:
    """Make a slice image a member of its series, or refuse it and its series with it."""
    elements = header.elements
    of = _membership(elements)
    try:
        if not (of.study_uid and of.series_uid and text(elements, Tag.SOPInstanceUID)):
            tag = next(tag for tag in UIDS if not text(elements, tag))
            raise refusal("invalid_uid", f"no {tag.name}", attribute=tag.name)
        instances = instances_of(header, entry.path, entry.name)
    except InputRefused as error:
        digest = short_digest(of.series_uid) if of.series_uid else ""
        findings.refused = replace(Notice.of(error), files=(entry.name,), series=digest)
        findings.broken = of.series_uid
        if not is_uid(of.series_uid):  # the damage may be there
            findings.damaged = Damaged(entry.name, of.series_uid)
        return
    findings.members = tuple([Member(instance, of) for instance in instances])
    findings.warnings = _oddities(header, entry.name, of)


@remembered(
    Tag.StudyInstanceUID,
    Tag.SeriesInstanceUID,
    Tag.SOPClassUID,
    Tag.Modality,
    Tag.FrameOfReferenceUID,
    Tag.Laterality,
    *OF_HINTS,
)
def _membership(elements: Elements) -> Membership:
    """What the slices of a series share about it."""
    laterality = text(elements, Tag.Laterality)
    return Membership(
        study_uid=text(elements, Tag.StudyInstanceUID),
        series_uid=text(elements, Tag.SeriesInstanceUID),
        modality=modality_of(elements),
        frame_of_reference_uid=text(elements, Tag.FrameOfReferenceUID),
        laterality=laterality if laterality in ("L", "R") else "",
        hints=hints_of(elements),
    )


def _oddities(header: Header, name: str, of: Membership) -> list[Notice]:
    """What is worth knowing about a slice that was taken."""
    odd = list(_shared_oddities(header.elements))
    if header.parsed.nonzero_preamble:
        odd.append(("nonzero_preamble", "a preamble that isn't zero", ""))
    if not is_uid(text(header.elements, Tag.SOPInstanceUID)):
        odd.append(_bad_uid(Tag.SOPInstanceUID))
    if not odd:
        return []
    series = short_digest(of.series_uid)
    return [
        notice(code, message, files=(name,), attribute=attribute, series=series)
        for code, message, attribute in odd
    ]


@remembered(Tag.ImageType, Tag.BurnedInAnnotation, Tag.StudyInstanceUID, Tag.SeriesInstanceUID)
def _shared_oddities(elements: Elements) -> tuple[_Oddity, ...]:
    """Those that the slices of a series share."""
    odd = []
    if "DERIVED" in texts(elements, Tag.ImageType):
        odd.append(("derived", "derived images", Tag.ImageType.name))
    if text(elements, Tag.BurnedInAnnotation) == "YES":
        odd.append(("burned_in_annotation", "text may stand in the pixels", Tag.BurnedInAnnotation.name))
    odd += [_bad_uid(tag) for tag in UIDS[:2] if not is_uid(text(elements, tag))]
    return tuple(odd)


def _bad_uid(tag: Tag) -> _Oddity:
    return "invalid_uid", "not written as a UID is", tag.name


def _collect(found: list[_Findings], special: list[Notice]) -> Intake:
    """Group the members, and the notices of the same kind."""
    broken = frozenset(f.broken for f in found) - {""}
    damaged = [f.damaged for f in found if f.damaged is not None]
    elsewhere = {uid for uid in broken if is_uid(uid)} | {f.elsewhere for f in found}
    groups = grouped((member for f in found for member in f.members), broken, damaged, elsewhere)
    refused = _merged([f.refused for f in found if f.refused is not None]) + groups.refused
    skipped = _merged([f.skipped for f in found if f.skipped is not None]) + groups.skipped + special
    warnings = _merged([w for f in found for w in _of_stacks(f.warnings, groups)]) + groups.warnings
    if not groups.studies and not refused:
        dicom = any(f.skipped is None or f.skipped.code != "no_dicom" for f in found)
        what = "no slice images in the input" if dicom else "no DICOM in the input"
        refused = [notice("no_image" if dicom else "no_dicom", what)]
    return Intake(groups.studies, tuple(refused), tuple(skipped), tuple(warnings))


def _of_stacks(warnings: list[Notice], groups: Groups) -> list[Notice]:
    """Warnings about files of a series that was split, each as one about every stack that has its one file."""
    return [
        replace(warning, series=digest)
        for warning in warnings
        for digest in groups.holders.get((warning.series, warning.files), (warning.series,))
    ]


def _merged(notices: list[Notice]) -> list[Notice]:
    """One notice for all files with the same thing to say."""
    same: defaultdict[Notice, list[str]] = defaultdict(list)
    for item in notices:
        same[replace(item, files=())].extend(item.files)
    merged = [replace(item, files=tuple(sorted(files))) for item, files in same.items()]
    return sorted(merged, key=lambda item: (item.code, item.series, item.attribute, item.message))

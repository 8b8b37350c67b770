"""Instances to studies and series, with what is odd about them."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from tomosurf.data.codes import notice, refusal
from tomosurf.data.notice import Notice
from tomosurf.data.series import Instance, Series, Study, short_digest
from tomosurf.errors import InputRefused


@dataclass(frozen=True, slots=True)
class Member:
    """An instance and what its header says about the series it belongs to."""

    instance: Instance
    study_uid: str
    series_uid: str
    modality: str
    frame_of_reference_uid: str
    laterality: str


@dataclass(slots=True)
class Groups:
    """The outcome of grouping: studies, and notices."""

    studies: tuple[Study, ...] = ()
    refused: list[Notice] = field(default_factory=list)
    skipped: list[Notice] = field(default_factory=list)
    warnings: list[Notice] = field(default_factory=list)


def grouped(members: Iterable[Member], broken: frozenset[tuple[str, str]]) -> Groups:
    """Put members together by Study and Series Instance UID.

    ``broken`` are the (study, series) UIDs that lost a slice to a refusal: without it the rest might pass
    for a complete stack, so they are left out whole. The order of ``members`` doesn't matter.
    """
    by_series: defaultdict[tuple[str, str], list[Member]] = defaultdict(list)
    for member in members:
        by_series[member.study_uid, member.series_uid].append(member)
    groups = Groups()
    studies: defaultdict[str, list[Series]] = defaultdict(list)
    for key in sorted(by_series):
        if key in broken:
            continue
        try:
            series = _series(by_series[key], groups)
        except InputRefused as error:
            groups.refused.append(Notice.of(error))
            continue
        studies[series.study].append(series)
        groups.warnings += _numbering(series)
    groups.studies = tuple(
        Study(digest, tuple(sorted(studies[digest], key=lambda series: series.digest)))
        for digest in sorted(studies)
    )
    return groups


def _series(members: list[Member], groups: Groups) -> Series:
    """One series of all its members, or a refusal when they disagree on what must be common."""
    first = members[0]
    digest = short_digest(first.series_uid)
    for keyword, field_name in (
        ("Modality", "modality"),
        ("FrameOfReferenceUID", "frame_of_reference_uid"),
        ("Laterality", "laterality"),
    ):
        common = getattr(first, field_name)
        files = tuple(sorted(m.instance.name for m in members if getattr(m, field_name) != common))
        if files:
            what = f"files of one series disagree on {keyword}"
            raise refusal("mixed_series", what, files=files, attribute=keyword, series=digest)
    instances = _without_copies([member.instance for member in members], digest, groups)
    return Series(
        digest=digest,
        study=short_digest(first.study_uid),
        modality=first.modality,
        instances=instances,
        frame_of_reference_uid=first.frame_of_reference_uid,
        laterality=first.laterality,
    )


def _without_copies(instances: list[Instance], series: str, groups: Groups) -> tuple[Instance, ...]:
    """Instances by SOP Instance UID; of byte-identical files with one UID the first by name is kept.

    Raises:
        InputRefused: conflicting_duplicate.
    """
    kept: list[Instance] = []
    copies: list[str] = []
    for instance in sorted(instances, key=lambda i: (i.sop_instance_uid, i.name)):
        if not kept or kept[-1].sop_instance_uid != instance.sop_instance_uid:
            kept.append(instance)
        elif _content(kept[-1]) == _content(instance):
            copies.append(instance.name)
        else:
            files = (kept[-1].name, instance.name)
            what = "two different files carry one SOP Instance UID"
            raise refusal(
                "conflicting_duplicate", what, files=files, attribute="SOPInstanceUID", series=series
            )
    if copies:
        what = "a copy of a file that was taken"
        groups.skipped.append(notice("duplicate_instance", what, files=tuple(copies), series=series))
    return tuple(kept)


def _content(instance: Instance) -> str:
    """SHA-256 of the whole file, computed now when the reader was told not to."""
    if instance.sha256:
        return instance.sha256
    try:
        with instance.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        what = f"the file can't be read ({error.strerror})"
        raise refusal("unreadable_file", what, files=(instance.name,)) from error


def _numbering(series: Series) -> list[Notice]:
    """A warning when instance numbers have gaps or repeat, else nothing."""
    numbers = sorted(i.number for i in series.instances if i.number is not None)
    if not numbers or numbers == list(range(numbers[0], numbers[0] + len(series.instances))):
        return []
    expected = numbers[-1] - numbers[0] + 1
    what = f"{len(series.instances)} files, instance numbers {numbers[0]} to {numbers[-1]} ({expected})"
    return [notice("instance_numbers_incomplete", what, attribute="InstanceNumber", series=series.digest)]

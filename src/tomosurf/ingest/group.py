"""Instances to studies and series, with what is odd about them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from tomosurf.data.codes import notice, refusal
from tomosurf.data.notice import Notice
from tomosurf.data.series import Instance, Series, SeriesHints, Study, short_digest
from tomosurf.errors import InputRefused
from tomosurf.ingest.doubts import Damaged, Key, doubts
from tomosurf.ingest.duplicates import without_copies, without_twins
from tomosurf.ingest.hints import joined_hints
from tomosurf.ingest.places import coincides
from tomosurf.ingest.split import Part, apart, split


@dataclass(frozen=True, slots=True)
class Membership:
    """What a header says about the series that it belongs to."""

    study_uid: str
    series_uid: str
    modality: str
    frame_of_reference_uid: str
    laterality: str
    hints: SeriesHints


class Member(NamedTuple):
    """An instance and the series that it belongs to."""

    instance: Instance
    of: Membership


@dataclass(slots=True)
class Groups:
    """The outcome of grouping: studies and notices.

    ``holders`` are, for a DICOM series that was split and one file's name, the stacks that have slices of it.
    """

    studies: tuple[Study, ...] = ()
    holders: dict[tuple[str, tuple[str, ...]], dict[str, None]] = field(default_factory=dict)
    refused: list[Notice] = field(default_factory=list)
    skipped: list[Notice] = field(default_factory=list)
    warnings: list[Notice] = field(default_factory=list)


def grouped(
    members: Iterable[Member],
    broken: frozenset[str],
    damaged: Collection[Damaged] = (),
    elsewhere: Collection[str] = (),
) -> Groups:
    """Put members together by Study and Series Instance UID, and split what isn't one stack.

    ``broken`` are the Series Instance UIDs that lost a slice to a refusal: without it the rest might pass
    for a complete stack, so they are left out whole. ``damaged`` and ``elsewhere`` are as in
    :func:`tomosurf.ingest.doubts.doubts`. The order of ``members`` doesn't matter.
    """
    by_series: defaultdict[Key, list[Member]] = defaultdict(list)
    by_uid: defaultdict[str, list[Member]] = defaultdict(list)
    for member in members:
        by_series[member.of.study_uid, member.of.series_uid].append(member)
        by_uid[member.of.series_uid].append(member)
    slices = {key: [member.instance for member in of] for key, of in by_series.items()}
    doubtful = doubts(slices, damaged, elsewhere)
    groups = Groups()
    studies: defaultdict[str, list[Series]] = defaultdict(list)
    for key in sorted(by_series):
        if key[1] in broken:
            continue
        try:
            _check_study(key[1], [m for m in by_uid[key[1]] if m.of.study_uid != key[0]])
            stacks = _stacks(by_series[key], groups)
        except InputRefused as error:
            groups.refused.append(Notice.of(error))
            continue
        names = doubtful.get(key, ())
        studies[stacks[0].study] += [replace(stack, damaged=names) for stack in stacks]
        if len(stacks) > 1:
            _note_holders(short_digest(key[1]), stacks, groups)
    groups.studies = tuple(
        Study(digest, tuple(sorted(studies[digest], key=lambda series: series.digest)))
        for digest in sorted(studies)
    )
    return groups


def _check_study(series_uid: str, elsewhere: Sequence[Member]) -> None:
    """Refuse a series that lies in several studies: what it lacks may be ``elsewhere``, in the other ones.

    Raises:
        InputRefused: mixed_series.
    """
    if elsewhere:
        what = "files of one series disagree on StudyInstanceUID"
        files = tuple(sorted(member.instance.name for member in elsewhere))
        digest = short_digest(series_uid)
        raise refusal("mixed_series", what, files=files, attribute="StudyInstanceUID", series=digest)


def _stacks(members: list[Member], groups: Groups) -> list[Series]:
    """The stacks of one series, or a refusal when its files disagree on what must be common."""
    first = members[0].of
    digest = short_digest(first.series_uid)
    for keyword, field_name in (
        ("Modality", "modality"),
        ("FrameOfReferenceUID", "frame_of_reference_uid"),
        ("Laterality", "laterality"),
    ):
        common = getattr(first, field_name)
        files = {m.instance.name for m in members if getattr(m.of, field_name) != common}
        if files:
            what = f"files of one series disagree on {keyword}"
            names = tuple(sorted(files))
            raise refusal("mixed_series", what, files=names, attribute=keyword, series=digest)
    instances, copies = without_copies([member.instance for member in members], digest)
    try:
        parts = split(instances)
    except InputRefused as error:
        error.series = digest
        raise
    whole = [part for part in parts for part in _untwinned(part, copies)]
    hints = {member.instance.name: member.of.hints for member in members}
    stacks = [_series(first, part, hints) for part in whole]
    if copies:
        what = "a copy of a slice that was taken"
        names = tuple(sorted(set(copies)))
        groups.skipped.append(notice("duplicate_instance", what, files=names, series=digest))
    groups.warnings += _numbering(instances, stacks, digest)
    return stacks


def _note_holders(series: str, stacks: Sequence[Series], groups: Groups) -> None:
    """Remember which stacks of ``series`` have slices of which file."""
    for stack in stacks:
        for instance in stack.instances:
            groups.holders.setdefault((series, (instance.name,)), {})[stack.digest] = None


def _untwinned(part: Part, copies: list[str]) -> list[Part]:
    """``part`` as it is, or without the second ones of identical slices where that makes honest stacks."""
    kept, more = without_twins(part.instances)
    if not more:
        return [part]
    smaller = apart(replace(part, instances=kept))
    if any(coincides(p.instances) for p in smaller):
        return [part]
    copies += more
    return smaller


def _series(first: Membership, part: Part, hints: dict[str, SeriesHints]) -> Series:
    """One part of a series as a series of its own."""
    instances = tuple(sorted(part.instances, key=lambda i: (i.sop_instance_uid, i.frame)))
    return Series(
        digest=short_digest("\x1f".join((first.series_uid, *part.key))),
        study=short_digest(first.study_uid),
        modality=first.modality,
        instances=instances,
        frame_of_reference_uid=first.frame_of_reference_uid,
        laterality=first.laterality,
        hints=joined_hints([hints[name] for name in dict.fromkeys(i.name for i in instances)]),
        phase=", ".join(part.words),
    )


def _numbering(instances: Sequence[Instance], stacks: Sequence[Series], series: str) -> list[Notice]:
    """A warning when instance numbers have gaps or repeat in a series and in a stack of it, else nothing."""
    if len({i.path for i in instances}) < len(instances):  # frames share their object's number
        return []
    numbers = sorted(i.number for i in instances if i.number is not None)
    if _complete(numbers, len(instances), (1,)):
        return []
    if len(stacks) == 1:
        expected = numbers[-1] - numbers[0] + 1
        what = f"{len(instances)} files, instance numbers {numbers[0]} to {numbers[-1]} ({expected})"
        return [notice("instance_numbers_incomplete", what, attribute="InstanceNumber", series=series)]
    odd = []
    for stack in stacks:
        numbers = sorted(i.number for i in stack.instances if i.number is not None)
        if not _complete(numbers, len(stack.instances), (1, len(stacks))):
            what = f"{len(stack.instances)} files, instance numbers {numbers[0]} to {numbers[-1]}"
            code, where = "instance_numbers_incomplete", "InstanceNumber"
            odd.append(notice(code, what, attribute=where, series=stack.digest))
    return odd


def _complete(numbers: Sequence[int], count: int, strides: Sequence[int]) -> bool:
    """Whether ``count`` sorted numbers follow each other in one of ``strides``; true when there are none."""
    return not numbers or any(
        list(numbers) == list(range(numbers[0], numbers[0] + stride * count, stride)) for stride in strides
    )

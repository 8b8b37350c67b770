"""Slices that come twice: copies of a file, and the same pixels under another SOP Instance UID."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from tomosurf.data.codes import refusal
from tomosurf.data.series import Instance
from tomosurf.ingest.places import SAME_PLACE_MM, places_of

CHUNK = 1 << 20


def without_copies(instances: Sequence[Instance], series: str) -> tuple[tuple[Instance, ...], list[str]]:
    """Instances by SOP Instance UID and frame, and the names of files that are copies of another.

    Of byte-identical files with one UID the first by name is kept.

    Raises:
        InputRefused: conflicting_duplicate.
    """
    files: defaultdict[str, dict[str, Instance]] = defaultdict(dict)
    for instance in sorted(instances, key=lambda i: (i.name, i.frame)):
        files[instance.sop_instance_uid].setdefault(instance.name, instance)
    copies: list[str] = []
    for same in files.values():
        first, *others = same.values()
        for other in others:
            if _content(first) != _content(other):
                what = "two different files carry one SOP Instance UID"
                names = (first.name, other.name)
                raise refusal(
                    "conflicting_duplicate", what, files=names, attribute="SOPInstanceUID", series=series
                )
            copies.append(other.name)
    gone = frozenset(copies)
    kept = [instance for instance in instances if instance.name not in gone]
    return tuple(sorted(kept, key=lambda i: (i.sop_instance_uid, i.frame))), copies


def without_twins(instances: Sequence[Instance]) -> tuple[tuple[Instance, ...], list[str]]:
    """Instances, and names of files whose slice another one has as well: same place, same stored pixels.

    Of twins the first by SOP Instance UID and frame is kept. Frames of one object are never twins.
    """
    twins: set[int] = set()
    for place in places_of(instances):
        first: list[Instance] = []
        for k in sorted(place, key=lambda k: (instances[k].sop_instance_uid, instances[k].frame)):
            if len(place) > 1 and any(_are_twins(other, instances[k]) for other in first):
                twins.add(k)
            else:
                first.append(instances[k])
    kept = tuple(instance for k, instance in enumerate(instances) if k not in twins)
    return kept, [instances[k].name for k in twins]


def _are_twins(one: Instance, other: Instance) -> bool:
    if one.path == other.path or _meaning(one) != _meaning(other):
        return False
    if max(abs(a - b) for a, b in zip(one.position, other.position, strict=True)) > SAME_PLACE_MM:
        return False
    pixels = _pixels(one)
    return pixels != "" and pixels == _pixels(other)


def _meaning(instance: Instance) -> tuple[object, ...]:
    """All that turns stored bytes into voxels."""
    layout = replace(instance.pixels, offset=0, span=0, frames=1)
    return layout, instance.orientation, instance.pixel_spacing, instance.rescale, instance.padding


def _content(instance: Instance) -> str:
    """SHA-256 of the whole file, computed now when the reader was told not to."""
    return instance.sha256 or _digest(instance, 0, instance.size)


def _pixels(instance: Instance) -> str:
    """SHA-256 of the stored pixels; "" where they can't be told from the rest of a deflated file."""
    layout = instance.pixels
    if layout.deflated_at is not None:
        return ""
    length = layout.length if layout.length is not None else layout.span or instance.size - layout.offset
    return _digest(instance, layout.offset, length)


def _digest(instance: Instance, start: int, length: int) -> str:
    """SHA-256 of some bytes of an instance's file."""
    digest = hashlib.sha256()
    try:
        with instance.path.open("rb") as file:
            file.seek(start)
            while length and (data := file.read(min(length, CHUNK))):
                digest.update(data)
                length -= len(data)
    except OSError as error:
        what = f"the file can't be read ({error.strerror})"
        raise refusal("unreadable_file", what, files=(instance.name,)) from error
    return digest.hexdigest()

"""Which series a file may belong to that can't be placed: without it the rest could pass for a complete stack."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from tomosurf.data.series import Instance
from tomosurf.ingest.attributes import SPACING_APART
from tomosurf.ingest.places import DIRECTION_APART, MIN_SLICES, continues
from tomosurf.ingest.remains import is_uid

Key = tuple[str, str]
"""Study and Series Instance UID."""
BySeries = Mapping[Key, Sequence[Instance]]


@dataclass(frozen=True, slots=True)
class Damaged:
    """A DICOM file that can't be placed, and what it says of its series: a UID, perhaps damaged too, or ""."""

    name: str
    series_uid: str


def doubts(
    series: BySeries, damaged: Collection[Damaged], elsewhere: Collection[str] = ()
) -> dict[Key, tuple[str, ...]]:
    """For every series that may lack a slice, the names of the files that may hold it.

    They are damaged ones, and those of a series of one or two slices that lie where the next slice would.

    Args:
        series: the slices of every series.
        damaged: a Series Instance UID that some other file has settles whom it concerns; else it concerns
            every series that has a file in the same folder.
        elsewhere: Series Instance UIDs of objects that hold no slices.
    """
    found: defaultdict[Key, set[str]] = defaultdict(set)
    for key, names in chain(_beside(series, damaged, elsewhere), _next_to(series)):
        found[key] |= names
    return {key: tuple(sorted(names)) for key, names in found.items() if names}


def _beside(
    series: BySeries, damaged: Collection[Damaged], elsewhere: Collection[str]
) -> Iterable[tuple[Key, set[str]]]:
    """Damaged files, by the series that they name, or by their folder."""
    if not damaged:
        return
    known = {uid for _, uid in series} | set(elsewhere) - {""}
    named: defaultdict[str, set[str]] = defaultdict(set)
    lying: defaultdict[str, set[str]] = defaultdict(set)
    for file in damaged:
        (named[file.series_uid] if file.series_uid in known else lying[_folder(file.name)]).add(file.name)
    for key, instances in series.items():
        folders = {_folder(instance.name) for instance in instances}
        yield key, named[key[1]].union(*(lying[folder] for folder in folders & lying.keys()))


def _folder(name: str) -> str:
    return name.rpartition("/")[0]


def _next_to(series: BySeries) -> Iterable[tuple[Key, set[str]]]:
    """Files of a tiny series that lie where the next slice of a stack of the same study would, and look like it.

    Whatever frame of reference they name: it is as easily damaged as their Series Instance UID. Where a UID of
    theirs isn't one, whatever study and kernel as well.
    """
    tiny: defaultdict[str, list[Instance]] = defaultdict(list)
    for (study, uid), instances in series.items():
        if len(instances) < MIN_SLICES:
            tiny[study if is_uid(study) and is_uid(uid) else ""] += instances
    for key, instances in series.items():
        if tiny and len(instances) >= MIN_SLICES:
            kernel = instances[0].acquisition.kernel
            near = [other for other in tiny[key[0]] if other.acquisition.kernel == kernel] + tiny[""]
            alike = [other for other in near if _alike(other, instances[0])]
            yield key, {other.name for other in alike if continues(instances, [other])}


def _alike(one: Instance, other: Instance) -> bool:
    """Whether matrix, pixel spacing and orientation are the same."""
    return (
        (one.pixels.rows, one.pixels.columns) == (other.pixels.rows, other.pixels.columns)
        and bool(np.abs(np.subtract(one.orientation, other.orientation)).max() <= DIRECTION_APART)
        and bool(np.abs(np.divide(one.pixel_spacing, other.pixel_spacing) - 1).max() <= SPACING_APART)
    )

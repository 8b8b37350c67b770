"""One series to the stacks that it is made of, by what headers say and never by guessing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any

from tomosurf.data.codes import refusal
from tomosurf.data.series import Instance
from tomosurf.ingest.attributes import (
    ALWAYS,
    WHERE_THEY_COINCIDE,
    Attribute,
    dimension,
    grouped_by,
    words_for,
)
from tomosurf.ingest.places import (
    MIN_SLICES,
    coincides,
    continues,
    is_uniform,
    places_of,
    run_side_by_side,
    steps_are_multiples,
)

MAX_DIMENSIONS = 8
"""Dimension Index Values that are looked at; real objects have three to five."""

Stacks = Sequence[Sequence[Instance]]
Groups = Mapping[tuple[Any, ...], list[Instance]]


@dataclass(frozen=True, slots=True)
class Part:
    """Slices of one series that belong to one stack.

    ``words`` say in what they differ from the rest, for people; ``key`` the same with exact values, for the
    digest. Both are empty where the series wasn't split.
    """

    instances: tuple[Instance, ...]
    words: tuple[str, ...] = ()
    key: tuple[str, ...] = ()

    def within(self, instances: Iterable[Instance], word: str, key: str) -> Part:
        """A part of this part."""
        return Part(tuple(instances), (*self.words, word), (*self.key, key))


def split(instances: Sequence[Instance]) -> list[Part]:
    """The stacks in one series: apart by what always matters, then, where slices coincide, by what tells.

    Slices that already make one stack stay together, whatever numbers and times they carry. Where nothing
    tells coinciding slices apart, they stay together too: then the verdict refuses them.

    Raises:
        InputRefused: mixed_series: a few slices belong into a stack by their place and not by their header.
    """
    parts = [Part(tuple(instances))]
    for attribute in ALWAYS:
        parts = [smaller for part in parts for smaller in _always(part, attribute)]
    return [smaller for part in parts for smaller in apart(part)]


def _always(part: Part, attribute: Attribute) -> list[Part]:
    """``part``, divided by one attribute that always matters."""
    groups = grouped_by(attribute, part.instances)
    if len(groups) == 1:
        return [part]
    largest = max(groups.values(), key=len)
    strays = [group for group in groups.values() if len(group) < MIN_SLICES]
    if len(largest) >= MIN_SLICES and not any(continues(largest, group) for group in strays):
        words = words_for(attribute, list(groups))
        return [
            part.within(group, word, _key(attribute, value))
            for word, (value, group) in zip(words, groups.items(), strict=True)
        ]
    if attribute.matters:
        files = tuple(dict.fromkeys(i.name for g in groups.values() if g is not largest for i in g))
        what = "slices of one stack differ in what their values mean"
        raise refusal("mixed_series", what, files=files, attribute=attribute.keyword)
    return [part]  # the verdict says why that is no stack


def apart(part: Part) -> list[Part]:
    """Coinciding slices told apart by the first attribute, or pair of them, that gives honest stacks.

    Better than any other is one that gives as many stacks as slices coincide, all of them uniform; then any
    number of uniform stacks; then as many as slices coincide, of which one at least is uniform: the others
    are incomplete, and will be refused. Last, times: when all first slices of the places come before all
    second ones, and so on, each turn is a stack.
    """
    places = places_of(part.instances)
    most = max(map(len, places))
    if most == 1:
        return _interleaved(part)
    labels = _telling(part.instances)
    for chances in ([(a,) for a in labels], combinations(labels, 2)):
        cuts = [(c, _cut([labels[a] for a in c], part.instances)) for c in chances]
        honest = [(c, groups) for c, groups in cuts if not any(map(coincides, groups.values()))]
        for wanted in (_as_many_uniform, _uniform, _as_many):
            for chance, groups in honest:
                if wanted(list(groups.values()), most):
                    return _named(part, chance, groups)
    for attribute in labels:
        turns = _turns(attribute, part.instances, places) if attribute.ordered else {}
        if turns:
            return _named(part, (attribute,), turns)
    return [part]


def _interleaved(part: Part) -> list[Part]:
    """Stacks that run side by side without ever coinciding, each uniform; ``part`` where it isn't so.

    Slices whose steps are multiples of the least one are one stack, whole or with gaps, whatever else they
    say: an acquisition in several passes gives every second slice another number.
    """
    if steps_are_multiples(part.instances):
        return [part]
    for attribute, label in _telling(part.instances).items():
        groups = _cut([label], part.instances)
        if _uniform(list(groups.values()), 0) and run_side_by_side(list(groups.values())):
            return _named(part, (attribute,), groups)
    return [part]


def _as_many_uniform(groups: Stacks, most: int) -> bool:
    return len(groups) == most and _uniform(groups, most)


def _uniform(groups: Stacks, _: int) -> bool:
    return all(map(is_uniform, groups))


def _as_many(groups: Stacks, most: int) -> bool:
    return len(groups) == most and min(map(len, groups)) >= MIN_SLICES and any(map(is_uniform, groups))


def _telling(instances: Sequence[Instance]) -> dict[Attribute, list[Any]]:
    """Attributes that every slice has and that differ, each with every slice's value."""
    dimensions = min(MAX_DIMENSIONS, max(len(i.acquisition.dimensions) for i in instances))
    telling = {}
    for attribute in (*WHERE_THEY_COINCIDE, *map(dimension, range(dimensions))):
        values = {attribute.value(i) for i in instances}
        if len(values) > 1 and None not in values:
            names = {id(i): name for name, group in grouped_by(attribute, instances).items() for i in group}
            telling[attribute] = [names[id(i)] for i in instances]
    return telling


def _cut(labels: Sequence[list[Any]], instances: Sequence[Instance]) -> Groups:
    """Slices by their values in one attribute or two."""
    groups: defaultdict[tuple[Any, ...], list[Instance]] = defaultdict(list)
    for *value, instance in zip(*labels, instances, strict=True):
        groups[tuple(value)].append(instance)
    return groups


def _turns(attribute: Attribute, instances: Sequence[Instance], places: Sequence[Sequence[int]]) -> Groups:
    """The first slices of all places, the second ones, ...; nothing when one turn isn't over before the next."""
    times: list[Any] = [attribute.value(i) for i in instances]
    if len({len(place) for place in places}) > 1:
        return {}
    in_time = [sorted(place, key=lambda k: times[k]) for place in places]
    turns = [list(turn) for turn in zip(*in_time, strict=True)]
    spans = [(min(times[k] for k in turn), max(times[k] for k in turn)) for turn in turns]
    if any(after[0] <= before[1] for before, after in pairwise(spans)):
        return {}
    found = {(span[0],): [instances[k] for k in turn] for span, turn in zip(spans, turns, strict=True)}
    return found if all(map(is_uniform, found.values())) else {}


def _named(part: Part, chance: Sequence[Attribute], groups: Groups) -> list[Part]:
    """Groups as parts, in the order of their values."""
    named = []
    words = []
    for n, attribute in enumerate(chance):
        distinct = sorted({value[n] for value in groups})
        words.append(dict(zip(distinct, words_for(attribute, distinct), strict=True)))
    for value in sorted(groups):
        smaller = part
        for n, attribute in enumerate(chance):
            smaller = smaller.within(groups[value], words[n][value[n]], _key(attribute, value[n]))
        named.append(smaller)
    return named


def _key(attribute: Attribute, value: Hashable) -> str:
    """Attribute and value for the digest; numbers as in :func:`repr`, which is exact."""
    return f"{attribute.keyword}={value!r}"

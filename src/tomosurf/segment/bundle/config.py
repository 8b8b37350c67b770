"""A bundle's configuration: nested values that refer to each other, resolved as data.

``@a::b`` (older: ``@a#b``) stands for the value of b in a, ``%file.json::a`` for text of another file in the
bundle, ``$...`` for an expression (:mod:`tomosurf.segment.bundle.expressions`). Only what is asked for is
resolved: what a bundle says about data sets, handlers and training is never looked at.

Reference: MONAI's documentation, "Bundle configuration syntax".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from tomosurf.errors import ModelError
from tomosurf.segment.bundle.expressions import Stored, recognised, shown

DEEPEST = 40
"""References that lead to references, and lists in lists, at most."""

MOST_VALUES = 100_000
"""Values that one import looks at, at most: YAML can say a billion in ten lines."""

Place = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Config:
    """The values of one configuration file; ``fixed`` are those that the importer sets itself.

    ``read_other`` reads another file of the bundle by the name that a ``%`` gives, ``read_table`` a table of whole
    numbers by a file's path and its key there.
    """

    values: dict[str, Any]
    fixed: dict[str, Any]
    read_other: Callable[[str], Any]
    read_table: Callable[[str, str], list[Any]]

    def __contains__(self, key: str) -> bool:
        return key in self.values or key in self.fixed

    def at(self, *place: str) -> Value:
        """The value at a place."""
        return self._found(place, Count())

    def _found(self, place: Place, count: Count) -> Value:
        count.one_more()
        if place[0] in self.fixed:
            return Value(self, self.fixed[place[0]], place[:1], count)
        here = Value(self, self.values, (), count)
        for key in place:
            here = here.followed().entry(key)
        return here


class Count:
    """How many values were looked at, and how deep in references the reader is."""

    def __init__(self) -> None:
        self.values = 0
        self.depth = 0

    def one_more(self) -> None:
        """Count a value.

        Raises:
            ModelError: these are too many.
        """
        self.values += 1
        if self.values > MOST_VALUES:
            raise ModelError("the configuration holds more values than a model needs")


@dataclass(frozen=True, slots=True)
class Value:
    """A value as it is written, with its place."""

    config: Config
    written: Any
    place: Place
    count: Count

    @property
    def where(self) -> str:
        """Its place, for messages."""
        return "::".join(self.place) or "the configuration"

    def entry(self, key: str) -> Value:
        """The entry of a dict or, by its number, of a list.

        Raises:
            ModelError: there is none.
        """
        place, whole = (*self.place, key), self.written
        if isinstance(whole, dict) and key in whole:
            return Value(self.config, whole[key], place, self.count)
        if isinstance(whole, list) and key.isdecimal() and len(key) < 7 and int(key) < len(whole):
            return Value(self.config, whole[int(key)], place, self.count)
        raise ModelError(f"the configuration has no {shown('::'.join(place))}")

    def followed(self) -> Value:
        """The value with references followed and expressions recognised.

        Raises:
            ModelError: a reference leads nowhere or in a circle, or an expression isn't understood.
        """
        self.count.one_more()
        text = self.written
        if not isinstance(text, str) or text[:1] not in {"@", "$", "%"}:
            return self
        self.count.depth += 1
        if self.count.depth > DEEPEST:
            raise ModelError(f"{self.where}: references lead in a circle")
        try:
            return self._followed(text).followed()
        finally:
            self.count.depth -= 1

    def _followed(self, text: str) -> Value:
        if text[0] == "@":
            return self._referred(text[1:])
        if text[0] == "%":
            return self._from_other(text[1:])
        try:
            value = recognised(text[1:], lambda name: self._referred(name).plain())
        except ModelError as error:
            raise ModelError(f"{self.where}: {error}") from error
        if isinstance(value, str) and value[:1] in {"@", "$", "%"}:
            raise ModelError(f"{self.where}: an expression makes another expression; nothing was run")
        return Value(self.config, value, self.place, self.count)

    def _referred(self, name: str) -> Value:
        keys = re.split("::|#", name)
        up = 0
        while keys and not keys[0]:  # "@::name": beside this value; each further one: a level up
            keys, up = keys[1:], up + 1
        if not keys or up > len(self.place) or not all(keys):
            raise ModelError(f"{self.where}: the reference {shown('@' + name)} leads nowhere")
        base = self.place[: len(self.place) - up] if up else ()
        return self.config._found((*base, *keys), self.count)

    def _from_other(self, name: str) -> Value:
        file, *keys = re.split("::|#", name)
        if not re.search(r"\.(json|ya?ml)$", file):
            return self._referred(name)
        other = replace(self.config, values=self.config.read_other(file))
        here = Value(other, other.values, (), self.count)
        for key in keys:
            here = here.followed().entry(key)
        return here

    def plain(self) -> Any:
        """The value with everything inside resolved too.

        Raises:
            ModelError: something inside can't be resolved.
        """
        here = self.followed()
        here.count.depth += 1
        if here.count.depth > DEEPEST:
            raise ModelError(f"{here.where}: nested too deep")
        try:
            if isinstance(here.written, dict):
                return {str(key): here.entry(key).plain() for key in here.written}
            if isinstance(here.written, Stored) and here.written.key:
                return here.config.read_table(here.written.file, here.written.key)
            if isinstance(here.written, list):
                return [here.entry(str(number)).plain() for number in range(len(here.written))]
            return here.written
        finally:
            here.count.depth -= 1

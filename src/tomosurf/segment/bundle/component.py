"""A ``_target_`` and its arguments, read one by one; what nobody read is refused by name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from tomosurf.errors import ModelError
from tomosurf.segment.bundle.config import Value
from tomosurf.segment.bundle.expressions import shown

_META = frozenset({"_target_", "_disabled_", "_requires_", "_desc_", "_mode_"})


class Component:
    """One component of a bundle, as written.

    Attributes:
        target: the class's name without its package.
        path: the package, "" where the bundle leaves it to MONAI.
    """

    def __init__(self, value: Value) -> None:
        here = value.followed()
        if not isinstance(here.written, dict) or not isinstance(here.written.get("_target_"), str):
            raise ModelError(f"{value.where} is no component: it has no _target_")
        self._value = here
        self.path, _, self.target = here.written["_target_"].rpartition(".")
        self._unread = set(here.written) - _META
        if here.written.get("_mode_", "default") != "default":
            raise ModelError(f"{self.where}: _mode_ {shown(str(here.written['_mode_']))} isn't understood")

    @property
    def where(self) -> str:
        """Its place and name, for messages."""
        return f"{self._value.where} ({shown(self.target)[1:-1]})"

    @property
    def disabled(self) -> bool:
        """Whether the bundle switches it off."""
        whether = self._value.entry("_disabled_").plain() if "_disabled_" in self._value.written else False
        if isinstance(whether, str) and whether.lower() in {"true", "false"}:
            return whether.lower() == "true"
        if not isinstance(whether, bool):
            raise ModelError(f"{self.where}: _disabled_ is neither true nor false")
        return whether

    def refuse(self, why: str) -> ModelError:
        """An error about this component."""
        return ModelError(f"{self.where}: {why}")

    def has(self, name: str) -> bool:
        """Whether an argument is given."""
        return name in self._value.written

    def value(self, name: str) -> Value:
        """An argument that must be there, as written."""
        if not self.has(name):
            raise self.refuse(f"the argument {name} is missing")
        self._unread.discard(name)
        return self._value.entry(name)

    def plain(self, name: str, default: Any = None) -> Any:
        """An argument, resolved."""
        return self.value(name).plain() if self.has(name) else default

    def ignore(self, *names: str) -> None:
        """Arguments that change nothing for us."""
        self._unread.difference_update(names)

    def finish(self) -> None:
        """Say that all was read.

        Raises:
            ModelError: an argument is there that nobody knows.
        """
        if self._unread:
            raise self.refuse(f"the argument {shown(min(map(str, self._unread)))} isn't understood")

    def expect(self, name: str, *allowed: Any) -> None:
        """An argument that may only have one of a few values, and may be missing."""
        if self.has(name) and not any(_same(self.plain(name), value) for value in allowed):
            raise self.refuse(f"{name} {shown(str(self.plain(name)))} isn't understood")
        self.ignore(name)

    def flag(self, name: str, default: bool) -> bool:
        """A true or false."""
        value = self.plain(name, default)
        if not isinstance(value, bool):
            raise self.refuse(f"{name} is neither true nor false")
        return value

    def text(self, name: str, default: str) -> str:
        """A text."""
        value = self.plain(name, default)
        if not isinstance(value, str):
            raise self.refuse(f"{name} is no text")
        return value

    def number(self, name: str, default: float | None = None) -> float:
        """A number, which must be there unless it has a default."""
        value = self.plain(name) if default is None or self.has(name) else default
        if not _is_number(value):
            raise self.refuse(f"{name} is no number")
        return float(cast("float", value))

    def whole(self, name: str, default: int | None = None) -> int:
        """A whole number."""
        value = self.number(name, default)
        if value != int(value):
            raise self.refuse(f"{name} is no whole number")
        return int(value)

    def numbers(self, name: str) -> list[float]:
        """A list of numbers, or one number, which makes a list of one."""
        value = self.plain(name)
        values = value if isinstance(value, list) else [value]
        if not values or not all(_is_number(v) for v in values):
            raise self.refuse(f"{name} isn't made of numbers")
        return [float(v) for v in values]

    def wholes(self, name: str) -> list[int]:
        """The same of whole numbers."""
        values = self.numbers(name)
        if any(v != int(v) for v in values):
            raise self.refuse(f"{name} isn't made of whole numbers")
        return [int(v) for v in values]

    def triple(self, name: str) -> tuple[int, int, int]:
        """Three whole numbers, or one for all three."""
        values = self.wholes(name)
        if len(values) not in {1, 3}:
            raise self.refuse(f"{name} isn't three numbers, or one")
        a, b, c = values * 3 if len(values) == 1 else values
        return (a, b, c)


def components(value: Value) -> Iterator[Component]:
    """The components of a Compose, or of a list, in order; those that are switched off are left out.

    Raises:
        ModelError: it is neither, or one of them is no component.
    """
    here = value.followed()
    if isinstance(here.written, dict):
        whole = Component(here)
        if whole.target != "Compose":
            yield whole
            return
        whole.expect("lazy", False, None)
        whole.ignore("map_items", "unpack_items", "log_stats", "overrides")
        inner = whole.value("transforms")
        whole.finish()
        yield from components(inner)
        return
    if not isinstance(here.written, list):
        raise ModelError(f"{value.where} is no list of transforms")
    for number in range(len(here.written)):
        part = Component(here.entry(str(number)))
        if part.disabled:
            continue
        if part.target == "Compose":
            yield from components(here.entry(str(number)))
        else:
            yield part


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15


def _same(value: Any, allowed: Any) -> bool:
    return type(value) is type(allowed) and bool(value == allowed)

"""Networks that stay loaded from case to case."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any, Protocol, TypeVar


class Loaded(Protocol):
    """Something that takes memory while it stays loaded."""

    @property
    def bytes(self) -> int:
        """How much."""
        ...


T = TypeVar("T", bound=Loaded)


class Engine:
    """Holds loaded networks; the least recently used go when there are too many, or they take too much.

    Loading one takes seconds, compiling it for a GPU a quarter of a minute. One is made for a run and passed
    to every case; it holds nothing at first and knows nothing of torch.
    """

    def __init__(self, models: int = 4, gigabytes: float = 4.0) -> None:
        self._models = models
        self._bytes = gigabytes * 1e9
        self._held: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._held)

    def get(self, key: Hashable, load: Callable[[], T]) -> T:
        """What is held under ``key``, else what ``load`` gives, which is held from then on."""
        with self._lock:
            if key not in self._held:
                self._held[key] = load()
            self._held.move_to_end(key)
            found: T = self._held[key]
            while len(self._held) > 1 and self._is_full():
                self._held.popitem(last=False)
            return found

    def drop(self, key: Hashable) -> None:
        """Let go of what is held under ``key``, if anything."""
        with self._lock:
            self._held.pop(key, None)

    def _is_full(self) -> bool:
        held = self._held.values()
        return len(held) > self._models or sum(one.bytes for one in held) > self._bytes

"""What the headers of a series say again and again, understood once."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Concatenate, ParamSpec, TypeVar

from tomosurf.ingest.elements import Elements, Encoding

MOST = 64
"""Answers that are kept of each function."""
LONGEST = 1 << 16
"""Bytes before the pixel data beyond which nothing is kept of a header, so that none can fill the memory."""

_FORGETTERS: list[Callable[[], None]] = []
"""How each decorated function forgets; filled when modules are defined, never afterwards."""

P = ParamSpec("P")
T = TypeVar("T")
OfElements = Callable[Concatenate[Elements, P], T]


def remembered(*tags: int) -> Callable[[OfElements[P, T]], OfElements[P, T]]:
    """Make a function of elements answer from memory where the raw values of ``tags`` are those of before.

    The function is handed the elements of ``tags`` and no others: what it looks at is what is compared. It
    must give frozen values; what it raises isn't kept.
    """

    def decorated(function: OfElements[P, T]) -> OfElements[P, T]:
        def anew(
            raws: tuple[bytes | None, ...], implicit: bool, little: bool, /, *more: P.args, **named: P.kwargs
        ) -> T:
            values = {int(tag): raw for tag, raw in zip(tags, raws, strict=True) if raw is not None}
            return function(Elements(Encoding(implicit, little), values), *more, **named)

        kept = lru_cache(MOST)(anew)
        _FORGETTERS.append(kept.cache_clear)

        @wraps(function)
        def answered(elements: Elements, /, *more: P.args, **named: P.kwargs) -> T:
            raws = tuple(map(elements.values.get, tags))
            encoding, start = elements.encoding, elements.pixel_offset
            if start is None or start > LONGEST:
                return anew(raws, encoding.implicit, encoding.little, *more, **named)
            return kept(raws, encoding.implicit, encoding.little, *more, **named)  # type: ignore[arg-type]

        return answered

    return decorated


def forget() -> None:
    """Let go of all answers: they hold values of a patient's headers, which nobody needs once all were read."""
    for forgetter in _FORGETTERS:
        forgetter()

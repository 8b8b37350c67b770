"""Stretches of a data set that the headers of a series repeat byte by byte, stepped over at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

MOST = 256
"""Passages that are kept."""
LONGEST = 1 << 16
"""Bytes of a header beyond which nothing is kept of it, so that none can fill the memory."""
WORTH = 8
"""Elements walked one by one that make it worth while to look for passages among them."""
KEY = 8
"""Bytes at an element's start that hold its tag."""


Walked = tuple[int, int, int]
"""One element that a scan stepped over by itself: where it starts and ends, and its tag."""


class Passage(NamedTuple):
    """Whole elements one after the other, and the wanted values among them."""

    raw: bytes
    values: Mapping[int, bytes]


class Passages:
    """What the data sets scanned so far have in common: elements that follow each other in two of them alike.

    Where a data set goes on with the bytes of a passage, at the start of an element, a scan for the same tags
    in the same encoding finds what it found in them before: nothing that came earlier changes how they are
    read. May be used from several threads.
    """

    def __init__(self) -> None:
        self.known: dict[bytes, Passage] = {}  # by their first KEY bytes
        self._last: frozenset[bytes] = frozenset()

    def learn(self, data: bytes, walked: Sequence[Walked], values: Mapping[int, bytes]) -> None:
        """Look in ``walked``, elements of a sound data set with these ``values``, for those of the one before."""
        if len(walked) < WORTH or walked[-1][1] > LONGEST:
            return
        each = [data[start:end] for start, end, _ in walked]
        before, self._last = self._last, frozenset(each)
        run: list[Walked] = []
        for element, raw in zip(walked, each, strict=True):
            if run and (raw not in before or element[0] != run[-1][1]):
                self._keep(data, run, values)
                run = []
            if raw in before:
                run.append(element)
        self._keep(data, run, values)

    def _keep(self, data: bytes, run: Sequence[Walked], values: Mapping[int, bytes]) -> None:
        """Make a passage of the elements in ``run``, if there are two at least."""
        if len(run) < 2:
            return
        if len(self.known) >= MOST:
            self.known.clear()
        raw = data[run[0][0] : run[-1][1]]
        self.known[raw[:KEY]] = Passage(raw, {tag: values[tag] for _, _, tag in run if tag in values})

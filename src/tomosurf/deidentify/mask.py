"""Digests and notices of an intake, so that nobody can confirm whom they are about."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from tomosurf.data.notice import Notice
from tomosurf.deidentify.key import Key


class Mask:
    """Keyed digests for digests, placeholders for the names of files.

    A plain digest of a UID can be confirmed by whoever knows the UID; these can't be, for the key is random and
    forgotten. Placeholders are numbered in the order of the names.
    """

    def __init__(self, names: Iterable[str], key: Key | None = None) -> None:
        self._key = key or Key()
        self._names = {name: f"input-{number:06d}" for number, name in enumerate(sorted(set(names)), start=1)}

    def digest(self, digest: str) -> str:
        """What stands for a digest; "" for ""."""
        return self._key.digest("series", digest) if digest else ""

    def notice(self, notice: Notice) -> Notice:
        """The same notice about masked files and a masked series."""
        files = tuple(sorted(self._names.get(name, "input") for name in notice.files))
        return replace(notice, files=files, series=self.digest(notice.series))


def names_of(notices: Iterable[Notice]) -> set[str]:
    """The names of files that some notices speak of."""
    return {name for notice in notices for name in notice.files}

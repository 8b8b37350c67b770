"""Compiled loops are kept on disk only as long as every file that they were compiled from is the same.

Numba holds a kept loop against the loop's own file alone. But what a loop calls in another file is compiled into
it: after an update of that other file the old code would run on, and nobody would know. Here a loop of this package
is held against its file and all files of the package that it imports, directly or not.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import InTreeCacheLocator, UserProvidedCacheLocator, UserWideCacheLocator

FOLDER = Path(__file__).resolve().parent
PACKAGE = __name__.rpartition(".")[0]
OTHERS = (
    "UserProvidedCacheLocator",
    "InTreeCacheLocator",
    "UserWideCacheLocator",
    "IPythonCacheLocator",
    "ZipCacheLocator",
)
"""Numba's own, for loops that aren't ours."""


@cache
def stamp(file: Path) -> str:
    """SHA-256 over ``file`` and all files of this package that it needs, in the order of their names."""
    needed, waiting = {file}, [file]
    while waiting:
        new = set(_imported(waiting.pop())) - needed
        needed |= new
        waiting += new
    content = hashlib.sha256()
    for path in sorted(needed):
        content.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return content.hexdigest()


def _imported(file: Path) -> Iterator[Path]:
    """The files of this package that ``file`` imports from."""
    for node in ast.walk(ast.parse(file.read_bytes())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            package, _, module = name.rpartition(".")
            path = FOLDER / f"{module}.py"
            if package == PACKAGE and path.is_file():
                yield path


class OurLoops:
    """Where a loop of this package is kept: where Numba would keep it, with a stamp of all files behind it."""

    @classmethod
    def from_function(cls, function: Callable[..., Any], file: str) -> Any:
        """The first of Numba's locators that finds a place to write; None for a loop of another package."""
        path = Path(file).resolve()
        if path.parent != FOLDER:
            return None
        kinds = (UserProvidedCacheLocator, InTreeCacheLocator, UserWideCacheLocator)
        found = next(filter(None, (kind.from_function(function, file) for kind in kinds)), None)
        if found is not None:
            # in the name too: an old index is read before its stamp is looked at, and fails where a type is gone
            place = found.get_disambiguator()
            found.get_source_stamp = partial(stamp, path)
            found.get_disambiguator = lambda: f"{place}-{stamp(path)[:12]}"
        return found


def install() -> None:
    """Have Numba ask :class:`OurLoops` first; all else that it or the user chose stays."""
    ours = f"{OurLoops.__module__}.{OurLoops.__qualname__}"
    others = numba.config.CACHE_LOCATOR_CLASSES or ",".join(OTHERS)
    if ours not in others:
        numba.config.CACHE_LOCATOR_CLASSES = f"{ours},{others}"

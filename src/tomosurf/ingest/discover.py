"""Which files an input holds: a folder of any depth, one file, or a ZIP. Links are never followed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tomosurf.data.codes import notice, refusal
from tomosurf.data.notice import Notice
from tomosurf.errors import ConfigError
from tomosurf.ingest.archive import is_archive, unpack
from tomosurf.ingest.names import printable


@dataclass(frozen=True, slots=True)
class Entry:
    """One file to look at; ``name`` is relative to the input, with "/" between folders."""

    path: Path
    name: str


def discover(source: Path, workspace: Path | None = None) -> tuple[list[Entry], list[Notice]]:
    """Every regular file of ``source``, in the order of their names, and what was passed over.

    A ZIP is unpacked into ``workspace``, a folder of the caller's that must live as long as the
    entries are used.

    Raises:
        ConfigError: ``source`` doesn't exist, or is a ZIP and there is no workspace.
        InputRefused: unsafe_path, too_large or unreadable_file, for a ZIP; unreadable_file for a folder.
    """
    if source.is_dir():
        return _walk(source)
    if not source.is_file():
        raise ConfigError(f"{source}: no such file or folder")
    if is_archive(source):
        if workspace is None:
            raise ConfigError(f"{source}: a ZIP needs a workspace to be unpacked into")
        return [Entry(path, printable(name)) for path, name in unpack(source, workspace)], []
    return [Entry(source, printable(source.name))], []


def _walk(root: Path) -> tuple[list[Entry], list[Notice]]:
    """Regular files below ``root``; links and special files are named as skipped."""
    entries: list[Entry] = []
    special: list[str] = []
    folders = [(str(root), "")]
    while folders:
        folder, prefix = folders.pop()
        try:
            with os.scandir(folder) as listing:
                found = list(listing)
        except OSError as error:
            what = f"the folder can't be read ({error.strerror})"
            raise refusal("unreadable_file", what, files=(prefix or ".",)) from error
        for item in found:
            name = prefix + printable(item.name)
            if item.is_dir(follow_symlinks=False):
                folders.append((item.path, name + "/"))
            elif item.is_file(follow_symlinks=False):
                entries.append(Entry(Path(item.path), name))
            else:
                special.append(name)
    entries.sort(key=lambda entry: entry.name)
    if not special:
        return entries, []
    what = "links and special files aren't followed"
    return entries, [notice("unsafe_path", what, files=tuple(sorted(special)))]

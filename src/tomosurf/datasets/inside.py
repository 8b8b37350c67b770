"""Paths that a data set names, held to its own folder."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from tomosurf.errors import ConfigError


def inside(root: Path, name: object) -> Path:
    """The file that a data set calls ``name``, which is relative to ``root``; it need not exist.

    Raises:
        ConfigError: it is no relative path, goes upwards, or leads out of ``root`` through a link.
    """
    if not isinstance(name, str) or not name or "\0" in name or "\\" in name:
        raise ConfigError(f"{root.name}: a file is named by a relative path with forward slashes")
    pure = PurePosixPath(name)
    if pure.is_absolute() or PureWindowsPath(name).drive or ".." in pure.parts or not pure.parts:
        raise ConfigError(
            f"{root.name}: {name!r} lies outside the data set; name files relative to its folder"
        )
    return held(root, root.joinpath(*pure.parts))


def held(root: Path, path: Path) -> Path:
    """``path``, when it lies in ``root`` also after its links are followed.

    Raises:
        ConfigError: a link leads out of the data set.
    """
    if not path.resolve().is_relative_to(root.resolve()):
        raise ConfigError(
            f"{root.name}: {path.relative_to(root)} leads outside the data set by a link; copy the file into it"
        )
    return path


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        ConfigError: unreadable, or no object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} can't be read as JSON") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} holds no JSON object")
    return content


def peek(path: Path) -> dict[str, Any]:
    """The same, empty where there is no such file or it is something else: for recognising a form."""
    try:
        return read_json(path)
    except ConfigError:
        return {}

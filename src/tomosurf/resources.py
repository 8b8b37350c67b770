"""Where the shipped folders are: beside the sources in a checkout, inside the package in a wheel."""

from __future__ import annotations

from pathlib import Path

from tomosurf.errors import ConfigError


def folder(name: str) -> Path:
    """The shipped folder ``configs``, ``flows`` or ``sample_data``.

    Raises:
        ConfigError: it is missing: the installation is damaged.
    """
    package = Path(__file__).resolve().parent
    for candidate in (package / name, package.parents[1] / name):
        if candidate.is_dir():
            return candidate
    raise ConfigError(f"the folder {name!r} is missing from this installation; install tomosurf again")

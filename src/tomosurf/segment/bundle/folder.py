"""The files of a bundle's folder: found, kept inside it, bounded in size, parsed as plain values."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from tomosurf.errors import ConfigError, ModelError
from tomosurf.segment.bundle.config import Config
from tomosurf.segment.bundle.expressions import shown
from tomosurf.segment.bundle.tables import table_in

LARGEST_CONFIG = 4 << 20
"""Bytes of a configuration; the Model Zoo's are below 100 kB."""

LARGEST_WEIGHTS = 8 << 30
"""Bytes of a file of weights; the Model Zoo's largest are below 1 GB."""

SUFFIXES = (".json", ".yaml", ".yml")

LICENCES = (
    ("creative commons attribution-noncommercial-sharealike 4.0", "CC-BY-NC-SA-4.0"),
    ("creative commons attribution-noncommercial 4.0", "CC-BY-NC-4.0"),
    ("creative commons attribution-sharealike 4.0", "CC-BY-SA-4.0"),
    ("creative commons attribution 4.0", "CC-BY-4.0"),
    ("apache license version 2.0", "Apache-2.0"),
    ("mit license", "MIT"),
    ("gnu general public license version 3", "GPL-3.0"),
)


@dataclass(frozen=True, slots=True)
class BundleFolder:
    """A bundle's folder; every path that it gives lies inside."""

    path: Path

    def inside(self, name: str) -> Path:
        """The file of a relative name.

        Raises:
            ModelError: the name, or a link, leads out of the folder.
        """
        pure = PurePosixPath(name.replace("\\", "/"))
        target = (self.path / pure).resolve()
        if (
            pure.is_absolute()
            or re.match("[A-Za-z]:", name)
            or not target.is_relative_to(self.path.resolve())
        ):
            raise ModelError(f"{shown(name)} leads out of the bundle's folder; nothing there was read")
        return target

    def config(self, choice: str | None = None) -> tuple[str, Config]:
        """The configuration for inference, with its name: the one of several that ``choice`` names.

        Raises:
            ModelError: there is none, or it can't be read.
            ConfigError: there are several, and none is called ``choice``.
        """
        names = inference_configs(self.path)
        if not names:
            raise ModelError(
                f"{self.path.name}: no configuration for inference (configs/inference.json or .yaml)"
            )
        wanted = [n for n in names if PurePosixPath(n).stem == (choice or "inference")]
        if len(wanted) != 1 and len(names) == 1 and choice is None:
            wanted = names
        if len(wanted) != 1:
            stems = ", ".join(sorted({PurePosixPath(n).stem for n in names}))
            raise ConfigError(f"{self.path.name}: choose one of its configurations: {stems}")
        values = self.parsed(wanted[0])
        if not isinstance(values, dict):
            raise ModelError(f"{wanted[0]} is no table of values")
        fixed = {"bundle_root": "."}
        return wanted[0], Config(values, fixed, self._other, self._table)

    def _table(self, file: str, key: str) -> list[Any]:
        """A table in a file of torch's; of a path outside only the file's name counts, in the folder models."""
        name = f"models/{PurePosixPath(file).name}"
        if not self.inside(name).is_file():
            raise ModelError(f"the configuration reads {shown(name)}, which isn't in the bundle")
        return table_in(self.inside(name), name, key)

    def _other(self, name: str) -> Any:
        for tried in (name, f"configs/{name}"):
            if self.inside(tried).is_file():
                return self.parsed(tried)
        raise ModelError(f"the configuration refers to {shown(name)}, which isn't in the bundle")

    def parsed(self, name: str) -> Any:
        """The plain values of a JSON or YAML file.

        Raises:
            ModelError: it can't be read, is too large, nested too deep, or neither JSON nor YAML.
        """
        content = self.read(name, LARGEST_CONFIG)
        try:
            text = content.decode("utf-8")
            return json.loads(text) if name.endswith(".json") else yaml.safe_load(text)
        except (ValueError, yaml.YAMLError, RecursionError) as error:
            kind = "JSON" if name.endswith(".json") else "YAML of plain values"
            raise ModelError(f"{name} is no readable {kind} ({type(error).__name__})") from error

    def read(self, name: str, most: int) -> bytes:
        """The bytes of a file, ``most`` at most.

        Raises:
            ModelError: it can't be read, or is larger.
        """
        path = self.inside(name)
        try:
            if not path.is_file():
                raise ModelError(f"{shown(name)} isn't in the bundle")
            if path.stat().st_size > most:
                raise ModelError(
                    f"{name} is larger than {most >> 20} MB, more than any bundle's; nothing was read"
                )
            return path.read_bytes()
        except OSError as error:
            raise ModelError(f"{name} can't be read ({error.strerror})") from error

    def metadata(self) -> dict[str, Any]:
        """The bundle's own description, {} when there is none."""
        for name in ("configs/metadata.json", "metadata.json"):
            if (self.path / name).is_file():
                values = self.parsed(name)
                if not isinstance(values, dict):
                    raise ModelError(f"{name} is no table of values")
                return values
        return {}

    def licence(self, metadata: dict[str, Any]) -> str:
        """The licence that metadata or a file LICENSE states, by its SPDX name where it is a usual one."""
        for key in ("license", "licence"):
            if isinstance(metadata.get(key), str) and metadata[key].strip():
                return " ".join(metadata[key].split())[:200]
        for name in ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "docs/LICENSE", "docs/license.txt"):
            if (self.path / name).is_file():
                text = self.read(name, LARGEST_CONFIG).decode("utf-8", "replace").lower()
                head = re.sub(r"[\s,]+", " ", text[:2000])
                known = [spdx for words, spdx in LICENCES if words in head]
                return known[0] if known else f"as its file {name} says"
        return "not stated"


def inference_configs(folder: Path) -> list[str]:
    """Names of configurations for inference, relative to a bundle's folder; by their names alone."""
    found = [
        f"{prefix}{path.name}"
        for prefix in ("configs/", "")
        for path in sorted((folder / prefix).glob("*inference*"))
        if path.suffix in SUFFIXES and path.is_file()
    ]
    return [name for name in found if name.startswith("configs/")] or found

"""The user's folder of models: put one in whole or not at all, take one out."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import yaml

from tomosurf.errors import ConfigError, ModelError, UnknownNameError
from tomosurf.segment.model.catalogue import shipped_models, user_models
from tomosurf.segment.model.imported import Imported
from tomosurf.segment.model.spec import EARLIER, FILE_NAME, ModelDescription, ModelSpec, WeightsFile
from tomosurf.segment.model.weights import load_networks, pack_tensors


def check_free(name: str) -> None:
    """Refuse a name that a model has already, here or among those that ship.

    Raises:
        ConfigError: the name is taken.
    """
    if (user_models() / name).exists() or (shipped_models() / name).exists():
        raise ConfigError(f"there is a model called {name} already; remove it first or choose another --name")


def install(model: Imported) -> Path:
    """Write a model into the user's folder, under the name in its description; returns its folder.

    The weights are kept as float32, or float16 where that loses nothing, and sealed by their SHA-256. The
    network is built and filled once before the folder gets its name: what doesn't fit is never installed.

    Raises:
        ConfigError: the name is taken.
        ModelError: the tensors don't fit the architecture.
    """
    name = model.description.name
    target = user_models() / name
    check_free(name)
    user_models().mkdir(parents=True, exist_ok=True)
    partial = Path(mkdtemp(prefix=".partial-", dir=user_models()))
    try:
        spec = write(partial, model)
        (partial / "README.md").write_text(_card(spec, model.notes), encoding="utf-8")
        partial.chmod(0o755)
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def write(folder: Path, model: Imported) -> ModelSpec:
    """Description and weights into ``folder``; the network is built and filled once to see that they fit.

    A cascade's first stage goes into a folder within it.

    Raises:
        ModelError: the tensors don't fit the architecture.
    """
    files = []
    for number, tensors in enumerate(model.state_dicts):
        content, digest, dtype = pack_tensors(tensors)
        file = f"weights-{number}.safetensors" if len(model.state_dicts) > 1 else "weights.safetensors"
        (folder / file).write_bytes(content)
        files.append(WeightsFile(file=file, sha256=digest, dtype=dtype))
    values = {field: getattr(model.description, field) for field in ModelDescription.model_fields}
    sealed = None
    if model.earlier is not None:
        (folder / EARLIER).mkdir()
        sealed = write(folder / EARLIER, model.earlier).digest()
    spec = ModelSpec(**values, weights=tuple(files), earlier_sha256=sealed)
    load_networks(folder, spec)
    return rewrite(folder, spec)


def rewrite(folder: Path, spec: ModelSpec) -> ModelSpec:
    """Write the description of a model whose weights are in ``folder``."""
    (folder / FILE_NAME).write_text(_yaml(spec.as_yaml_values()), encoding="utf-8")
    return spec


def remove(name: str) -> Path:
    """Take a model out of the user's folder; returns where it was.

    Raises:
        ConfigError: it ships with tomosurf.
        UnknownNameError: the user's folder holds none of that name.
        ModelError: its files can't be removed.
    """
    if (shipped_models() / name / FILE_NAME).is_file():
        raise ConfigError(f"{name} ships with tomosurf and stays")
    known = {
        path.parent.name: path.parent
        for path in user_models().glob(f"*/{FILE_NAME}")
        if not path.parent.name.startswith(".")
    }
    if name not in known:
        raise UnknownNameError(
            f"{user_models()} holds no model called {name!r}; it holds: {', '.join(sorted(known)) or 'none'}"
        )
    folder = known[name]
    try:
        if folder.is_symlink():
            folder.unlink()  # the folder that it leads to is somebody else's
        else:
            _take_away(folder)
    except OSError as error:
        raise ModelError(f"{folder} can't be removed ({error.strerror})") from error
    return folder


def _take_away(folder: Path) -> None:
    """Remove a folder; under its name it is there whole or not at all."""
    hidden = Path(mkdtemp(prefix=".removed-", dir=folder.parent))
    try:
        folder.rename(hidden / folder.name)
    finally:
        shutil.rmtree(hidden)


def _card(spec: ModelSpec, notes: tuple[str, ...]) -> str:
    lines = [f"# {spec.title}", "", f"Licence: {spec.licence}.", ""]
    lines += [f"Source: {spec.source}.", ""] if spec.source else []
    return "\n".join([*lines, *(f"- {note}" for note in notes)]) + "\n"


def _yaml(values: dict[str, Any]) -> str:
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=100, default_flow_style=None)

"""Where a bundle keeps its weights, and what is in the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from tomosurf.errors import ModelError
from tomosurf.segment.bundle.config import Config
from tomosurf.segment.bundle.expressions import shown
from tomosurf.segment.bundle.folder import LARGEST_WEIGHTS, BundleFolder
from tomosurf.segment.bundle.tensors import state_dict_of
from tomosurf.segment.bundle.torchscript import torchscript_tensors

USUAL = ("models/model.pt", "models/model.ts", "models/model.pth", "model.pt", "model.ts")


def weights_of(folder: BundleFolder, config: Config) -> tuple[str, dict[str, torch.Tensor]]:
    """The name of the file with the weights, and its tensors by name.

    It is the file that the configuration's checkpoint loader names, where it does, or one of the usual names.

    Raises:
        ModelError: there is none, it lies outside the folder, is too large, or is more than tensors.
    """
    named = _named_by(config)
    tried = ([named] if named else []) + [name for name in USUAL if name != named]
    for name in tried:
        path = folder.inside(name)
        if path.is_file():
            return name, _read(path, name)
    raise ModelError(
        f"{folder.path.name} holds no weights ({', '.join(tried[:2])}); large files are fetched apart from some"
        " bundles: see large_files.yml"
    )


def _named_by(config: Config) -> str | None:
    """The path in the checkpoint loader, relative to the bundle; None where there is none to be read."""
    for place in (("checkpointloader", "load_path"), ("ckpt_path",)):
        if place[0] not in config:
            continue
        try:
            path = config.at(*place).plain()
        except ModelError:
            return None  # an expression about paths: the usual names remain
        if isinstance(path, str):
            return path.removeprefix("./").lstrip("/") if path.startswith("./") else path
    return None


def _read(path: Path, name: str) -> dict[str, torch.Tensor]:
    size = path.stat().st_size
    if size > LARGEST_WEIGHTS:
        raise ModelError(f"{name} is larger than {LARGEST_WEIGHTS >> 30} GB; nothing was read")
    if size < 1024 and path.read_bytes().startswith(b"version https://git-lfs"):
        raise ModelError(f"{name} is a pointer of Git LFS, not the weights; fetch the file itself")
    if path.suffix == ".ts":
        return torchscript_tensors(path, name)
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        if "TorchScript" in str(error):
            return torchscript_tensors(path, name)
        raise ModelError(
            f"{name} isn't read: it holds more than tensors, or is damaged ({shown(str(error).splitlines()[0])})."
            " Nothing in it was run"
        ) from error
    return state_dict_of(content, name)

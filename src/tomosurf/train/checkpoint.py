"""A run as it stands, in one file: what is needed to go on as if it had never stopped."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from tomosurf.errors import ConfigError
from tomosurf.train.config import TrainingConfig
from tomosurf.whole_file import whole_file

FILE = "checkpoint.pt"


def seal_of(config: TrainingConfig, names: Sequence[str], taught: bool) -> str:
    """Digest of what a run is made from: a checkpoint of another run is never taken up."""
    text = "\n".join((config.model_dump_json(), str(taught), *names))
    return hashlib.sha256(text.encode()).hexdigest()


def keep(folder: Path, seal: str, state: dict[str, Any]) -> None:
    """Write the state of a run; a kill leaves the one before, whole."""
    folder.mkdir(parents=True, exist_ok=True)
    with whole_file(folder / FILE) as partial:
        torch.save({"seal": seal, **state}, partial)


def kept(folder: Path, seal: str, device: torch.device) -> dict[str, Any] | None:
    """The state that :func:`keep` wrote, if any; only tensors and plain values are read.

    Raises:
        ConfigError: the folder holds another run, or something that can't be read.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # torch raises whatever a damaged file leads it to
        raise ConfigError(
            f"{path} can't be read ({type(error).__name__}); remove it to begin again"
        ) from error
    if state.get("seal") != seal:
        raise ConfigError(
            f"{folder} holds a run of another configuration or other cases; choose another output folder"
        )
    return state

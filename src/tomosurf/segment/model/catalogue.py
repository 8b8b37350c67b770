"""Which models there are, and where: those that ship, and those in the user's own folder of models."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tomosurf import resources
from tomosurf.errors import UnknownNameError
from tomosurf.segment.model.spec import FILE_NAME


def shipped_models() -> Path:
    """The folder that holds one folder a model."""
    return resources.folder("configs") / "models"


def user_models() -> Path:
    """The folder of models that were imported or pulled; it need not exist.

    ``TOMOSURF_MODELS`` names it. Otherwise it is ``tomosurf/models`` in the place where the system keeps a
    user's data (the XDG Base Directory Specification; Application Support or LocalAppData elsewhere).
    """
    named = os.environ.get("TOMOSURF_MODELS")
    if named:
        return Path(named).expanduser()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return base / "tomosurf" / "models"


def model_names() -> tuple[str, ...]:
    """Names of all models, sorted; each is the name of a folder."""
    folders = (shipped_models(), user_models())
    return tuple(
        sorted(
            path.parent.name
            for folder in folders
            for path in folder.glob(f"*/{FILE_NAME}")
            if not path.parent.name.startswith(".")
        )
    )


def find_model(name_or_folder: str) -> Path:
    """The folder of the model of that name, or the folder itself when it holds a description.

    Raises:
        UnknownNameError: neither.
    """
    names = model_names()
    if name_or_folder in names:
        shipped = shipped_models() / name_or_folder
        return shipped if (shipped / FILE_NAME).is_file() else user_models() / name_or_folder
    folder = Path(name_or_folder)
    if (folder / FILE_NAME).is_file():
        return folder
    raise UnknownNameError(
        f"no model is called {name_or_folder!r}; known: {', '.join(names) or 'none'},"
        f" or a folder that holds {FILE_NAME}; `tomosurf models import` takes a MONAI bundle or an nnU-Net folder"
    )

"""Which models there are, and where."""

from __future__ import annotations

from pathlib import Path

from tomosurf import resources
from tomosurf.errors import UnknownNameError
from tomosurf.segment.spec import FILE_NAME


def shipped_models() -> Path:
    """The folder that holds one folder a model."""
    return resources.folder("configs") / "models"


def model_names() -> tuple[str, ...]:
    """Names of the models that ship, sorted; each is the name of a folder."""
    return tuple(sorted(path.parent.name for path in shipped_models().glob(f"*/{FILE_NAME}")))


def find_model(name_or_folder: str) -> Path:
    """The folder of the model that ships under a name, or the folder itself when it holds a description.

    Raises:
        UnknownNameError: neither.
    """
    names = model_names()
    if name_or_folder in names:
        return shipped_models() / name_or_folder
    folder = Path(name_or_folder)
    if (folder / FILE_NAME).is_file():
        return folder
    raise UnknownNameError(
        f"no model is called {name_or_folder!r}; known: {', '.join(names) or 'none'},"
        f" or a folder that holds {FILE_NAME}"
    )

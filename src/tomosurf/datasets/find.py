"""Which form a data set has."""

from __future__ import annotations

from pathlib import Path

from tomosurf.datasets.dataset import DataSet
from tomosurf.errors import ConfigError
from tomosurf.registry import DATASETS

ORDER = ("nnunet-raw", "decathlon", "monai-datalist", "totalsegmentator", "folder-pair")
"""Asked first are the forms that say of themselves what they are; others follow in the order of their names."""


def open_data_set(path: Path, form: str = "") -> DataSet:
    """The data set at ``path``, read as ``form``, or as the first form that recognises it.

    Raises:
        UnknownNameError: no form of that name.
        ConfigError: no form recognises it, it holds no usable case, or it names files outside of it.
    """
    if not path.exists():
        raise ConfigError(f"there is no data set at {path}")
    known = [name for name in ORDER if name in DATASETS] + [name for name in DATASETS if name not in ORDER]
    readers = {name: DATASETS.load(name) for name in ([form] if form else known)}
    for name, reader in readers.items():
        if form or reader.recognises(path):
            found: DataSet = reader.read(path)
            if not found.cases:
                told = "; ".join(finding.message for finding in found.findings[:3])
                raise ConfigError(f"{path} ({name}) holds no case with image and labels. {told}".rstrip())
            return found
    titles = ", ".join(f"{name} ({reader.title})" for name, reader in readers.items())
    raise ConfigError(f"{path} has none of the known forms: {titles}; name one with --form")

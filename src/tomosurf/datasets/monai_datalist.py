"""MONAI's datalist, as Auto3DSeg takes it: a JSON file that lists image and label, in folds or parts.

Reference: MONAI, ``monai.data.load_decathlon_datalist`` and the Auto3DSeg tutorial.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tomosurf.datasets.dataset import DataSet
from tomosurf.datasets.inside import inside, peek, read_json
from tomosurf.datasets.listing import case_names, collected, modality_of, present, structures_of
from tomosurf.errors import ConfigError

PARTS = ("training", "validation", "testing", "test")


class MonaiDatalistReader:
    """``{"training": [{"image": ..., "label": ..., "fold": 0}], "validation": [...]}``, relative to the file."""

    title = "MONAI datalist"

    def recognises(self, path: Path) -> bool:
        """A .json file that lists cases, or a folder that holds exactly one beside its images."""
        return _datalist(path) is not None

    def read(self, path: Path) -> DataSet:
        """All entries that have a label, of every part; several images of an entry are its channels.

        Raises:
            ConfigError: no datalist, or an entry that points outside its folder.
        """
        source = _datalist(path)
        if source is None:
            raise ConfigError(f"{path} is no datalist: a JSON file with {' or '.join(PARTS[:2])} is needed")
        content, root = read_json(source), source.parent
        try:
            entries = [
                _entry(root, entry) for part in PARTS for entry in content.get(part, ()) if "label" in entry
            ]
        except (KeyError, TypeError) as error:
            raise ConfigError(f"{source}: an entry has an image and a label, each a path") from error
        entries = list({(images[0], label): (images, label) for images, label in entries}.values())
        names = case_names(root, [images[0] for images, _ in entries])
        cases, findings = collected(
            present(name, images, label) for name, (images, label) in zip(names, entries, strict=True)
        )
        labels, modality = content.get("labels", {}), content.get("modality", "")
        return DataSet(
            "monai-datalist",
            str(content.get("name", source.stem)),
            root,
            cases,
            structures_of(labels if isinstance(labels, dict) else {}, str(source)),
            modality_of(modality.values() if isinstance(modality, dict) else [modality]),
            findings=findings,
        )


def _entry(root: Path, entry: dict[str, Any]) -> tuple[tuple[Path, ...], Path]:
    images = entry["image"]
    images = images if isinstance(images, list) else [images]
    if not images:
        raise KeyError("image")
    return tuple(inside(root, image) for image in images), inside(root, entry["label"])


def _datalist(path: Path) -> Path | None:
    files = [path] if path.suffix == ".json" and path.is_file() else sorted(path.glob("*.json"))
    found = [file for file in files if any(_listed(peek(file).get(part)) for part in PARTS[:2])]
    return found[0] if len(found) == 1 else None


def _listed(part: object) -> bool:
    return isinstance(part, list) and bool(part) and isinstance(part[0], dict) and "image" in part[0]


READER = MonaiDatalistReader()

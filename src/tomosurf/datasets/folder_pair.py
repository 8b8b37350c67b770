"""Two folders side by side: images/ and labels/ (or derivatives/), matched by file name, as BIDS does.

Reference: K. Gorgolewski et al., The brain imaging data structure, Scientific Data 3:160044 (2016).
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from tomosurf.data.finding import Finding
from tomosurf.datasets.dataset import DataSet, ListedCase
from tomosurf.datasets.inside import peek
from tomosurf.datasets.listing import about, case_names, collected, image_files, modality_of, present, stem
from tomosurf.datasets.listing import structures_of as named
from tomosurf.errors import ConfigError

LABEL_FOLDERS = ("labels", "derivatives")
LABEL_WORDS = ("dseg", "seg", "mask", "label", "labels")
"""Last words of a label map's name that its image's lacks."""


class FolderPairReader:
    """``images/A.nii.gz`` and ``labels/A.nii.gz``; or BIDS, ``sub-1_T1w`` and ``derivatives/.../sub-1_dseg``."""

    title = "folder pair (BIDS-like)"

    def recognises(self, path: Path) -> bool:
        """A folder with images/ (or sub-* folders) beside labels/ or derivatives/."""
        has_images = (path / "images").is_dir() or any(path.glob("sub-*/"))
        return has_images and any((path / name).is_dir() for name in LABEL_FOLDERS)

    def read(self, path: Path) -> DataSet:
        """Pairs by equal stem; else by the BIDS entities before the last word.

        Names of labels are read from labels.json, dataset.json's ``labels``, or BIDS' dseg.tsv, where there.

        Raises:
            ConfigError: the folders aren't there.
        """
        labels = next((path / name for name in LABEL_FOLDERS if (path / name).is_dir()), None)
        if labels is None or not self.recognises(path):
            raise ConfigError(f"{path} holds no images/ (or sub-*/) beside {' or '.join(LABEL_FOLDERS)}/")
        if (path / "images").is_dir():
            images = image_files(path, path / "images")
        else:
            images = [file for folder in sorted(path.glob("sub-*/")) for file in image_files(path, folder)]
        cases, findings = _paired(path, images, image_files(path, labels))
        return DataSet(
            "folder-pair",
            path.name,
            path,
            cases,
            _structures(path, labels),
            _modality(path, images),
            findings=findings,
        )


def _paired(
    root: Path, images: Sequence[Path], labels: Sequence[Path]
) -> tuple[tuple[ListedCase, ...], tuple[Finding, ...]]:
    by_key: dict[str, list[Path]] = defaultdict(list)
    for file in labels:
        by_key[_label_key(stem(file))].append(file)
    parts: list[tuple[ListedCase | None, list[Finding]]] = []
    used: set[Path] = set()
    for name, image in zip(case_names(root, images), images, strict=True):
        candidates = by_key.get(stem(image)) or by_key.get(_entities(stem(image))) or []
        same_folder = [file for file in candidates if file.parent.name == image.parent.name]
        candidates = same_folder if len(candidates) > 1 and same_folder else candidates
        used.update(candidates)
        if len(candidates) > 1:
            told = about(
                "ambiguous_pair", "error", name, f"{len(candidates)} label maps fit it, so it wasn't used"
            )
            parts.append((None, [told]))
        else:
            parts.append(present(name, (image,), candidates[0] if candidates else None))
    orphans = [file for file in labels if file not in used]
    parts += [(None, [about("missing_pair", "error", stem(file), "it has no image")]) for file in orphans]
    return collected(parts)


def _label_key(name: str) -> str:
    return re.sub(rf"[_-]({'|'.join(LABEL_WORDS)})$", "", name)


def _entities(name: str) -> str:
    """BIDS: what stands before the last word, ``sub-1_T1w`` to ``sub-1``."""
    return name.rsplit("_", 1)[0] if name.startswith("sub-") else name


def _modality(path: Path, images: Sequence[Path]) -> str:
    """As dataset.json says; else by the last words of BIDS names."""
    told = peek(path / "dataset.json").get("modality")
    if told is not None:
        return modality_of(told.values() if isinstance(told, dict) else [told])
    return modality_of(stem(image).rsplit("_", 1)[-1] for image in images if stem(image).startswith("sub-"))


def _structures(path: Path, labels: Path) -> dict[str, tuple[int, ...]]:
    for source in (labels / "labels.json", path / "labels.json"):
        if peek(source):
            return named(peek(source), str(source))
    told = peek(path / "dataset.json").get("labels")
    if isinstance(told, dict):
        return named(told, str(path / "dataset.json"))
    tables = sorted((*path.glob("*dseg.tsv"), *labels.glob("*dseg.tsv")))
    if not tables:
        return {}
    try:
        with tables[0].open(encoding="utf-8", newline="") as file:
            rows = {row["index"].strip(): row["name"] for row in csv.DictReader(file, delimiter="\t")}
    except (OSError, KeyError, AttributeError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{tables[0]} has no columns index and name") from error
    return named(rows, str(tables[0]))


READER = FolderPairReader()

"""What the readers of all forms share: stems, pairs, names of structures, modalities."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from tomosurf.data.finding import Finding
from tomosurf.datasets.dataset import ListedCase
from tomosurf.datasets.inside import held
from tomosurf.errors import ConfigError

SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")
"""Of the images and label maps that can be read."""

_MODALITIES = {"CT": "CT", "CBCT": "CT", "MR": "MR", "MRI": "MR", "PET": "PT", "PT": "PT"}
_MR_WORDS = ("T1", "T2", "FLAIR", "PD", "DWI", "ADC")


def stem(path: Path) -> str:
    """A file's name without the suffix of its format.

    >>> stem(Path("imagesTr/hippocampus_001.nii.gz"))
    'hippocampus_001'
    """
    for suffix in SUFFIXES:
        if path.name.endswith(suffix):
            return path.name.removesuffix(suffix)
    return path.stem


def image_files(root: Path, folder: Path) -> list[Path]:
    """Every image below ``folder``, sorted; hidden ones are left out.

    Raises:
        ConfigError: one is a link out of ``root``.
    """
    found = sorted(path for path in folder.rglob("*") if path.name.endswith(SUFFIXES) and path.is_file())
    return [held(root, path) for path in found if not path.name.startswith(".")]


def case_names(root: Path, images: Sequence[Path]) -> list[str]:
    """A name for each image: its stem, or, where stems repeat, its path in the data set joined by ``__``."""
    counts = Counter(stem(path) for path in images)
    return [
        stem(path) if counts[stem(path)] == 1 else "__".join((*path.relative_to(root).parts[:-1], stem(path)))
        for path in images
    ]


def present(
    name: str, images: Sequence[Path], labels: Path | None
) -> tuple[ListedCase | None, list[Finding]]:
    """A case whose files are all there; else what is missing."""
    told = [missing(name, f"its image {path.name} isn't there") for path in images if not path.is_file()]
    if labels is None:
        told.append(missing(name, "it has no label map"))
    elif not labels.is_file():
        told.append(missing(name, f"its label map {labels.name} isn't there"))
    return (None, told) if told else (ListedCase(name, tuple(images), labels), [])


def missing(name: str, what: str) -> Finding:
    """A case that can't be used since a file of it isn't there."""
    return about("missing_pair", "error", name, f"{what}, so it wasn't used")


def about(
    check: str, severity: Literal["info", "warning", "error"], case: str, what: str, structure: str = ""
) -> Finding:
    """A finding about one case of a data set."""
    return Finding(check, severity, f"{case}: {what}.", structure, {"case": case})


def collected(
    parts: Iterable[tuple[ListedCase | None, list[Finding]]],
) -> tuple[tuple[ListedCase, ...], tuple[Finding, ...]]:
    """The cases that are there, and all findings."""
    listed = list(parts)
    return (
        tuple(case for case, _ in listed if case is not None),
        tuple(finding for _, told in listed for finding in told),
    )


def structure_name(text: str) -> str:
    """A structure's name as it can stand in a table and a file name.

    >>> structure_name("Left kidney (cortex)")
    'Left_kidney_cortex'
    """
    name = re.sub(r"[^0-9A-Za-z-]+", "_", text).strip("_-")
    if not name:
        raise ConfigError(f"{text!r} can't name a structure: it holds neither letter nor digit")
    return name


def structures_of(labels: Mapping[Any, Any], source: str) -> dict[str, tuple[int, ...]]:
    """Name to label values, in the order of their least label, background left out.

    Both ways of writing are read: value to name (decathlon), and name to value or values (nnU-Net's regions).

    Raises:
        ConfigError: neither, or two structures share a name.
    """
    found: list[tuple[str, tuple[int, ...]]] = []
    for key, entry in labels.items():
        if re.fullmatch(r"[0-9]+", str(key)) and isinstance(entry, str):
            name, values = entry, (int(key),)
        else:
            name, values = str(key), tuple(entry) if isinstance(entry, list) else (entry,)
        if not values or not all(isinstance(v, int) and 0 <= v <= 65535 for v in values):
            raise ConfigError(f"{source}: labels map numbers to names, or names to whole numbers")
        if values != (0,):
            found.append((structure_name(name), values))
    names = [name for name, _ in found]
    if len(set(names)) != len(names):
        raise ConfigError(f"{source}: two structures share a name")
    return dict(sorted(found, key=lambda entry: (min(entry[1]), entry[0])))


def modality_of(words: Iterable[object]) -> str:
    """ "CT", "MR" or "PT" when all words say the same, else "".

    >>> modality_of(["MRI"]), modality_of(["T1w", "FLAIR"]), modality_of(["CT", "PET"])
    ('MR', 'MR', '')
    """
    said = set()
    for word in words:
        text = str(word).upper().strip()
        said.add(_MODALITIES.get(text) or ("MR" if text.startswith(_MR_WORDS) else ""))
    return said.pop() if len(said) == 1 else ""

"""Labelled images in the form of the Medical Segmentation Decathlon: dataset.json, imagesTr, labelsTr.

Reference: M. Antonelli et al., The Medical Segmentation Decathlon, Nature Communications 13:4128 (2022).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.volume import Volume
from tomosurf.datasets.dataset import ListedCase
from tomosurf.datasets.decathlon import READER
from tomosurf.errors import ConfigError, DataError
from tomosurf.image_file import read_labels, read_volume


@dataclass(frozen=True, slots=True, eq=False)
class LabelledCase:
    """One image with the labels that people drew: (ni, nj, nk) uint8 on the image's grid."""

    name: str
    volume: Volume
    labels: NDArray[np.uint8]


def read_cases(folder: Path, modality: str) -> tuple[LabelledCase, ...]:
    """All labelled cases of a data set, in the order of their names.

    Raises:
        ConfigError: no dataset.json, an entry that points outside the folder, or a file that isn't there.
        InputRefused: an image or a label map can't be read or placed.
        DataError: an image and its labels lie on different grids, or a label is above 255.
    """
    found = READER.read(folder)
    if found.findings:
        raise ConfigError(f"{folder}: {' '.join(finding.message for finding in found.findings[:3])}")
    return tuple(_read_case(case, modality) for case in found.cases)


def dealt(names: Sequence[str], folds: int, seed: int) -> dict[str, int]:
    """Case to its fold, by the order of the names' seeded hashes: the same on every machine; sizes differ by one.

    Raises:
        ConfigError: there are fewer cases than folds.
    """
    if len(names) < folds:
        raise ConfigError(f"{len(names)} cases can't be dealt out to {folds} folds")
    shuffled = sorted(names, key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).hexdigest())
    return {name: number % folds for number, name in enumerate(shuffled)}


def _read_case(listed: ListedCase, modality: str) -> LabelledCase:
    image_path, label_path = (*listed.images, *listed.references)
    volume, drawn = read_volume(image_path, modality), read_labels(label_path)
    if not volume.geometry.coincides(drawn.geometry):
        raise DataError(f"{label_path.name} doesn't lie on the grid of its image")
    if drawn.labels.dtype != np.uint8:
        raise DataError(f"{label_path.name} holds labels above 255")
    return LabelledCase(listed.name, volume, drawn.labels)

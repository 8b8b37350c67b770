"""nnU-Net's raw form: imagesTr/CASE_0000.nii.gz, one file a channel, labelsTr/CASE.nii.gz, dataset.json.

Reference: F. Isensee et al., nnU-Net, Nature Methods 18:203 (2021); documentation/dataset_format.md of version 2.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

from tomosurf.data.finding import Finding
from tomosurf.datasets.dataset import DataSet, ListedCase
from tomosurf.datasets.inside import held, peek, read_json
from tomosurf.datasets.listing import SUFFIXES, about, missing, modality_of, present, structures_of
from tomosurf.errors import ConfigError

FILE, IMAGES, LABELS = "dataset.json", "imagesTr", "labelsTr"
IGNORE = "ignore"


class NNUNetRawReader:
    """``channel_names``, ``labels`` and ``file_ending`` in dataset.json; files found by their names."""

    title = "nnU-Net raw"

    def recognises(self, path: Path) -> bool:
        """A folder whose dataset.json has ``channel_names`` and ``file_ending``."""
        return {"channel_names", "file_ending"} <= set(peek(path / FILE))

    def read(self, path: Path) -> DataSet:
        """Every case that has an image in imagesTr or a label map in labelsTr.

        Raises:
            ConfigError: dataset.json lacks a key, or files end as nothing that can be read.
        """
        content = read_json(path / FILE)
        ending, channels = content.get("file_ending"), content.get("channel_names")
        if ending not in SUFFIXES or not isinstance(channels, dict) or not channels:
            raise ConfigError(
                f"{path / FILE}: nnU-Net's form needs channel_names, and a file_ending of {', '.join(SUFFIXES)}"
            )
        labels = content.get("labels")
        labels = dict(labels) if isinstance(labels, dict) else {}
        ignored = labels.pop(IGNORE, None)
        if "dataset" in content:
            raise ConfigError(
                f"{path / FILE}: lists its files under 'dataset'; put them into {IMAGES}, {LABELS}"
            )
        cases, findings = _pairs(path, ending, len(channels))
        return DataSet(
            "nnunet-raw",
            str(content.get("name", path.name)),
            path,
            cases,
            structures_of(labels, str(path / FILE)),
            modality_of(channels.values()),
            ignored if isinstance(ignored, int) else None,
            findings,
        )


def _pairs(path: Path, ending: str, channels: int) -> tuple[tuple[ListedCase, ...], tuple[Finding, ...]]:
    images: dict[str, dict[int, Path]] = defaultdict(dict)
    findings: list[Finding] = []
    for file in _files(path, IMAGES, ending):
        match = re.fullmatch(r"(.+)_([0-9]{4})", file.name.removesuffix(ending))
        if match is None:
            findings.append(about("missing_pair", "error", file.name, "its name doesn't end in _0000"))
            continue
        images[match[1]][int(match[2])] = file
    labels = {file.name.removesuffix(ending): file for file in _files(path, LABELS, ending)}
    cases = []
    for name in sorted({*images, *labels}):
        given = images.get(name, {})
        if sorted(given) != list(range(channels)):
            findings.append(missing(name, f"it has {len(given)} of {channels} images"))
            continue
        case, told = present(name, [given[n] for n in range(channels)], labels.get(name))
        cases += [] if case is None else [case]
        findings += told
    return tuple(cases), tuple(findings)


def _files(path: Path, folder: str, ending: str) -> list[Any]:
    return [held(path, file) for file in sorted((path / folder).glob(f"*{ending}")) if file.is_file()]


READER = NNUNetRawReader()

"""The form of TotalSegmentator's data set: one folder a case, ct.nii.gz, segmentations/<structure>.nii.gz.

Reference: J. Wasserthal et al., TotalSegmentator, Radiology: Artificial Intelligence 5:e230024 (2023).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tomosurf.data.finding import Finding
from tomosurf.datasets.dataset import DataSet, ListedCase
from tomosurf.datasets.inside import held
from tomosurf.datasets.listing import about, image_files, missing, stem, structure_name
from tomosurf.errors import ConfigError

IMAGES = {"ct.nii.gz": "CT", "mri.nii.gz": "MR"}
MASKS = "segmentations"


class TotalSegmentatorReader:
    """``s0001/ct.nii.gz`` and ``s0001/segmentations/liver.nii.gz``: a mask a structure."""

    title = "TotalSegmentator"

    def recognises(self, path: Path) -> bool:
        """A folder with a case in it."""
        return path.is_dir() and any(path.glob(f"*/{MASKS}/"))

    def read(self, path: Path) -> DataSet:
        """Every folder with an image or with masks; a structure that only some cases have is named.

        Raises:
            ConfigError: no case, or images of CT and MR together.
        """
        cases: list[ListedCase] = []
        findings: list[Finding] = []
        kinds: set[str] = set()
        for folder in sorted(entry for entry in path.iterdir() if entry.is_dir() and entry.name[0] != "."):
            held(path, folder)
            image = next((folder / name for name in IMAGES if (folder / name).is_file()), None)
            masks = {structure_name(stem(file)): file for file in image_files(path, folder / MASKS)}
            if image is None and not masks:
                continue
            if image is None or not masks:
                findings.append(
                    missing(folder.name, "it has no image" if image is None else "it has no masks")
                )
                continue
            kinds.add(IMAGES[image.name])
            cases.append(ListedCase(folder.name, (held(path, image),), masks=masks))
        if not cases or len(kinds) > 1:
            raise ConfigError(
                f"{path} holds no case, or CT and MR together; a case has {' or '.join(IMAGES)}"
            )
        names = sorted({name for case in cases for name in case.masks})
        findings += _lacking(cases, names)
        return DataSet(
            "totalsegmentator",
            path.name,
            path,
            tuple(cases),
            dict.fromkeys(names, ()),
            kinds.pop(),
            findings=tuple(findings),
        )


def _lacking(cases: Sequence[ListedCase], names: Sequence[str]) -> list[Finding]:
    """The structures that only other cases have."""
    what = "this structure has no mask here, so it wasn't scored"
    return [
        about("missing_mask", "warning", case.name, what, name)
        for case in cases
        for name in names
        if name not in case.masks
    ]


READER = TotalSegmentatorReader()

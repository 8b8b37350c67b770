"""``tomosurf volume``: volumes only, one NIfTI file a series, and ingest.json."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from tomosurf.console import Console

if TYPE_CHECKING:
    from tomosurf.data.volume import Volume

HELP = "write one NIfTI volume a series, and ingest.json with what was refused and why"


def configure(parser: ArgumentParser) -> None:
    """Arguments of ``volume``."""
    parser.add_argument("input", type=Path, help="folder (any depth), one file, or a ZIP")
    parser.add_argument("-o", "--output", type=Path, required=True, help="where the files are written")


def execute(arguments: Namespace, console: Console) -> int:
    """Write the volumes; exit code 3 when there is none."""
    from tomosurf.ingest.read import read
    from tomosurf.pipeline import build_volumes

    volumes: list[dict[str, Any]] = []
    with TemporaryDirectory(prefix="tomosurf-") as workspace, console.progress() as progress:
        intake = read(arguments.input, progress, workspace=Path(workspace))
        refused = list(intake.refused)
        arguments.output.mkdir(parents=True, exist_ok=True)
        for study in intake.studies:
            for series in study.series:
                built, more = build_volumes([series], progress)
                refused += more
                volumes += [_write(volume, arguments.output) for volume in built.values()]
    document = {
        "volumes": volumes,
        "refused": [notice.as_dict() for notice in refused],
        "skipped": [notice.as_dict() for notice in intake.skipped],
        "warnings": [notice.as_dict() for notice in intake.warnings],
    }
    _write_text(arguments.output / "ingest.json", json.dumps(document, indent=2) + "\n")
    console.emit(document)
    rows = [
        [
            v["file"],
            v["modality"],
            " x ".join(map(str, v["shape"])),
            f"{v['min']:g} .. {v['max']:g}",
            v["unit"],
        ]
        for v in volumes
    ]
    console.table("Volumes", ["file", "modality", "voxels", "values", "unit"], rows)
    for notice in refused:
        console.warn(f"refused: {notice.code}: {notice.message} {notice.advice}".rstrip())
    return 0 if volumes else 3


def _write(volume: Volume, output: Path) -> dict[str, Any]:
    """Write one volume and describe it; the file appears whole or not at all."""
    from tomosurf.registry import EXPORTERS

    exporter = EXPORTERS.load("nifti")
    name = f"{volume.series}{exporter.suffix}"
    partial = output / f".partial-{name}"
    try:
        exporter.write(volume, partial)
        partial.replace(output / name)
    finally:
        partial.unlink(missing_ok=True)
    about = volume.geometry.as_dict()
    return {
        "file": name,
        "series": volume.series,
        "shape": about["shape"],
        "affine_lps": about["affine_lps"],
        "orthogonal": about["orthogonal"],
        "modality": volume.modality,
        "unit": volume.unit,
        "min": float(volume.array.min()),
        "max": float(volume.array.max()),
        "slices": volume.array.shape[2],
        "phase": None,
        "ledger": [entry.as_dict() for entry in volume.ledger],
    }


def _write_text(path: Path, text: str) -> None:
    partial = path.with_name(f".partial-{path.name}")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)

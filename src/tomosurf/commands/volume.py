"""``tomosurf volume``: volumes only, one NIfTI file a series, and ingest.json."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tomosurf.commands.run import add_policy
from tomosurf.console import Console
from tomosurf.whole_file import whole_file

if TYPE_CHECKING:
    from tomosurf.data.series import Intake
    from tomosurf.data.volume import Volume
    from tomosurf.deidentify.mask import Mask

HELP = "write one NIfTI volume a series, and ingest.json with what was refused and why"


def configure(parser: ArgumentParser) -> None:
    """Arguments of ``volume``."""
    parser.add_argument("input", type=Path, help="folder (any depth), one file, or a ZIP")
    parser.add_argument("-o", "--output", type=Path, required=True, help="where the files are written")
    add_policy(parser)
    parser.add_argument(
        "--deidentify",
        action="store_true",
        help="digests that nobody can trace back or confirm, and no names of files",
    )
    parser.add_argument(
        "--rectify", action="store_true", help="resample stacks that lean (tilted gantry) onto right angles"
    )


def execute(arguments: Namespace, console: Console) -> int:
    """Write the volumes; exit code 3 when there is none."""
    from tomosurf.ingest.read import opened
    from tomosurf.pipeline import build_volumes

    mask: Mask | None = None
    volumes: list[dict[str, Any]] = []
    with console.progress() as progress, opened(arguments.input, progress) as intake:
        if arguments.deidentify:
            mask = _mask_of(intake)
        refused = list(intake.refused)
        arguments.output.mkdir(parents=True, exist_ok=True)
        for study in intake.studies:
            for series in study.series:
                built, more = build_volumes([series], progress, arguments.policy, rectified=arguments.rectify)
                refused += more
                volumes += [_write(volume, arguments.output, mask) for volume in built.values()]
    notices = {"refused": refused, "skipped": intake.skipped, "warnings": intake.warnings}
    document = {
        "volumes": volumes,
        **{
            kind: [(mask.notice(one) if mask else one).as_dict() for one in several]
            for kind, several in notices.items()
        },
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
    for volume in volumes:
        for entry in volume["ledger"]:
            console.say(f"  {volume['file']}: {entry['code']}: {entry['message']}")
    for notice in refused:
        console.warn(f"refused: {notice.code}: {notice.message} {notice.advice}".rstrip())
    return 0 if volumes else 3


def _mask_of(intake: Intake) -> Mask:
    """A mask over every file of an intake."""
    from tomosurf.deidentify.mask import Mask, names_of

    taken = {i.name for study in intake.studies for series in study.series for i in series.instances}
    return Mask(taken | names_of((*intake.refused, *intake.skipped, *intake.warnings)))


def _write(volume: Volume, output: Path, mask: Mask | None) -> dict[str, Any]:
    """Write one volume and describe it; the file appears whole or not at all."""
    from tomosurf.registry import EXPORTERS

    if mask is not None:
        volume = replace(volume, series=mask.digest(volume.series))
    exporter = EXPORTERS.load("nifti")
    name = f"{volume.series}{exporter.suffix}"
    with whole_file(output / name) as partial:
        exporter.write(volume, partial)
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
        "phase": volume.phase or None,
        "ledger": [entry.as_dict() for entry in volume.ledger],
    }


def _write_text(path: Path, text: str) -> None:
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")

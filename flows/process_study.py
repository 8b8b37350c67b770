"""The flow process-study: a folder, file or ZIP of DICOM slices to case folders."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from prefect import flow

from tomosurf.data.face import FacePolicy
from tomosurf.data.volume import Policy
from tomosurf.errors import InputRefused

from . import tasks


@flow(name="process-study")
def process_study(
    path: str,
    output: str,
    protocols: Sequence[str] = (),
    device: str = "auto",
    policy: Policy = "strict",
    face: FacePolicy = "refuse",
) -> list[str]:
    """Run the whole job on ``path``; returns the case folders.

    Args:
        path: folder, file or ZIP of DICOM slices.
        output: where case folders are made; ``ingest.json`` beside them says what was refused or skipped.
        protocols: names or YAML files; none means every shipped protocol that fits.
        device: "auto", "cpu" or "cuda".
        policy: "strict" refuses stacks with missing slices or uneven steps, "repair" interpolates within limits.
        face: a skin that shows a face: "refuse" leaves it out, "blunt" writes it without features, "keep" as it is.

    Raises:
        InputRefused: nothing usable; the message counts the codes and names the file that says more.
    """
    target = Path(output)
    target.mkdir(parents=True, exist_ok=True)
    folders = []
    with TemporaryDirectory(prefix=".work-", dir=target) as work:
        plans = tasks.ingest(path, list(protocols), work, policy)
        notices = (Path(work) / "ingest.json").replace(target / "ingest.json")
        for plan in plans:
            jobs = json.loads(Path(plan).read_text(encoding="utf-8"))["jobs"]
            parts = []
            for number, job in enumerate(jobs):
                found = tasks.segment(job, f"{plan}.{number}.npz", device)
                parts.append(tasks.surface(job, found, face))
            tasks.tell_refused(notices, parts)
            if any("scene" in part for part in parts):
                folders.append(tasks.export_and_report(plan, parts, output, device, face))
    if not folders:
        raise _nothing_usable(notices)
    return folders


def _nothing_usable(notices: Path) -> InputRefused:
    """The refusal, in words that may stand in Prefect's database: codes and counts, no file names."""
    refused = json.loads(notices.read_text(encoding="utf-8"))["refused"]
    codes = sorted({notice["code"] for notice in refused}) or ["no_dicom"]
    return InputRefused(
        codes[0], f"nothing usable in the input ({', '.join(codes)})", advice=f"see {notices}"
    )

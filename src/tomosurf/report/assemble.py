"""The last step of a case: pictures, report and manifest into its folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tomosurf.case_folder import REPORT, CaseFolder, picture_name
from tomosurf.config import Protocol
from tomosurf.data.case import Case
from tomosurf.data.manifest import Artifact, Manifest
from tomosurf.errors import RenderingUnavailable
from tomosurf.progress import Progress, silent
from tomosurf.report import pictures as drawing
from tomosurf.report.html import page
from tomosurf.report.manifest import manifest_of

NOT_ASKED_FOR = "pictures were switched off for this run"


def report_case(
    case: Case,
    protocols: Sequence[Protocol],
    artifacts: Sequence[Artifact],
    folder: CaseFolder,
    pictures: bool = True,
    progress: Progress = silent,
) -> Manifest:
    """Draw the pictures, write the report, and seal the folder with its manifest.

    Without an OpenGL library there are no pictures; the report says so and what to install.

    Args:
        case: with findings and measurements.
        protocols: those that were run.
        artifacts: what :func:`tomosurf.case_folder.write_case` wrote.
        folder: the folder in the making.
        pictures: False draws none.
        progress: told "report" and how much of it is done.

    Raises:
        DataError: a part of the case has no file or wasn't measured.
    """
    progress("report", 0.0)
    drawn, trouble = _draw(case) if pictures else ((), NOT_ASKED_FOR)
    progress("report", 0.8)
    files = [*artifacts]
    for picture in drawn:
        name = picture_name(picture.view)
        folder.path(name).write_bytes(picture.png)
        files.append(folder.artifact(name, "picture", format="png"))
    manifest = manifest_of(case, files, protocols)
    folder.path(REPORT).write_text(page(manifest, drawn, trouble), encoding="utf-8", newline="\n")
    outputs = (*manifest.outputs, folder.artifact(REPORT, "report", format="html"))
    manifest = replace(manifest, outputs=tuple(sorted(outputs, key=lambda artifact: artifact.path)))
    folder.seal(manifest)
    progress("report", 1.0)
    return manifest


def _draw(case: Case) -> tuple[tuple[drawing.Picture, ...], str]:
    """The pictures, or why there are none."""
    try:
        return drawing.render(case.scene), ""
    except RenderingUnavailable as error:
        return (), str(error)

"""Does a surface show the patient's face?"""

from __future__ import annotations

from tomosurf.data.case import Case
from tomosurf.data.face import FaceAction
from tomosurf.data.finding import Finding, Severity

_TOLD: dict[FaceAction, tuple[Severity, str]] = {
    "withheld": (
        "warning",
        "its surface wasn't written; --face blunt writes it without features where the head is found, "
        "--face keep as it is",
    ),
    "blunted": (
        "info",
        "its surface has a smooth shield before the face; brow, cranium and back are unchanged",
    ),
    "kept": ("warning", "its surface was written as it is (--face keep)"),
}


def check(case: Case) -> list[Finding]:
    """Tell of each outline of the body that holds a head: its surface is a face.

    What a surgeon should make of it: a face identifies a person as a photograph does. The volume, and the label map
    unless it was blunted, carry the face in any case; pass them on as you would a name.
    """
    findings = []
    for face in case.scene.faces:
        severity, done = _TOLD[face.action]
        carriers = "The volume still carries" if face.action == "blunted" else "Volume and label map carry"
        message = (
            f"{face.segment} holds {face.reason}: it shows a face, or may, and identifies the patient; {done}. "
            f"{carriers} the face: pass them on as you would a name."
        )
        findings.append(Finding("face", severity, message, face.segment, {"action": face.action}))
    return findings

"""Did every piece of every structure reach its surface?"""

from __future__ import annotations

import re

from tomosurf.data.case import Case
from tomosurf.data.finding import Finding, Severity
from tomosurf.data.segmentation import Segment
from tomosurf.data.survival import Loss

CRUMB_MM3 = 10.0
"""A piece smaller than this, of a structure without a role, is told as an information when it vanishes."""

PAIR_SHARE = 0.05
"""Least volume of a paired organ's second piece, as a share of the first; what is smaller is a crumb beside one."""

_WHERE = {
    "labels": "on the way from the segmenter's grid to the scan's",
    "clean-up": "in the clean-up that its protocol or model asks for",
    "surface": "when its surface was made",
    "decimation": "when its surface was thinned",
}
_SIDED = re.compile(r"(^|[_-])(left|right|l|r)([_-]|$)")


def check(case: Case) -> list[Finding]:
    """Report pieces that vanished, merged, parted or grew too thin between segmenter and surface, lighter ones too.

    An error where a piece of a lesion, one of a paired organ's two pieces or the whole of a sided organ is gone; a
    warning for other losses; an information for what a clean-up rule asked to drop, and for crumbs.

    What a surgeon should make of it: something that the segmenter saw is not on the surface, or two things became
    one there. Look at the place in the images before trusting that the structure ends there.
    """
    segments = {segment.name: segment for segment in case.segments}
    losses = [("", loss) for loss in case.scene.losses]
    for budget, scene in case.lighter.items():
        losses += [(budget, loss) for loss in scene.losses if loss not in case.scene.losses]
    findings = [
        _told(loss, segments[loss.segment], budget) for budget, loss in losses if loss.segment in segments
    ]
    return findings + _single(case)


def _single(case: Case) -> list[Finding]:
    """Paired organs of which only one piece has a surface."""
    findings = []
    for segment in case.segments:
        measured = case.measurements.get(segment.name)
        if segment.role == "paired" and measured is not None and measured.components == 1:
            message = (
                f"{segment.name} is a paired organ, and its surface is a single piece: one of the two wasn't "
                "found, or both touch. Look for the other in the images."
            )
            findings.append(Finding("survival", "warning", message, segment.name, {"components": 1}))
    return findings


def _told(loss: Loss, segment: Segment, budget: str) -> Finding:
    """One loss as a finding; ``budget`` names the lighter scene that it concerns, "" all of them."""
    severity = _severity(loss, segment)
    place = ", ".join(f"{value:.0f}" for value in loss.pieces[0].centre)
    size = f"{loss.volume_mm3:,.1f} mm3"
    first = f"the largest of {loss.pieces[0].volume_mm3:,.1f} mm3 at LPS {place} mm"
    pieces = f"{loss.count} piece{'' if loss.count == 1 else 's'}"
    what = {
        "vanished": f"lost {pieces} ({size}, {first})",
        "merged": f"had {pieces} that became one ({first})",
        "parted": f"had {pieces} that fell apart ({first})",
        "thinned": f"lost {loss.count} part{'' if loss.count == 1 else 's'} of a piece ({size}, {first})",
    }[loss.kind]
    message = f"{segment.name} {what} {_WHERE[loss.stage]}{f' for {budget}' if budget else ''}."
    if severity != "info":
        message += (
            " The full surface still has it: use that." if budget else " Look at that place in the images."
        )
    return Finding("survival", severity, message, segment.name, {**loss.as_dict(), "budget": budget})


def _severity(loss: Loss, segment: Segment) -> Severity:
    """How bad a loss is for this structure."""
    if loss.kind == "vanished" and _precious(loss, segment):
        return "error"
    if loss.kind == "merged" and segment.role == "paired" and {0, 1} <= {piece.rank for piece in loss.pieces}:
        return "error"
    if loss.stage == "clean-up" and loss.kind != "merged":
        return "info"
    crumbs = loss.kind == "vanished" and loss.pieces[0].volume_mm3 < CRUMB_MM3
    return "info" if crumbs and not segment.role else "warning"


def _precious(loss: Loss, segment: Segment) -> bool:
    """Whether what vanished must not: of a lesion anything, of an organ with a side all, of a pair one of both."""
    if segment.role == "lesion":
        return True
    if segment.role == "paired":
        least = PAIR_SHARE * loss.largest_mm3
        return any(0 <= piece.rank <= 1 and piece.volume_mm3 >= least for piece in loss.pieces)
    return loss.remaining == 0 and _SIDED.search(segment.name.lower()) is not None

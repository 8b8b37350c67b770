"""Is a surface still where its segmentation says that the boundary is?"""

from __future__ import annotations

from tomosurf.data.case import Case
from tomosurf.data.finding import Finding
from tomosurf.data.mesh import SurfaceMesh

MOST_MM = 1.0
"""Largest total error in mm where a protocol names none."""


def check(case: Case, most_mm: float = MOST_MM) -> list[Finding]:
    """Report surfaces whose total error is above what their protocol allows as errors, the lighter ones too.

    The total adds what contouring, thinning and rounding did, each measured at its worst point
    (:class:`tomosurf.data.budget.ErrorBudget`). What the segmentation can't know between its voxels isn't in it.

    What a surgeon should make of it: somewhere this surface is farther from the segmented boundary than allowed;
    distances and fits taken from it can be wrong by that much. Use the full surface instead of a lighter one, or
    ask for finer images.
    """
    findings = []
    for budget, scene in (("", case.scene), *case.lighter.items()):
        for mesh in scene.meshes:
            allowed = case.most_error_mm.get(mesh.segment.name, most_mm)
            if mesh.error is not None and mesh.error.total.max_mm > allowed:
                findings.append(_finding(mesh, budget, allowed))
    return findings


def _finding(mesh: SurfaceMesh, budget: str, allowed: float) -> Finding:
    error = mesh.error
    total = 0.0 if error is None else error.total.max_mm
    worst = "" if error is None else max(error.steps, key=lambda step: step.distances.max_mm).step
    which = f" for {budget}" if budget else ""
    message = (
        f"The surface of {mesh.segment.name}{which} may be {total:.2f} mm from the segmented boundary, more than "
        f"the {allowed:g} mm allowed (most of it: {worst})."
    )
    data = {"budget": budget, "total_mm": total, "allowed_mm": allowed, "step": worst}
    return Finding("total_error", "error", message, mesh.segment.name, data)

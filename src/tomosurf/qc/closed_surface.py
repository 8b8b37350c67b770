"""Does every surface enclose a body?"""

from __future__ import annotations

from tomosurf.data.case import Case
from tomosurf.data.finding import Finding
from tomosurf.data.mesh import Measurements


def check(case: Case) -> list[Finding]:
    """Report surfaces that are open, not 2-manifold, inside out or unmeasured as errors.

    What a surgeon should make of it: such a surface has no inside, so its volume means nothing, a printer's
    slicer will guess, and a cut or a drill guide made from it can come out wrong. Don't use that structure;
    report it, since tomosurf's own surfaces are closed by construction.
    """
    findings = []
    for mesh in case.scene.meshes:
        name = mesh.segment.name
        measured = case.measurements.get(name)
        faults = ["wasn't measured"] if measured is None else _faults(measured)
        if faults:
            message = f"The surface of {name} {' and '.join(faults)}. Don't use it; report it as a bug."
            findings.append(Finding("closed_surface", "error", message, name))
    return findings


def _faults(measured: Measurements) -> list[str]:
    """What is wrong with a surface, as ends of a sentence."""
    faults = []
    if not measured.closed:
        faults.append("has holes, or edges where more than two triangles meet or face opposite ways")
    elif not measured.manifold:
        faults.append("touches itself in a point")
    if measured.volume_mm3 <= 0:
        faults.append("encloses no volume or is turned inside out")
    return faults

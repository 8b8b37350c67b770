"""Is every structure that was asked for really there?"""

from __future__ import annotations

from tomosurf.data.case import Case
from tomosurf.data.finding import Finding
from tomosurf.qc.voxels import voxel_counts


def check(case: Case) -> list[Finding]:
    """Report every structure without a voxel, or with voxels but without a surface, as an error.

    What a surgeon should make of it: the structure was looked for and not found. Either it lies outside the
    images, or the method doesn't fit them (contrast, sequence, implant). Its absence from the scene says
    nothing about the patient. No empty file is written for it. A surface that was
    withheld because it shows a face counts as there.
    """
    findings = []
    surfaces = {mesh.segment.name for mesh in case.scene.meshes if len(mesh.faces)}
    surfaces |= {face.segment for face in case.scene.faces if face.action == "withheld"}
    for segmentation in case.segmentations:
        counts = voxel_counts(segmentation)
        for segment in segmentation.segments:
            voxels = counts[segment.label]
            if voxels and segment.name in surfaces:
                continue
            if voxels:
                fault = f"{segment.name} has {voxels} voxels but no surface"
            else:
                fault = f"{segment.name} was looked for and not found: not a single voxel"
            message = f"{fault}. Check that the images show it and that the protocol fits them."
            data = {"voxels": voxels, "protocol": segmentation.protocol}
            findings.append(Finding("structure_present", "error", message, segment.name, data))
    return findings

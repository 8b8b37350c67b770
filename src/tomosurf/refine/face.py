"""What becomes of structures that show a face, before surfaces are made of them."""

from __future__ import annotations

from tomosurf.data.face import Face, FaceAction, FacePolicy
from tomosurf.data.segmentation import Segmentation
from tomosurf.refine.blunt import blunt
from tomosurf.refine.head import find_head, may_show_face

_ACTIONS: dict[FacePolicy, FaceAction] = {"refuse": "withheld", "blunt": "blunted", "keep": "kept"}

BY_HEADER = "a head, as the header says, though none was found"


def guard_faces(segmentation: Segmentation, policy: FacePolicy) -> tuple[Segmentation, tuple[Face, ...]]:
    """The segmentation to make surfaces of, and which of its structures show a face, or may.

    "blunt" puts a shield before the face in labels and margin; otherwise the segmentation stays as it is, and
    whoever makes files of its surfaces leaves out those that are "withheld". Where the header said that the head
    was imaged (``provenance["head_by_header"]``) and none is found in an outline, it may show a face all the same:
    it is withheld, under "blunt" too, for nobody knows where a shield belongs.
    """
    by_header = bool(segmentation.provenance.get("head_by_header"))
    faces = []
    for segment in segmentation.segments:
        if not may_show_face(segment):
            continue
        head = find_head(segmentation, segment.label)
        if head is not None:
            faces.append(Face(segment.name, _ACTIONS[policy], head.reason))
            if policy == "blunt":
                segmentation = blunt(segmentation, segment.label, head)
        elif by_header:
            faces.append(Face(segment.name, "kept" if policy == "keep" else "withheld", BY_HEADER))
    return segmentation, tuple(faces)

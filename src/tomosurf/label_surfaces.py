"""A label map, anyone's, to surfaces: faces guarded, contoured, with their errors and losses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from tomosurf.data.case import Case
from tomosurf.data.face import FacePolicy
from tomosurf.data.mesh import Scene
from tomosurf.data.segmentation import Segmentation
from tomosurf.gather import lighter_scenes
from tomosurf.progress import Progress, silent

if TYPE_CHECKING:
    from tomosurf.surface.decimate import Target


@dataclass(frozen=True, slots=True, eq=False)
class Surfaces:
    """What one job gives: the label map (its margins dropped) and the surfaces."""

    segmentation: Segmentation
    scene: Scene


def surfaces_of_labels(
    segmentation: Segmentation, progress: Progress = silent, face: FacePolicy = "refuse"
) -> Surfaces:
    """Surfaces of a label map as it is, without clean-up, with errors, losses and faces."""
    from tomosurf.refine.face import guard_faces
    from tomosurf.surface.error import with_errors
    from tomosurf.surface.extract import extract
    from tomosurf.survival import lost_to_surfaces

    guarded, faces = guard_faces(segmentation, face)
    scene = with_errors(extract(guarded, progress), guarded)
    scene = replace(scene, losses=lost_to_surfaces(guarded, scene), faces=faces)
    return Surfaces(guarded.without_margins(), shown(scene))


def case_of_labels(
    segmentation: Segmentation,
    progress: Progress = silent,
    face: FacePolicy = "refuse",
    targets: Mapping[str, Target] = MappingProxyType({}),
) -> Case:
    """A label map without its images as a case: surfaces, measured and checked; no study, no files.

    ``targets`` names lighter scenes to make beside the full one. An error that a target allows comes on top of
    what the check of errors allows.
    """
    from tomosurf.qc.run import run_checks
    from tomosurf.qc.total_error import MOST_MM
    from tomosurf.surface.describe import basis_of, describe, reliability_of
    from tomosurf.surface.measure import measure

    made = surfaces_of_labels(segmentation, progress, face)
    scene = describe(made.scene, made.segmentation, None)
    basis = basis_of(made.segmentation)
    allowed = MOST_MM + max((target.max_error_mm or 0.0 for target in targets.values()), default=0.0)
    case = Case(
        "",
        "",
        segmentations=(made.segmentation,),
        scene=scene,
        measurements={mesh.segment.name: measure(mesh) for mesh in scene.meshes},
        reliability={mesh.segment.name: reliability_of(mesh, basis) for mesh in scene.meshes},
        lighter=lighter_scenes(scene, [made.segmentation], targets),
        most_error_mm={mesh.segment.name: allowed for mesh in scene.meshes},
    )
    return replace(case, findings=run_checks(case))


def shown(scene: Scene) -> Scene:
    """``scene`` without the surfaces that are withheld."""
    withheld = {face.segment for face in scene.faces if face.action == "withheld"}
    return replace(scene, meshes=tuple(mesh for mesh in scene.meshes if mesh.segment.name not in withheld))

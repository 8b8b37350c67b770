"""Several jobs' results as one case: names and labels made unique, surfaces measured, identity computed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tomosurf import __version__
from tomosurf.config import Protocol
from tomosurf.data.adjacency import Adjacency
from tomosurf.data.case import Case, InputFile
from tomosurf.data.face import Face, FacePolicy
from tomosurf.data.mesh import Reliability, Scene, SurfaceMesh
from tomosurf.data.segmentation import Segmentation
from tomosurf.data.survival import Loss
from tomosurf.data.volume import Policy, Volume

if TYPE_CHECKING:
    from tomosurf.surface.decimate import Target

SIDES: Mapping[str, str] = {"L": "left", "R": "right"}
"""DICOM Laterality (0020,0060) in words."""

Result = tuple[Protocol, Segmentation, Scene]


def gather(case: Case, results: Sequence[Result]) -> Case:
    """``case`` with the segmentations, scene and measurements of ``results``, all that is known at each vertex.

    A structure that two jobs found under one name gets its side from the series' Laterality (``_left``,
    ``_right``), else a number (``_2``). Labels count on from one job to the next.
    """
    from tomosurf.surface.decimate import Target
    from tomosurf.surface.describe import basis_of, describe, reliability_of
    from tomosurf.surface.lighter import BUDGETS
    from tomosurf.surface.measure import measure

    segmentations: list[Segmentation] = []
    meshes: list[SurfaceMesh] = []
    volumes = {volume.series: volume for volume in case.volumes}
    reliability: dict[str, Reliability] = {}
    losses: list[Loss] = []
    faces: list[Face] = []
    adjacency: list[Adjacency] = []
    may_be_cut: set[str] = set()
    most_error: dict[str, float] = {}
    names = _names(case.volumes, results)
    top = 0
    for (protocol, segmentation, scene), renaming in zip(results, names, strict=True):
        renamed = segmentation.renamed(renaming, top)
        by_label = {segment.label - top: segment for segment in renamed.segments}
        segmentations.append(renamed)
        faces += [replace(face, segment=renaming[face.segment]) for face in scene.faces]
        adjacency += [
            replace(pair, first=renaming[pair.first], second=renaming[pair.second])
            for pair in scene.adjacency
        ]
        losses += [replace(loss, segment=renaming[loss.segment]) for loss in scene.losses]
        described = describe(scene, segmentation, volumes.get(segmentation.series))
        own = [replace(mesh, segment=by_label[mesh.segment.label]) for mesh in described.meshes]
        reliability |= {mesh.segment.name: reliability_of(mesh, basis_of(segmentation)) for mesh in own}
        meshes += own
        may_be_cut |= {renaming[name] for name in protocol.field_of_view if name in renaming}
        most_error |= {segment.name: protocol.max_total_error_mm for segment in renamed.segments}
        top = max((segment.label for segment in renamed.segments), default=top)
    geometry = case.volumes[0].geometry if case.volumes else None
    asked = dict.fromkeys(str(budget) for protocol, _, _ in results for budget in protocol.budgets)
    budgets = {budget: Target(BUDGETS[budget]) for budget in asked}
    gathered = Scene(tuple(meshes), geometry, tuple(losses), tuple(faces), tuple(adjacency))
    return replace(
        case,
        segmentations=tuple(segmentations),
        scene=gathered,
        measurements={mesh.segment.name: measure(mesh) for mesh in meshes},
        reliability=reliability,
        may_be_cut=frozenset(may_be_cut),
        lighter=lighter_scenes(gathered, segmentations, budgets),
        most_error_mm=most_error,
    )


def lighter_scenes(
    scene: Scene, segmentations: Sequence[Segmentation], targets: Mapping[str, Target]
) -> dict[str, Scene]:
    """``scene`` within each target, by the same names; its losses go on with what vanished by thinning."""
    from tomosurf.surface.lighter import lighter
    from tomosurf.survival import lost_to_thinning

    scenes = {}
    for name, target in targets.items():
        thinned = lighter(scene, target)
        losses = (*scene.losses, *lost_to_thinning(segmentations, scene, thinned))
        scenes[name] = replace(thinned, losses=losses)
    return scenes


def _names(volumes: Sequence[Volume], results: Sequence[Result]) -> list[dict[str, str]]:
    """For each result, its segments' names to their names in the case."""
    sides = {volume.series: SIDES.get(volume.laterality, "") for volume in volumes}
    counts: dict[str, int] = {}
    for _, segmentation, _ in results:
        for segment in segmentation.segments:
            counts[segment.name] = counts.get(segment.name, 0) + 1
    taken: set[str] = set()
    renamings = []
    for _, segmentation, _ in results:
        side = sides.get(segmentation.series, "")
        renaming = {}
        for segment in segmentation.segments:
            name = f"{segment.name}_{side}" if side and counts[segment.name] > 1 else segment.name
            renaming[segment.name] = _unused(name, taken)
        renamings.append(renaming)
    return renamings


def _unused(name: str, taken: set[str]) -> str:
    """``name``, or the first of ``name_2``, ``name_3`` ... that isn't taken; it is taken from then on."""
    unused, number = name, 1
    while unused in taken:
        number += 1
        unused = f"{name}_{number}"
    taken.add(unused)
    return unused


def identity_of(
    study: str,
    inputs: Sequence[InputFile],
    protocols: Sequence[Protocol],
    segmentations: Sequence[Segmentation],
    policy: Policy = "strict",
    face: FacePolicy = "refuse",
) -> str:
    """12 hexadecimal digits of what determines a case: slices, protocols, models, policies, tomosurf's version.

    The same slices and protocols give the same folder; another model, protocol or policy gives another beside
    it.
    """
    content: dict[str, Any] = {
        "version": __version__,
        "study": study,
        "inputs": sorted(file.sha256 for file in inputs),
        "protocols": [protocol.digest() for protocol in protocols],
        "models": [segmentation.provenance.get("model_sha256") for segmentation in segmentations],
    }
    if policy != "strict":
        content["policy"] = policy
    if face != "refuse":
        content["face"] = face
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]

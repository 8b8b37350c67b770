"""A scene with fewer triangles: all its surfaces thinned together, walls still shared, the error even."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from tomosurf.data.budget import ErrorBudget
from tomosurf.data.complex import SurfaceComplex
from tomosurf.data.mesh import Scene, SurfaceMesh
from tomosurf.surface.decimate import Target, decimate
from tomosurf.surface.error import rounding_step, step_between

BUDGETS: Mapping[str, int] = MappingProxyType({"web": 300_000, "headset": 100_000})
"""Triangles of a whole scene; "print" is the full one."""


def lighter(scene: Scene, target: Target) -> Scene:
    """``scene`` within ``target``, each mesh with the error of one step more.

    Triangles are counted once a mesh, so that a shared wall counts twice, as it does in a file. All surfaces are
    thinned together by error. A mesh that lost nothing is the same as before, to the bit.
    """
    if not scene.meshes:
        return scene
    surfaces = complex_of(scene.meshes)
    fewer = decimate(surfaces, target)
    if fewer is surfaces:
        return scene
    return replace(scene, meshes=tuple(_measured(mesh, fewer.mesh(mesh.segment)) for mesh in scene.meshes))


def _measured(before: SurfaceMesh, after: SurfaceMesh) -> SurfaceMesh:
    """``after`` with the budget of ``before``, decimation and rounding anew."""
    earlier = before.error or ErrorBudget(())
    steps = tuple(step for step in earlier.steps if step.step != "rounding")
    steps += (step_between("decimation", before, after), rounding_step(after))
    return replace(after, error=ErrorBudget(steps, earlier.sampling))


def complex_of(meshes: Sequence[SurfaceMesh]) -> SurfaceComplex:
    """The complex whose meshes these are: vertices that are equal to the bit are one, and so are their triangles.

    A triangle that two meshes have is the wall between them. Vertex data are kept where all meshes have them.
    """
    stacked = np.concatenate([mesh.vertices for mesh in meshes])
    vertices, first, places = np.unique(stacked, axis=0, return_index=True, return_inverse=True)
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    faces = np.concatenate(
        [places.reshape(-1)[mesh.faces + at] for mesh, at in zip(meshes, starts, strict=False)]
    )
    labels = np.concatenate([np.full(len(mesh.faces), mesh.segment.label) for mesh in meshes])
    order = np.argsort(-labels, kind="stable")  # the larger label comes first and sets the winding
    faces, labels = faces[order], labels[order]
    keys = np.sort(faces, axis=1)
    _, once, group = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    second = np.zeros(len(once), np.int64)
    twice = np.ones(len(faces), bool)
    twice[once] = False
    second[group.reshape(-1)[twice]] = labels[twice]
    sides = np.stack([labels[once], second], axis=1).astype(np.uint16)
    names = set.intersection(*(set(mesh.vertex_data) for mesh in meshes))
    data = {
        name: np.concatenate([mesh.vertex_data[name] for mesh in meshes])[first] for name in sorted(names)
    }
    return SurfaceComplex(vertices, faces[once].astype(np.int32), sides, data)

"""What a file format is to tomosurf: a suffix, what goes in, and a function that writes one file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tomosurf.data.mesh import Scene, SurfaceMesh
from tomosurf.errors import ExportError

Content = Literal["mesh", "scene", "volume", "labels"]


@dataclass(frozen=True, slots=True)
class Exporter:
    """One file format, for the registry.

    Args:
        suffix: of the files, with its dot: ``".stl"``, ``".nii.gz"``.
        content: what ``write`` takes: "mesh" a SurfaceMesh (one file a segment), "scene" a Scene, "volume"
            a Volume, "labels" a Segmentation.
        write: ``write(content, path)`` writes that one file, the same bytes for the same content, and
            raises :class:`tomosurf.errors.ExportError` rather than writing a file without content.
    """

    suffix: str
    content: Content
    write: Callable[[Any, Path], None]


def refuse_empty(mesh: SurfaceMesh) -> None:
    """Refuse a mesh without triangles.

    Raises:
        ExportError: it has none.
    """
    if not len(mesh.faces):
        raise ExportError(
            f"the mesh of {mesh.segment.name!r} has no triangles; nothing was written. "
            "Leave segments that were not found out of the scene"
        )


def refuse_empty_scene(scene: Scene) -> None:
    """Refuse a scene without meshes, or with one that is empty.

    Raises:
        ExportError: it is.
    """
    if not scene.meshes:
        raise ExportError("the scene has no meshes; nothing was written")
    for mesh in scene.meshes:
        refuse_empty(mesh)

"""Binary glTF painted by how far each place of a surface could move: blue sure, yellow unsure, red unknown."""

from __future__ import annotations

from pathlib import Path

from tomosurf.data.mesh import Scene
from tomosurf.export import glb
from tomosurf.export.exporter import Exporter


def write(scene: Scene, path: Path) -> None:
    """Write ``scene`` as :func:`tomosurf.export.glb.write` does, with the ramp of confidence as vertex colours.

    Raises:
        ExportError: the scene or one of its meshes is empty, or the file would pass GLB's 4 GiB.
    """
    glb.write(scene, path, coloured=True)


EXPORTER = Exporter(suffix=".confidence.glb", content="scene", write=write)

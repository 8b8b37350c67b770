"""The child process that draws; run as ``python -m tomosurf.report.render draw SCENE FOLDER SIZE``.

``probe`` instead of ``draw`` prints what would draw, as JSON. Anything that goes wrong ends the process with
a code other than 0; :mod:`tomosurf.report.pictures` is the other end.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import vtkmodules.vtkRenderingFreeType
import vtkmodules.vtkRenderingOpenGL2  # noqa: F401  (both register themselves as VTK's back ends)
from vtkmodules.vtkIOImage import vtkPNGWriter
from vtkmodules.vtkRenderingCore import vtkRenderer, vtkRenderWindow, vtkWindowToImageFilter

from tomosurf import store
from tomosurf.data.mesh import Scene
from tomosurf.report import overlay, stage
from tomosurf.report.pictures import CONFIDENCE, VIEWS

BACKGROUND = (0.985, 0.987, 0.99)


def main(arguments: list[str]) -> int:
    """Carry out ``arguments``; returns the exit code."""
    _leave_no_core_dump()
    if arguments[0] == "probe":
        sys.stdout.write(json.dumps(describe()) + "\n")
    else:
        draw(store.load_scene(Path(arguments[1])), Path(arguments[2]), int(arguments[3]))
        sys.stdout.write("done\n")
    return 0


def _leave_no_core_dump() -> None:
    """A driver that crashes shall not fill the disk."""
    with suppress(ImportError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def describe() -> dict[str, str]:
    """VTK's window class, and OpenGL's renderer and version, after a first empty frame."""
    window = _window(vtkRenderer(), 64)
    window.Render()
    told = window.ReportCapabilities()
    return {
        "window": window.GetClassName(),
        "renderer": _capability(told, "renderer"),
        "version": _capability(told, "version"),
    }


def draw(scene: Scene, folder: Path, size: int) -> None:
    """Write ``<view>.png`` for every view into ``folder``, and the one by confidence where there is some."""
    _draw_views(scene, folder, size, {view: view for view in VIEWS}, painted=False)
    if any("confidence" in mesh.vertex_data for mesh in scene.meshes):
        _draw_views(scene, folder, size, {CONFIDENCE: next(iter(VIEWS))}, painted=True)


def _draw_views(scene: Scene, folder: Path, size: int, views: Mapping[str, str], *, painted: bool) -> None:
    """One picture for each name and view."""
    renderer = vtkRenderer()
    renderer.SetBackground(*BACKGROUND)
    window = _window(renderer, size)
    bounds = stage.set_up(renderer, scene, size, painted=painted)
    marks = overlay.Overlay(renderer, size)
    for name, view in views.items():
        millimetres = stage.look(renderer, bounds, view)
        marks.show(f"{view}, confidence" if painted else view, stage.edge_marks(view), millimetres / size)
        window.Render()
        _write(window, folder / f"{name}.png")


def _window(renderer: Any, size: int) -> Any:
    window = vtkRenderWindow()
    window.SetOffScreenRendering(1)
    window.SetMultiSamples(8)
    window.SetSize(size, size)
    window.AddRenderer(renderer)
    return window


def _capability(told: str, name: str) -> str:
    """One line of VTK's report on OpenGL."""
    found = re.search(rf"OpenGL {name} string:\s*(.*)", told)
    return found.group(1).strip() if found else "unknown"


def _write(window: Any, path: Path) -> None:
    grab = vtkWindowToImageFilter()
    grab.SetInput(window)
    grab.SetInputBufferTypeToRGB()
    grab.ReadFrontBufferOff()
    writer = vtkPNGWriter()
    writer.SetFileName(str(path))
    writer.SetInputConnection(grab.GetOutputPort())
    writer.Write()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

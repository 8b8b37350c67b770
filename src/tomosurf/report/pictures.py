"""Pictures of a scene from six standard views, drawn off-screen in a child process.

A broken OpenGL driver can take a process down with it; here it takes down the child, and the run goes on
without pictures.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from tomosurf import store
from tomosurf.data.mesh import Scene
from tomosurf.errors import RenderingUnavailable

VIEWS: Mapping[str, str] = MappingProxyType(
    {
        "anterior": "seen from the front",
        "posterior": "seen from the back",
        "left": "seen from the patient's left",
        "right": "seen from the patient's right",
        "superior": "seen from the head",
        "inferior": "seen from the feet",
    }
)
"""Names of the six views, in the order in which they are shown, and where the eye is."""

CONFIDENCE = "confidence"
"""Name of the seventh picture: the view from the front, painted by how far each place could move."""

INSTALL = (
    "no OpenGL library that VTK can use was found; on Debian or Ubuntu: apt-get install libegl1 "
    "libgl1-mesa-dri (or libosmesa6), then try again (tomosurf doctor tells)"
)

PYTHON_FAILED = 1
"""Exit code of a child that OpenGL let run, but that raised an exception."""

_WINDOW = "VTK_DEFAULT_OPENGL_WINDOW"
_WITHOUT_DISPLAY = ("vtkEGLRenderWindow", "vtkOSOpenGLRenderWindow")


@dataclass(frozen=True, slots=True)
class Picture:
    """A PNG of the whole scene; ``view`` is a key of ``VIEWS``, or ``CONFIDENCE``."""

    view: str
    png: bytes


@dataclass(frozen=True, slots=True)
class Renderer:
    """What draws on this machine: VTK's window class, OpenGL's renderer and version."""

    window: str
    renderer: str
    version: str


def render(scene: Scene, size: int = 900, timeout_s: float = 120.0) -> tuple[Picture, ...]:
    """Draw ``scene`` from the six standard views, orthographic, all at one scale.

    Each picture carries the marks R, L, A, P, S, I at its edges and a scale bar in mm. Where some mesh has
    confidence, a seventh one shows it.

    Args:
        scene: what to draw; a scene without meshes gives no pictures.
        size: width and height in pixels.
        timeout_s: longest time for all views, in seconds, for each OpenGL that is tried.

    Raises:
        RenderingUnavailable: no OpenGL works here; the message says what to install.
    """
    if not scene.meshes:
        return ()
    with tempfile.TemporaryDirectory(prefix="tomosurf-") as name:
        folder = Path(name)
        store.save_scene(scene, folder / "scene.npz")
        _child(["draw", str(folder / "scene.npz"), str(folder), str(size)], timeout_s)
        drawn = [view for view in (*VIEWS, CONFIDENCE) if (folder / f"{view}.png").exists()]
        return tuple(Picture(view, (folder / f"{view}.png").read_bytes()) for view in drawn)


def probe(timeout_s: float = 60.0) -> Renderer:
    """What would draw the pictures on this machine.

    Raises:
        RenderingUnavailable: no OpenGL works here; the message says what to install.
    """
    return Renderer(**json.loads(_child(["probe"], timeout_s)))


def _child(arguments: list[str], timeout_s: float) -> str:
    """Standard output's last line of the child, with the first OpenGL that works.

    Without a window class chosen in the environment, VTK's own choice is tried first, then the two that need
    no display. Where VTK finds no OpenGL at all it ends its process with a segmentation fault.
    """
    command = [sys.executable, "-m", "tomosurf.report.render", *arguments]
    trouble = ""
    for window in ("",) if os.environ.get(_WINDOW) else ("", *_WITHOUT_DISPLAY):
        environment = {**os.environ, **({_WINDOW: window} if window else {})}
        try:
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=timeout_s, check=False
            )
        except subprocess.TimeoutExpired:
            trouble = f"drawing took longer than {timeout_s:g} s"
            continue
        if done.returncode == 0:
            return done.stdout.strip().splitlines()[-1]
        if done.returncode == PYTHON_FAILED:
            last = done.stderr.strip().splitlines()[-1]
            raise RenderingUnavailable(f"drawing failed: {last}; report this as a bug")
    raise RenderingUnavailable(trouble or INSTALL)

"""``tomosurf access``: how deep a target lies below each place of the skin, and what the way there passes."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tomosurf.console import Console
from tomosurf.errors import CaseFolderError, ConfigError
from tomosurf.whole_file import whole_file

if TYPE_CHECKING:
    from tomosurf.data.manifest import Manifest
    from tomosurf.data.mesh import SurfaceMesh

HELP = "map how deep a target lies below the skin, and how far the straight way keeps from other structures"


def configure(parser: ArgumentParser) -> None:
    """Arguments of ``access``."""
    parser.add_argument("case", type=Path, help="a case folder with the skin and the target as PLY")
    parser.add_argument("--target", required=True, metavar="SEGMENT", help="what is to be reached")
    parser.add_argument(
        "--avoid", default="", metavar="SEGMENTS", help="what the way is to keep from, by commas"
    )
    parser.add_argument("--skin", default="skin", metavar="SEGMENT", help="where the way begins")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the map; not the case's")
    parser.add_argument("--format", default="vtp,ply", metavar="NAMES", help="comma-separated mesh formats")
    parser.add_argument("--mm-per-pixel", type=float, default=1.0, help="of the six depth maps; default 1")


def execute(arguments: Namespace, console: Console) -> int:
    """Write the skin with its map, and a depth map (and one of clearances) for each view.

    Raises:
        CaseFolderError: no case folder, or a structure has no PLY file in it.
        ConfigError: a wrong argument.
    """
    from tomosurf import case_folder
    from tomosurf.commands.run import formats
    from tomosurf.surface.access import access_map

    if not 0.05 <= arguments.mm_per_pixel <= 20:
        raise ConfigError("--mm-per-pixel lies from 0.05 to 20")
    folder, output = arguments.case.resolve(), arguments.output.resolve()
    if output == folder or folder in output.parents:
        raise ConfigError("a sealed case folder stays as it is: choose another folder for the map")
    manifest = case_folder.read_manifest(folder)
    avoid = [name for name in arguments.avoid.split(",") if name]
    names = [arguments.skin, arguments.target, *avoid]
    skin, target, *others = [_mesh(folder, manifest, name) for name in names]
    found = access_map(skin, target, others)
    mapped = replace(skin, vertex_data={**skin.vertex_data, **found})
    output.mkdir(parents=True, exist_ok=True)
    files = _write_meshes(mapped, formats(arguments.format) or (), output)
    about = {"skin": arguments.skin, "target": arguments.target, "avoid": avoid, "case": manifest.identity}
    files += _write_maps(mapped, tuple(found), about, arguments.mm_per_pixel, output)
    _tell(found, about, files, console)
    return 0


def _mesh(folder: Path, manifest: Manifest, name: str) -> SurfaceMesh:
    """The mesh of one structure of the case.

    Raises:
        CaseFolderError: there is none, or it isn't there as PLY.
    """
    from tomosurf.mesh_file import read_ply

    if any(face.segment == name and face.action == "withheld" for face in manifest.faces):
        raise CaseFolderError(
            f"{name} was withheld since it shows a face; make the case again with --face blunt"
        )
    segments = {s.name: s for labels in manifest.labels for s in labels.segments}
    files = {mesh.segment: mesh.files for mesh in manifest.meshes}
    if name not in files:
        raise CaseFolderError(
            f"no structure of this case is called {name!r}; there are: {', '.join(sorted(files))}"
        )
    if "ply" not in files[name]:
        raise CaseFolderError(f"{name} isn't there as PLY; make the case again with --format ply")
    path = folder / files[name]["ply"]
    if folder not in path.resolve().parents:
        raise CaseFolderError("the manifest names a file outside the case folder")
    return read_ply(path, segments[name])


def _write_meshes(mesh: SurfaceMesh, names: tuple[str, ...], output: Path) -> list[str]:
    from tomosurf.data.mesh import Scene
    from tomosurf.registry import EXPORTERS

    written = []
    for name in names:
        exporter = EXPORTERS.load(name)
        content: dict[str, Any] = {"mesh": mesh, "scene": Scene((mesh,))}
        if exporter.content not in content:
            raise ConfigError(f"{name} is no format of meshes")
        path = output / f"access{exporter.suffix}"
        with whole_file(path) as partial:
            exporter.write(content[exporter.content], partial)
        written.append(str(path))
    return written


def _write_maps(
    mesh: SurfaceMesh, names: tuple[str, ...], about: dict[str, Any], mm_per_pixel: float, output: Path
) -> list[str]:
    from tomosurf.data.views import DIRECTIONS
    from tomosurf.export import depth_png
    from tomosurf.surface.projection import project

    written = []
    for name in names:
        for view in DIRECTIONS:
            seen = project(mesh, name, view, mm_per_pixel)
            path = output / f"{name.removeprefix('access_')}-{view}.png"
            depth_png.write(seen.values, {"quantity": name, **about, **seen.frame()}, path)
            written.append(str(path))
    return written


def _tell(found: dict[str, Any], about: dict[str, Any], files: list[str], console: Console) -> None:
    """The least depth, and the widest clearance, in figures."""
    depth = found["access_depth"]
    figures: dict[str, Any] = {"least_depth_mm": float(np.nanmin(depth))}
    console.say(
        f"{about['target']} lies {figures['least_depth_mm']:.1f} mm below {about['skin']} at the least."
    )
    if "access_clearance" in found:
        figures["widest_clearance_mm"] = float(np.nanmax(found["access_clearance"]))
        console.say(
            f"Straight ways keep up to {figures['widest_clearance_mm']:.1f} mm from {', '.join(about['avoid'])}."
        )
    console.emit({**about, **figures, "files": files})
    console.say(f"{len(files)} files. Straight lines only; research software, not a medical device.")

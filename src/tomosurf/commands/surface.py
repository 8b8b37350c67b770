"""``tomosurf surface``: anyone's label map to meshes."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tomosurf.commands.run import formats
from tomosurf.console import Console
from tomosurf.whole_file import whole_file

if TYPE_CHECKING:
    from tomosurf.data.mesh import Scene

HELP = "turn a label map (NIfTI, NRRD or MHA) into meshes"


def configure(parser: ArgumentParser) -> None:
    """Arguments of ``surface``."""
    parser.add_argument("labels", type=Path, help=".nii, .nii.gz, .nrrd, .mha or .mhd with whole numbers")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the meshes")
    parser.add_argument(
        "--format", default="stl,ply,glb", metavar="NAMES", help="comma-separated mesh formats"
    )


def execute(arguments: Namespace, console: Console) -> int:
    """Write the meshes; exit code 4 when one isn't closed.

    Raises:
        InputRefused: the label map can't be read, placed, or holds no label.
    """
    from tomosurf.image_file import read_labels
    from tomosurf.surface.extract import extract
    from tomosurf.surface.measure import measure

    names = formats(arguments.format) or ()
    segmentation = read_labels(arguments.labels)
    with console.progress() as progress:
        scene = extract(segmentation, progress)
    files = _write(scene, names, arguments.output)
    meshes: list[dict[str, Any]] = []
    for mesh in scene.meshes:
        measured = asdict(measure(mesh))
        about = {"segment": mesh.segment.name, "label": mesh.segment.label}
        meshes.append({**about, **measured, "files": files[mesh.segment.name]})
    console.emit({"meshes": meshes, "scene": files.get("", {})})
    rows = [
        [m["segment"], f"{m['volume_mm3'] / 1000:,.2f}", f"{m['triangles']:,}", str(m["closed"])]
        for m in meshes
    ]
    console.table("Meshes", ["structure", "volume mL", "triangles", "closed"], rows)
    console.say(
        "Contoured from a mask, not from a margin field: expect about half a voxel of stairs smoothed away."
    )
    return 0 if all(mesh["closed"] for mesh in meshes) else 4


def _write(scene: Scene, names: tuple[str, ...], output: Path) -> dict[str, dict[str, str]]:
    """Segment name to format to file; the whole scene under "". Each file appears whole or not at all."""
    from tomosurf.registry import EXPORTERS

    output.mkdir(parents=True, exist_ok=True)
    files: dict[str, dict[str, str]] = {mesh.segment.name: {} for mesh in scene.meshes}
    for name in names:
        exporter = EXPORTERS.load(name)
        things: list[tuple[str, str, Any]] = []
        if exporter.content == "mesh":
            things = [(mesh.segment.name, mesh.segment.name, mesh) for mesh in scene.meshes]
        elif exporter.content == "scene":
            things = [("", "scene", scene)]
        for owner, stem, content in things:
            path = output / f"{stem}{exporter.suffix}"
            with whole_file(path) as partial:
                exporter.write(content, partial)
            files.setdefault(owner, {})[name] = str(path)
    return files

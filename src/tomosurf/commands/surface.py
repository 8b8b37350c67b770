"""``tomosurf surface``: anyone's label map to meshes."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tomosurf.commands.run import add_face, formats
from tomosurf.console import Console
from tomosurf.whole_file import whole_file

if TYPE_CHECKING:
    from tomosurf.data.mesh import Scene

HELP = "turn a label map (NIfTI, NRRD, MHA, DICOM SEG) into meshes"


def configure(parser: ArgumentParser) -> None:
    """Arguments of ``surface``."""
    parser.add_argument(
        "labels",
        type=Path,
        help="a label map: .nii, .nii.gz, .nrrd, .seg.nrrd, .mha, .mhd, or a DICOM Segmentation",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the meshes")
    parser.add_argument(
        "--format", default="stl,ply,glb", metavar="NAMES", help="comma-separated mesh formats"
    )
    add_face(parser)


def execute(arguments: Namespace, console: Console) -> int:
    """Write the meshes; exit code 4 when one isn't closed, or another finding is an error.

    Raises:
        InputRefused: the label map can't be read, placed, or holds no label.
    """
    from tomosurf.image_file import read_labels
    from tomosurf.pipeline import case_of_labels

    names = formats(arguments.format) or ()
    segmentation = read_labels(arguments.labels)
    with console.progress() as progress:
        case = case_of_labels(segmentation, progress, arguments.face)
    files = _write(case.scene, names, arguments.output)
    meshes: list[dict[str, Any]] = []
    for mesh in case.scene.meshes:
        name = mesh.segment.name
        about = {"segment": name, "label": mesh.segment.label}
        measured = {**asdict(case.measurements[name]), "reliability": asdict(case.reliability[name])}
        meshes.append({**about, **measured, "files": files[name]})
    findings = [finding.as_dict() for finding in case.findings]
    faces = [face.as_dict() for face in case.scene.faces]
    console.emit({"meshes": meshes, "scene": files.get("", {}), "findings": findings, "faces": faces})
    rows = [
        [m["segment"], f"{m['volume_mm3'] / 1000:,.2f}", f"{m['triangles']:,}", str(m["closed"])]
        for m in meshes
    ]
    console.table("Meshes", ["structure", "volume mL", "triangles", "closed"], rows)
    for finding in case.findings:
        console.say(f"  {finding.severity}: {finding.check}: {finding.message}")
    console.say(
        "Contoured from a mask, not from a margin field: a surface can't be known better than half a voxel."
    )
    return 0 if case.usable else 4


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

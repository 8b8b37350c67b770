"""``tomosurf surface``: anyone's label map to meshes."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tomosurf.commands.run import add_face, formats
from tomosurf.console import Console
from tomosurf.whole_file import whole_file

if TYPE_CHECKING:
    from tomosurf.data.case import Case
    from tomosurf.data.mesh import Scene, SurfaceMesh
    from tomosurf.surface.decimate import Target

CLEARANCE_MM = 0.025
"""Gap between printed parts that touch: two walls in one place print badly, and so much cures it."""
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
    parser.add_argument(
        "--max-error",
        type=millimetres,
        metavar="MM",
        help="thin the meshes by at most so much, such as 0.1mm",
    )
    parser.add_argument("--triangles", type=int, metavar="N", help="thin the meshes to N triangles in all")
    parser.add_argument(
        "--clearance",
        type=millimetres,
        nargs="?",
        const=CLEARANCE_MM,
        metavar="MM",
        help=f"also write printable parts, {CLEARANCE_MM} mm apart where they touch, or as much as given",
    )
    parser.add_argument(
        "--budget",
        default="print",
        metavar="NAMES",
        help="print (all triangles), web (300,000), headset (100,000), comma-separated: folders of their own",
    )
    add_face(parser)


def execute(arguments: Namespace, console: Console) -> int:
    """Write the meshes; exit code 4 when one isn't closed, or another finding is an error.

    Raises:
        InputRefused: the label map can't be read, placed, or holds no label.
        ConfigError: an error or a number of triangles isn't above zero, or a budget has no such name.
    """
    from tomosurf.image_file import read_labels
    from tomosurf.label_surfaces import case_of_labels

    names = formats(arguments.format) or ()
    targets = _targets(arguments)
    segmentation = read_labels(arguments.labels)
    with console.progress() as progress:
        lighter = {name: target for name, target in targets.items() if target is not None}
        case = case_of_labels(segmentation, progress, arguments.face, lighter)
    document: dict[str, Any] = {}
    printable: list[dict[str, Any]] = []
    if arguments.clearance is not None:
        printable = _printable(case.scene, names, arguments)
    for budget in targets:
        scene = case.lighter.get(budget, case.scene)
        folder = arguments.output if budget == "print" else arguments.output / budget
        files = _write(scene, names, folder)
        meshes = [_described(mesh, case, files[mesh.segment.name]) for mesh in scene.meshes]
        document[budget] = {"meshes": meshes, "scene": files.get("", {})}
    console.emit(
        {
            **document.get("print", {"meshes": [], "scene": {}}),
            "lighter": {budget: part for budget, part in document.items() if budget != "print"},
            "printable": printable,
            "findings": [finding.as_dict() for finding in case.findings],
            "faces": [face.as_dict() for face in case.scene.faces],
            "adjacency": [pair.as_dict() for pair in case.scene.adjacency],
        }
    )
    for budget, part in document.items():
        _show(budget, part["meshes"], console)
    for finding in case.findings:
        console.say(f"  {finding.severity}: {finding.check}: {finding.message}")
    console.say(
        "Contoured from a mask, not from a margin field: what voxels can't know is the larger part of the bound."
    )
    closed = all(mesh["closed"] for part in document.values() for mesh in part["meshes"])
    return 0 if case.usable and closed else 4


def _targets(arguments: Namespace) -> dict[str, Target | None]:
    """What to write, by budget, and how far to thin it; None: not at all."""
    from tomosurf.errors import ConfigError
    from tomosurf.surface.decimate import Target
    from tomosurf.surface.lighter import BUDGETS

    full = None
    if arguments.max_error is not None or arguments.triangles is not None:
        full = Target(arguments.triangles, arguments.max_error)
    budgets = dict.fromkeys(name.strip() for name in arguments.budget.split(",") if name.strip())
    unknown = sorted(set(budgets) - {"print", *BUDGETS})
    if unknown or not budgets:
        raise ConfigError(
            f"--budget takes print, {', '.join(BUDGETS)}, not {', '.join(unknown) or 'nothing'}"
        )
    return {name: full if name == "print" else Target(BUDGETS[name]) for name in budgets}


def millimetres(text: str) -> float:
    """A length such as "0.1mm" or "0.1" as a number of millimetres; ValueError when it is none.

    >>> millimetres("0.1mm")
    0.1
    """
    return float(text.strip().removesuffix("mm"))


def _printable(scene: Scene, names: tuple[str, ...], arguments: Namespace) -> list[dict[str, Any]]:
    """Write the parts with a gap between them to a folder of their own, and say what a printer will meet."""
    from tomosurf.surface.printable import apart, print_check, with_thickness

    parts = replace(scene, meshes=with_thickness(apart(scene.meshes, arguments.clearance)))
    files = _write(parts, names, arguments.output / "printable")
    checks = print_check(parts.meshes)
    return [
        {"segment": mesh.segment.name, **_finite(asdict(check)), "files": files[mesh.segment.name]}
        for mesh, check in zip(parts.meshes, checks, strict=True)
    ]


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    """The same with None for infinity, which JSON doesn't know."""
    return {name: None if value == float("inf") else value for name, value in values.items()}


def _described(mesh: SurfaceMesh, case: Case, files: dict[str, str]) -> dict[str, Any]:
    """One mesh for ``--json``."""
    from tomosurf.surface.measure import measure

    name = mesh.segment.name
    return {
        "segment": name,
        "label": mesh.segment.label,
        **asdict(measure(mesh)),
        "reliability": asdict(case.reliability[name]),
        "error": mesh.error.as_dict() if mesh.error else {},
        "files": files,
    }


def _show(budget: str, meshes: list[dict[str, Any]], console: Console) -> None:
    """One table a budget: what the meshes are, and how far they may be off."""
    rows = [
        [
            m["segment"],
            f"{m['volume_mm3'] / 1000:,.2f}",
            f"{m['triangles']:,}",
            str(m["closed"]),
            f"{m['error']['total']['mean_mm']:.3f}",
            f"{m['error']['total']['max_mm']:.3f}",
            f"{m['error']['bound']['max_mm']:.2f}",
        ]
        for m in meshes
    ]
    columns = [
        "structure",
        "volume mL",
        "triangles",
        "closed",
        "mean error mm",
        "largest",
        "with voxels' doubt",
    ]
    console.table("Meshes" if budget == "print" else f"Meshes for {budget}", columns, rows)


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

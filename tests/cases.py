"""Small cases made by hand from shapes with known answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomosurf import case_folder
from tomosurf.config import Protocol
from tomosurf.data.case import Case, InputFile
from tomosurf.data.geometry import Geometry
from tomosurf.data.manifest import Manifest
from tomosurf.data.mesh import Scene, SurfaceMesh
from tomosurf.data.segmentation import Code, Margin, Segment, Segmentation
from tomosurf.data.volume import Volume
from tomosurf.qc.run import run_checks
from tomosurf.report.assemble import report_case
from tomosurf.surface.extract import extract
from tomosurf.surface.measure import measure
from tomosurf.testing.phantoms import Ball, Shape

SERIES = "a1b2c3d4"
COLOURS = ((220, 40, 40), (40, 60, 220), (40, 180, 80))
PROTOCOL = Protocol.model_validate(
    {
        "name": "test-bright",
        "title": "Bright things",
        "series": {"modality": "CT"},
        "segment": {
            "method": "threshold",
            "segments": [
                {
                    "label": 1,
                    "name": "bright",
                    "code": {"value": "272673000", "meaning": "Bone structure"},
                    "colour": [241, 214, 145],
                    "side": "above",
                    "level": 0,
                    "seed": 1,
                }
            ],
        },
    }
)


def bright_protocol(modality: str) -> Protocol:
    """``PROTOCOL`` for another modality, with a level for stored values from 0 to 1000."""
    content = PROTOCOL.model_dump(mode="json")
    content["series"]["modality"] = modality
    content["segment"]["segments"][0] |= {"level": 500.0, "seed": 800.0}
    return Protocol.model_validate(content)


def grid(
    shape: tuple[int, int, int] = (32, 32, 32), spacing: tuple[float, ...] = (1.0, 1.0, 1.0)
) -> Geometry:
    """A straight grid whose middle is LPS (0, 0, 0)."""
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = [-(n - 1) / 2 * s for n, s in zip(shape, spacing, strict=True)]
    return Geometry(shape, affine, "1.2.3")


def depth(shape: Shape, geometry: Geometry) -> NDArray[np.float32]:
    """Distance in mm to the surface of ``shape`` at every voxel, positive inside, Fortran-ordered."""
    index = np.stack(np.meshgrid(*map(np.arange, geometry.shape), indexing="ij"), axis=-1).reshape(-1, 3)
    values = -shape.signed_distance(geometry.to_world(index)).reshape(geometry.shape)
    return np.asfortranarray(values, np.float32)


def segmentation(
    shapes: Mapping[str, Shape], geometry: Geometry, protocol: str = PROTOCOL.name, first_label: int = 1
) -> Segmentation:
    """Shapes as segments with margins, the later ones on top."""
    labels = np.zeros(geometry.shape, np.uint8, order="F")
    margins, segments = {}, []
    for number, (name, shape) in enumerate(shapes.items()):
        label = first_label + number
        values = depth(shape, geometry)
        labels[values > 0] = label
        margins[label] = Margin(geometry, values)
        segments.append(Segment(label, name, Code(str(1000 + label), name), COLOURS[number % 3]))
    provenance = {"method": "threshold", "device": "cpu", "levels": {}}
    return Segmentation(geometry, labels, tuple(segments), margins, protocol, SERIES, provenance)


def case_of(*parts: Segmentation, scene: Scene | None = None, **changes: Any) -> Case:
    """A case from segmentations on one grid, with extracted, measured surfaces unless ``scene`` is given."""
    geometry = parts[0].geometry
    first = next(iter(parts[0].margins.values()), None)
    array = np.zeros(geometry.shape, np.float32, order="F") if first is None else first.values
    if scene is None:
        scene = Scene(tuple(mesh for part in parts for mesh in extract(part).meshes), geometry)
    case = Case(
        study="0123abcd",
        identity="feedbeef0123",
        inputs=tuple(InputFile(f"{k:064x}", SERIES) for k in range(geometry.shape[2])),
        volumes=(Volume(geometry, array, "CT", "HU", series=SERIES),),
        segmentations=tuple(part.without_margins() for part in parts),
        scene=scene,
        measurements={mesh.segment.name: measure(mesh) for mesh in scene.meshes},
    )
    return replace(case, **changes)


def ball_case(radius: float = 9.0, **changes: Any) -> Case:
    """One ball in the middle of a grid of 1 mm."""
    return case_of(segmentation({"bright": Ball((0.0, 0.0, 0.0), radius)}, grid()), **changes)


def remeshed(case: Case, **parts: Any) -> Case:
    """``case`` with its first mesh's ``vertices`` or ``faces`` replaced, and measured again."""
    first = case.scene.meshes[0]
    mesh = SurfaceMesh(
        parts.get("vertices", first.vertices), parts.get("faces", first.faces), first.segment, {}
    )
    meshes = (mesh, *case.scene.meshes[1:])
    measurements = {**case.measurements, mesh.segment.name: measure(mesh)}
    return replace(case, scene=Scene(meshes, case.scene.geometry), measurements=measurements)


def write(case: Case, parent: Path, pictures: bool = False, exports: tuple[str, ...] = ("stl",)) -> Manifest:
    """``case``, checked, as a finished case folder below ``parent``."""
    case = replace(case, findings=run_checks(case))
    with case_folder.CaseFolder(parent, case.identity) as folder:
        artifacts = case_folder.write_case(case, exports, folder)
        return report_case(case, [PROTOCOL], artifacts, folder, pictures=pictures)

"""The report: one self-contained page that says what was done, what was found and what came out."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Any

from tomosurf.data.manifest import Manifest
from tomosurf.data.ramp import STOPS_MM, STOPS_SRGB, UNKNOWN_SRGB
from tomosurf.report.pictures import CONFIDENCE, VIEWS, Picture

TEMPLATE = "report.html.j2"
RESAMPLED = ("interpolated_slice", "rectified")
"""Words of the ledger after which not every value is one that was acquired."""


def page(manifest: Manifest, pictures: Sequence[Picture] = (), trouble: str = "") -> str:
    """The report of a case as HTML.

    Everything is escaped, and nothing is loaded from anywhere: pictures are embedded as data URIs.

    Args:
        manifest: of the case; its outputs may still lack the report itself.
        pictures: PNG pictures, each with one of the standard views' names.
        trouble: why there are no pictures, "" when there are.
    """
    from jinja2 import Environment, StrictUndefined

    source = (files("tomosurf.report") / TEMPLATE).read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["number"] = number
    environment.filters["told"] = told
    template = environment.from_string(source)
    return template.render(
        m=manifest,
        structures=structures(manifest),
        measured=list(errors(manifest)),
        lighter_files=[path for scene in manifest.lighter for path in scene.files.values()],
        titles={protocol.name: protocol.title for protocol in manifest.protocols},
        pictures=[_embedded(picture) for picture in pictures if picture.view != CONFIDENCE],
        painted=next((_embedded(picture) for picture in pictures if picture.view == CONFIDENCE), None),
        ramp=[(f"{mm:g}", colour) for mm, colour in zip(STOPS_MM, STOPS_SRGB, strict=True)],
        unknown=UNKNOWN_SRGB,
        trouble=trouble,
        made_up=made_up(manifest),
        withheld={face.segment for face in manifest.faces if face.action == "withheld"},
        resampled=any(e["code"] in RESAMPLED for v in manifest.volumes for e in v.ledger),
        counts={s: sum(f.severity == s for f in manifest.findings) for s in ("error", "warning", "info")},
    )


def style() -> str:
    """The style sheet of the case's report, for other pages of the same look."""
    source = (files("tomosurf.report") / TEMPLATE).read_text(encoding="utf-8")
    return source.partition("<style>")[2].partition("</style>")[0]


def structures(manifest: Manifest) -> list[dict[str, Any]]:
    """One row a structure that was looked for: its segment, its mesh record or None, its protocol."""
    meshes = {mesh.segment: mesh for mesh in manifest.meshes}
    return [
        {"segment": segment, "mesh": meshes.get(segment.name), "protocol": labels.protocol}
        for labels in manifest.labels
        for segment in labels.segments
    ]


STEPS: Mapping[str, str] = {
    "surface": "from the segmentation to the surface",
    "decimation": "fewer triangles",
    "rounding": "rounding in files",
}
"""Steps of an error budget in words."""


def errors(manifest: Manifest) -> Iterator[dict[str, Any]]:
    """One entry a surface whose error was measured, the full ones first: its steps, their sum, and the bound."""
    full = [("", mesh.segment, mesh.triangles, mesh.error) for mesh in manifest.meshes]
    less = [
        (scene.budget, mesh["segment"], mesh["triangles"], mesh["error"])
        for scene in manifest.lighter
        for mesh in scene.meshes
    ]
    for budget, segment, triangles, error in full + less:
        if error:
            lines = [{**step, "step": STEPS.get(step["step"], step["step"])} for step in error["steps"]]
            lines += [
                {**error["total"], "step": "in all", "sum": True},
                {**error["bound"], "step": "with voxels' doubt", "sum": True},
            ]
            yield {"budget": budget, "segment": segment, "triangles": triangles, "lines": lines}


def made_up(manifest: Manifest) -> dict[str, int]:
    """Series to the number of its volume's slices that were never acquired; series without any are left out."""
    counts = {
        volume.series: len(
            {k for entry in volume.ledger if entry["code"] == "interpolated_slice" for k in entry["slices"]}
        )
        for volume in manifest.volumes
    }
    return {series: count for series, count in counts.items() if count}


def number(value: float, decimals: int = 0) -> str:
    """``value`` with thin spaces between thousands.

    >>> number(1234567.891, 1).replace(chr(0x202F), "_")
    '1_234_567.9'
    >>> number(-0.04, 1)  # what rounds to nothing has no sign
    '0.0'
    """
    return f"{value:z,.{decimals}f}".replace(",", "\u202f")


def told(value: Any) -> str:
    """A value from a provenance as words.

    >>> told({"bone": {"level": 226.5, "unit": "HU"}})
    'bone (level 226.5, unit HU)'
    """
    if isinstance(value, Mapping):
        words = [(str(key).replace("_", " "), told(entry), entry) for key, entry in value.items()]
        return ", ".join(f"{k} ({v})" if isinstance(e, Mapping) else f"{k} {v}" for k, v, e in words)
    if isinstance(value, list | tuple):
        return ", ".join(told(entry) for entry in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _embedded(picture: Picture) -> dict[str, str]:
    data = base64.b64encode(picture.png).decode("ascii")
    return {
        "view": picture.view,
        "where": VIEWS.get(picture.view, VIEWS["anterior"]),
        "uri": f"data:image/png;base64,{data}",
    }

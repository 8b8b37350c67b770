"""A whole head to both sides' structures, in the patient frame; or a refusal, and the reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.geometry import Geometry
from tomosurf.data.segmentation import Doubt, Margin, Segment, Segmentation
from tomosurf.data.volume import Volume
from tomosurf.errors import ConfigError, DataError
from tomosurf.localise_rule import LocaliseRule
from tomosurf.progress import Progress
from tomosurf.registry import ATLASES
from tomosurf.segment.grids import turn, turned
from tomosurf.segment.inference import Inference
from tomosurf.segment.localise.atlas import Atlas
from tomosurf.segment.localise.crops import box_around, lattice_through, nodding
from tomosurf.segment.localise.gates import placement_failures, refused, resolution_failures
from tomosurf.segment.localise.head import canonical, head_of
from tomosurf.segment.localise.quality import quality_of
from tomosurf.segment.localise.register import register
from tomosurf.segment.localise.sides import Side, look, share_seen
from tomosurf.segment.model.steps import Resample
from tomosurf.segment.outputs.label_map import empty_labels

SIDES = ("left", "right")
"""The patient's own; labels of the left side come first."""


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """Boxes in which something can be looked for, and what to write down."""

    lattice: Geometry
    boxes: dict[str, Geometry]
    told: dict[str, Any]


def segment_whole(
    volume: Volume, rule: LocaliseRule, inference: Inference, progress: Progress
) -> Segmentation:
    """Segments ``<name>_left`` and ``<name>_right`` of a head, with labels on ``volume``'s grid.

    An atlas is laid over the head; around both structures a box is cut, turned like the atlas lies, of the model's
    voxels; the network runs in each. Which side is which follows from the atlas in the patient's frame, whatever
    the order of the axes. Margins and doubt lie on one lattice, which both boxes share. The same voxels give the
    same bytes, however their axes are stored. Peak memory: 1 byte a voxel of the volume and, for 1 mm, about 1 more
    of its float32 size.

    Raises:
        InputRefused: a gate of ``rule`` failed before anything was looked for; each one is named with its bound.
        ConfigError: the model doesn't state its voxels, or takes several images.
        UnknownNameError: no atlas of that name.
        MissingExtraError: the atlas isn't installed.
        DataError: the image has no contrast.
    """
    edge = _edge_mm(inference)
    upright = canonical(volume)
    found = _find(upright, rule, edge, progress)
    sides = []
    for name, box in found.boxes.items():
        side = look(upright, box, found.lattice, inference, name, rule.gates.most_shift_mm)
        sides.append(side)
    segments = _segments(inference)
    count = len(inference.spec.segments)
    told = found.told | {
        "gates": rule.gates.model_dump(mode="json"),
        "sides": {name: list(range(n * count, (n + 1) * count)) for n, name in enumerate(SIDES)},
        "found": {side.name: _as_dict(side) for side in sides},
    }
    doubtful = {
        f"{segment.name}_{side.name}": side.inferred.found.doubtful_mm3.get(segment.label, 0.0)
        for side in sides
        for segment in inference.spec.segments
    }
    return Segmentation(
        geometry=volume.geometry,
        labels=_labels(volume.geometry, upright.geometry, sides, inference),
        segments=segments,
        margins=_margins(sides, inference),
        series=volume.series,
        provenance={
            **inference.provenance(dict(sides[0].inferred.told), (edge, edge, edge), resampled=True),
            "doubt": inference.doubt(doubtful),
            "localise": told,
        },
        doubt=_doubt(sides),
    )


def _find(upright: Volume, rule: LocaliseRule, edge_mm: float, progress: Progress) -> _Found:
    """The boxes, if every gate holds."""
    if failures := resolution_failures(upright.geometry, rule.gates):
        raise refused(failures, upright.series)
    atlas: Atlas = ATLASES.load(rule.atlas)()
    head = head_of(upright)
    placement = register(atlas, head, progress)
    quality = quality_of(atlas, head, placement)
    x, y, z = rule.centre_mm
    middles = placement.to_head(np.array([[x, y, z], [-x, y, z], [0, y, z]])) + head.centre
    turned_so = placement.rotation @ nodding(rule.nod_degrees)
    lattice = lattice_through(middles[2], turned_so, edge_mm)
    boxes = {
        name: box_around(lattice, middle, rule.size_mm) for name, middle in zip(SIDES, middles, strict=False)
    }
    seen = {name: share_seen(upright, box) for name, box in boxes.items()}
    if failures := placement_failures(quality, seen, rule.gates):
        raise refused(failures, upright.series)
    told = {
        "atlas": rule.atlas,
        "atlas_source": atlas.source,
        "quality": quality.as_dict(),
        "atlas_to_patient": _affine(placement.matrix, placement.offset + head.centre),
        "box_coverage": {name: round(share, 4) for name, share in seen.items()},
    }
    return _Found(lattice, boxes, told)


def _edge_mm(inference: Inference) -> float:
    """The edge of the voxels that the model was trained on."""
    steps = [step for step in inference.spec.input.steps if isinstance(step, Resample)]
    edges = set(steps[-1].spacing_mm) if steps else set()
    edge = edges.pop() if len(edges) == 1 else None
    if edge is None or inference.spec.input.channels != 1:
        raise ConfigError(
            f"model {inference.spec.name}: boxes in a whole head are for models of one image that resample to "
            "cubic voxels; leave out `localise`, or name another model"
        )
    return edge


def _segments(inference: Inference) -> tuple[Segment, ...]:
    """The model's segments for each side; labels count on."""
    return tuple(
        replace(spec.segment(), label=spec.label + _offset(name, inference), name=f"{spec.name}_{name}")
        for name in SIDES
        for spec in inference.spec.segments
    )


def _offset(side: str, inference: Inference) -> int:
    return SIDES.index(side) * max(spec.label for spec in inference.spec.segments)


def _labels(own: Geometry, upright: Geometry, sides: Sequence[Side], inference: Inference) -> NDArray[Any]:
    """The label map with the axes that the volume was stored with."""
    top = len(SIDES) * max(spec.label for spec in inference.spec.segments)
    labels = empty_labels(upright.shape, top)
    for side in sides:
        found = side.inferred.found.labels
        start = np.rint(upright.to_index([side.near.geometry.origin])[0]).astype(int)
        window = labels[tuple(slice(a, a + n) for a, n in zip(start, found.shape, strict=True))]
        there = found > 0
        window[there] = found[there] + _offset(side.name, inference)
    back = turn(upright, own)
    if back is None:
        raise DataError("the label map doesn't share the image's voxels")
    return np.asfortranarray(turned(labels, back))


def _margins(sides: Sequence[Side], inference: Inference) -> dict[int, Margin]:
    return {
        label + _offset(side.name, inference): margin
        for side in sides
        for label, margin in side.inferred.found.margins.items()
    }


def _doubt(sides: Sequence[Side]) -> Doubt:
    """Both sides' doubt in one box of their lattice; none between them."""
    doubts = [side.inferred.found.doubt for side in sides]
    grid = doubts[0].geometry
    starts = np.array([np.rint(grid.to_index([doubt.geometry.origin])[0]) for doubt in doubts], int)
    shapes = np.array([doubt.values.shape for doubt in doubts])
    low, high = starts.min(axis=0), (starts + shapes).max(axis=0)
    a, b, c = (high - low).tolist()
    values = np.zeros((a, b, c), np.float16, order="F")
    for start, doubt in zip(starts - low, doubts, strict=True):
        window = values[tuple(slice(p, p + n) for p, n in zip(start, doubt.values.shape, strict=True))]
        np.maximum(window, doubt.values, out=window)
    i, j, k = low.tolist()
    return replace(doubts[0], geometry=grid.cropped((i, j, k), (a, b, c)), values=values)


def _as_dict(side: Side) -> dict[str, Any]:
    """What is written down about one side."""
    return {
        "middle_lps_mm": None if side.middle is None else [round(float(x), 3) for x in side.middle],
        "shift_mm": round(side.shift_mm, 3),
        "reaches_box_end": side.touching,
        "passes": side.passes,
    }


def _affine(matrix: NDArray[np.float64], offset: NDArray[np.float64]) -> list[list[float]]:
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = matrix, offset
    rows: list[list[float]] = np.round(affine, 9).tolist()
    return rows

"""Does a structure go on beyond the edge of the image?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.case import Case
from tomosurf.data.finding import Finding, Severity
from tomosurf.data.geometry import Geometry
from tomosurf.data.segmentation import Segmentation

PADDING = "padding"
"""Stands for the edge between measured pixels and padding, beside the names of the image's sides."""

_TOWARDS = (("right", "left"), ("anterior", "posterior"), ("inferior", "superior"))


def check(case: Case) -> list[Finding]:
    """Warn of structures that touch the border of the image or its padding, and name the sides.

    Structures in ``case.may_be_cut`` (a skin always is) give an information only.

    What a surgeon should make of it: the structure goes on where nothing was imaged. Its surface is closed
    there by a flat cap that is no anatomy; volume and area are those of the part in the image. The cap's
    vertices carry ``fov_cut``, and a PLY file shows it.
    """
    findings = []
    cut_meshes = {m.segment.name for m in case.scene.meshes if np.any(m.vertex_data.get("fov_cut", False))}
    for segmentation in case.segmentations:
        touched = _touched_sides(segmentation, _padding(case, segmentation))
        for segment in segmentation.segments:
            sides = touched.get(segment.label, ())
            if not sides and segment.name not in cut_meshes:
                continue
            where = f" ({', '.join(sides)})" if sides else ""
            message = (
                f"{segment.name} reaches the edge of the image{where}: it goes on where nothing was imaged, "
                f"and its surface is closed there by a cap that is no anatomy."
            )
            severity: Severity = "info" if segment.name in case.may_be_cut else "warning"
            findings.append(Finding("field_of_view", severity, message, segment.name, {"sides": list(sides)}))
    return findings


def _padding(case: Case, segmentation: Segmentation) -> NDArray[np.bool_] | None:
    """The padding of the volume that a label map belongs to, when there is one on the same grid."""
    for volume in case.volumes:
        if volume.series == segmentation.series and volume.array.shape == segmentation.labels.shape:
            return volume.padding
    return None


def _touched_sides(
    segmentation: Segmentation, padding: NDArray[np.bool_] | None
) -> dict[int, tuple[str, ...]]:
    """Label to the sides of the image that it touches, in the order of the axes."""
    labels = segmentation.labels
    touched: dict[int, list[str]] = {}
    for axis in range(3):
        for end in (0, -1):
            name = side_name(segmentation.geometry, axis, end)
            for label in np.unique(np.moveaxis(labels, axis, 0)[end]):  # a view; take would copy all
                touched.setdefault(int(label), []).append(name)
    if padding is not None:
        for label in _beside_padding(labels, padding):
            touched.setdefault(label, []).append(PADDING)
    return {label: tuple(dict.fromkeys(sides)) for label, sides in touched.items()}


def side_name(geometry: Geometry, axis: int, end: int) -> str:
    """The patient's side that a face of the grid looks to: the nearest of the six directions.

    ``axis`` is 0, 1 or 2 for i, j or k; ``end`` is 0 for the face at the first index, -1 at the last.
    """
    outwards = geometry.directions[:, axis] * (1.0 if end == -1 else -1.0)
    nearest = int(np.abs(outwards).argmax())
    return _TOWARDS[nearest][int(outwards[nearest] > 0)]


def _beside_padding(labels: NDArray[Any], padding: NDArray[np.bool_]) -> list[int]:
    """Labels with a voxel that shares a face with padding within its slice."""
    found: set[int] = set()
    for k in range(labels.shape[2]):
        plane, pad = labels[:, :, k], padding[:, :, k]
        if pad.any():
            found.update(np.unique(plane[1:][pad[:-1]]).tolist(), np.unique(plane[:-1][pad[1:]]).tolist())
            found.update(np.unique(plane[:, 1:][pad[:, :-1]]).tolist())
            found.update(np.unique(plane[:, :-1][pad[:, 1:]]).tolist())
    return sorted(found)

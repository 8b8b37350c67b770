"""A slice through the worst place of a case: the image, the reference's outline, the surface's outline."""

from __future__ import annotations

import base64
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.geometry import Geometry
from tomosurf.data.mesh import SurfaceMesh
from tomosurf.data.volume import Volume

BORDER_MM = 8.0
"""What is shown around both outlines."""

WIDTH = 320
"""Width or height of a picture, whichever is larger, in pixels."""

_LETTERS = ("RL", "AP", "IS")


@dataclass(frozen=True, slots=True)
class _View:
    """Which slice, and how it is turned: ``axis`` and ``index`` of it, the array axes across and down."""

    axis: int
    index: int
    across: int
    down: int
    flip_across: bool
    flip_down: bool


def slice_picture(
    volume: Volume, predicted: NDArray[np.bool_], reference: NDArray[np.bool_], mesh: SurfaceMesh | None
) -> str:
    """An SVG of the slice with the largest wrong area; "" when both masks are empty.

    The reference is drawn along its voxels' edges, the prediction where the slice cuts its surface, or along its
    voxels' edges without one. Shown as radiologists look: the patient's left at the right, the front up (axial),
    the head up (others). Two outlines of different colour and stroke; an embedded grey PNG; no text but marks.
    """
    if not (predicted.any() or reference.any()):
        return ""
    geometry = volume.geometry
    view = _worst(predicted, reference, geometry)
    step = (geometry.spacing[view.across], geometry.spacing[view.down])
    a, b = _plane(predicted, view), _plane(reference, view)
    low, high = _crop(a | b, step)
    window = tuple(slice(int(p), int(q)) for p, q in zip(low, high, strict=True))
    grey = _png(_grey(_plane(volume.array, view)[window]))
    ours = _cut(mesh, geometry, view, low) if mesh is not None else _edges(a[window])
    size = (high - low) * step
    scale = WIDTH / float(size.max())
    sx, sy = (step[0] * scale, step[1] * scale)
    width, height = (round(float(length) * scale) for length in size)
    letters = _letters(geometry, view)
    return (
        f'<svg class="slice" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">'
        f'<image href="data:image/png;base64,{grey}" width="{width}" height="{height}" '
        'preserveAspectRatio="none" style="image-rendering: auto"/>'
        f'<g transform="scale({sx:.5g} {sy:.5g})"><path class="reference" d="{_edges(b[window])}"/>'
        f'<path class="predicted" d="{ours}"/></g>'
        f'<g class="marks"><text x="6" y="{height / 2:.0f}">{letters[0]}</text>'
        f'<text x="{width - 6}" y="{height / 2:.0f}" text-anchor="end">{letters[1]}</text>'
        f'<text x="{width / 2:.0f}" y="16" text-anchor="middle">{letters[2]}</text>'
        f'<text x="{width / 2:.0f}" y="{height - 6}" text-anchor="middle">{letters[3]}</text></g></svg>'
    )


def _worst(predicted: NDArray[np.bool_], reference: NDArray[np.bool_], geometry: Geometry) -> _View:
    """The slice with the largest wrong area in mm2; without a wrong voxel, the largest one of the reference."""
    wrong = predicted ^ reference
    wrong = wrong if wrong.any() else reference
    best = (-1.0, 0, 0)
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        area = wrong.sum(axis=others) * geometry.spacing[others[0]] * geometry.spacing[others[1]]
        index = int(area.argmax())
        best = max(best, (float(area[index]), -axis, index))
    return _turned(-best[1], best[2], geometry)


def _turned(axis: int, index: int, geometry: Geometry) -> _View:
    """The slice as radiologists look at it: up is the head, or the front; the patient's left is at the right."""
    directions = geometry.directions
    others = [a for a in range(3) if a != axis]
    main = {a: int(np.abs(directions[:, a]).argmax()) for a in others}
    across, down = others if main[others[0]] <= main[others[1]] else others[::-1]
    flip_across = directions[main[across], across] < 0
    upwards = main[down] == 2
    flip_down = (directions[main[down], down] > 0) == upwards
    return _View(axis, index, across, down, bool(flip_across), bool(flip_down))


def _plane(array: NDArray[Any], view: _View) -> NDArray[Any]:
    """The slice as (across, down)."""
    plane = np.take(array, view.index, axis=view.axis)
    plane = plane if view.across < view.down else plane.T
    turned: NDArray[Any] = plane[:: -1 if view.flip_across else 1, :: -1 if view.flip_down else 1]
    return turned


def _letters(geometry: Geometry, view: _View) -> tuple[str, str, str, str]:
    """Marks for left, right, top and bottom."""
    ends: list[str] = []
    for axis, flipped in ((view.across, view.flip_across), (view.down, view.flip_down)):
        direction = geometry.directions[:, axis] * (-1 if flipped else 1)
        main = int(np.abs(direction).argmax())
        towards = int(direction[main] > 0)
        ends += [_LETTERS[main][1 - towards], _LETTERS[main][towards]]
    return ends[0], ends[1], ends[2], ends[3]


def _crop(shown: NDArray[Any], step: tuple[float, float]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last index, across and down, of what is shown."""
    index = np.argwhere(shown) if shown.any() else np.array([np.array(shown.shape) // 2])
    border = np.ceil(BORDER_MM / np.array(step)).astype(np.int64)
    low = np.maximum(index.min(axis=0) - border, 0)
    return low, np.minimum(index.max(axis=0) + 1 + border, shown.shape)


def _grey(values: NDArray[Any]) -> NDArray[np.uint8]:
    """0 to 255 between the 1st and the 99th percentile."""
    numbers = values.astype(np.float64)
    low, high = np.percentile(numbers, (1, 99))
    shown = (numbers - low) / max(float(high - low), 1e-12)
    grey: NDArray[np.uint8] = np.rint(np.clip(shown, 0, 1) * 255).astype(np.uint8)
    return grey


def _png(grey: NDArray[np.uint8]) -> str:
    """An 8-bit grey PNG (ISO/IEC 15948), base64, of (across, down)."""
    rows = grey.T
    raw = b"".join(b"\0" + row.tobytes() for row in np.ascontiguousarray(rows))
    header = struct.pack(">IIBBBBB", rows.shape[1], rows.shape[0], 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(raw, 9)), (b"IEND", b""))
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + body).decode("ascii")


def _edges(mask: NDArray[Any]) -> str:
    """Path along the pixel edges between inside and outside, pixels being unit squares; runs are joined."""
    inside = np.pad(mask.astype(bool), 1)
    parts = []
    for axis, letter in ((0, "v"), (1, "h")):
        change = np.diff(inside.astype(np.int8), axis=axis) != 0
        lines = change if axis == 0 else change.T
        for place, line in enumerate(lines):
            flips = np.flatnonzero(np.diff(np.concatenate([[0], line.astype(np.int8), [0]])))
            for start, stop in zip(flips[::2], flips[1::2], strict=True):
                x, y = (place, start - 1) if axis == 0 else (start - 1, place)
                parts.append(f"M{x} {y}{letter}{stop - start}")
    return "".join(parts)


def _cut(mesh: SurfaceMesh, geometry: Geometry, view: _View, low: NDArray[np.int64]) -> str:
    """Path where the slice's plane cuts a surface, in the picture's pixels."""
    points = geometry.to_index(mesh.vertices)
    # never exactly on a vertex: a triangle then has two or no edges that cross
    height = points[:, view.axis] - view.index
    height = np.where(np.abs(height) < 1e-6, 1e-6, height)[mesh.faces]
    flat = points[:, [view.across, view.down]]
    for column, (axis, flipped) in enumerate(((view.across, view.flip_across), (view.down, view.flip_down))):
        if flipped:
            flat[:, column] = geometry.shape[axis] - 1 - flat[:, column]
    flat = flat + 0.5 - low
    above = height > 0
    crossing = above.any(axis=1) & ~above.all(axis=1)
    corners, height = flat[mesh.faces[crossing]], height[crossing]
    ends: list[list[NDArray[np.float64]]] = [[] for _ in range(len(corners))]
    for one, other in ((0, 1), (1, 2), (2, 0)):
        share = height[:, one] / (height[:, one] - height[:, other] + (height[:, one] == height[:, other]))
        place = corners[:, one] + share[:, None] * (corners[:, other] - corners[:, one])
        for number in np.flatnonzero((height[:, one] > 0) != (height[:, other] > 0)):
            ends[number].append(place[number])
    return "".join(f"M{p[0]:.2f} {p[1]:.2f}L{q[0]:.2f} {q[1]:.2f}" for p, q in ends)

"""The picture of the worst slice is the same however the image is stored, and its marks are the patient's."""

from __future__ import annotations

import base64
import re
import zlib
from itertools import permutations, product

import numpy as np
import pytest

from tomosurf.data.geometry import Geometry
from tomosurf.data.volume import Volume
from tomosurf.validate.mesh_distance import surface_of_mask
from tomosurf.validate.slice_picture import slice_picture

SHAPE = (20, 24, 16)


def case() -> tuple[Volume, np.ndarray, np.ndarray]:
    """LPS axes; the prediction has a large wrong block to the left, the front and the head."""
    geometry = Geometry(SHAPE, np.diag([1.0, 1.5, 2.0, 1.0]))
    values = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    reference, predicted = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    reference[4:10, 8:15, 4:9] = True
    predicted[4:10, 8:15, 4:9] = True
    predicted[10:15, 8:11, 8] = True
    return Volume(geometry, values, "MR"), predicted, reference


def stored(array: np.ndarray, order: tuple[int, ...], flips: tuple[bool, ...]) -> np.ndarray:
    turned = np.transpose(array, order)
    return turned[tuple(slice(None, None, -1 if flip else 1) for flip in flips)]


def stored_geometry(geometry: Geometry, order: tuple[int, ...], flips: tuple[bool, ...]) -> Geometry:
    affine = np.eye(4)
    affine[:3, :3] = geometry.affine[:3, list(order)]
    affine[:3, 3] = geometry.origin
    for axis, flip in enumerate(flips):
        if flip:
            affine[:3, 3] += affine[:3, axis] * (geometry.shape[order[axis]] - 1)
            affine[:3, axis] *= -1
    return Geometry(tuple(geometry.shape[a] for a in order), affine)


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("flips", list(product((False, True), repeat=3)))
def test_the_same_picture_however_it_is_stored(order, flips):
    volume, predicted, reference = case()
    turned = Volume(stored_geometry(volume.geometry, order, flips), stored(volume.array, order, flips), "MR")
    masks = (stored(predicted, order, flips), stored(reference, order, flips))
    assert slice_picture(turned, *masks, None) == slice_picture(volume, predicted, reference, None)


def test_marks_outlines_and_grey_values_lie_where_they_belong():
    volume, predicted, reference = case()
    svg = slice_picture(volume, predicted, reference, None)
    assert re.findall(r">([RLAPSI])</text>", svg) == ["R", "L", "A", "P"]  # axial: the wrong block lies flat
    path = re.search(r'class="predicted" d="([^"]*)"', svg)[1]
    xs = [int(x) for x in re.findall(r"M(\d+) ", path)]
    assert max(xs) == 4 + 15 - 4  # 8 mm before the first column at 4, so cropped at 0: the right end is 15
    data = base64.b64decode(re.search(r"base64,([^\"]*)", svg)[1])
    assert data.startswith(b"\x89PNG")
    width, height = (int.from_bytes(data[a : a + 4], "big") for a in (16, 20))
    raw = np.frombuffer(zlib.decompress(data[data.index(b"IDAT") + 4 : -16]), np.uint8).reshape(
        height, width + 1
    )
    shown = volume.array[:width, 8 - 6 : 8 - 6 + height, 8].T
    assert (
        np.corrcoef(raw[:, 1:].ravel(), np.clip(shown, *np.percentile(shown, (1, 99))).ravel())[0, 1] > 0.999
    )


def test_the_surface_is_cut_where_the_mask_is():
    volume, predicted, reference = case()
    mesh = surface_of_mask(reference, volume.geometry)
    svg = slice_picture(volume, predicted, reference, mesh)
    path = re.search(r'class="predicted" d="([^"]*)"', svg)[1]
    points = np.array([[float(x) for x in pair.split()] for pair in re.findall(r"[ML]([^ML]+)", path)])
    low, high = points.min(axis=0), points.max(axis=0)
    assert low == pytest.approx([4, 8 - 2], abs=0.6)
    assert high == pytest.approx([10, 15 - 2], abs=0.6)


def test_nothing_to_show():
    volume, _, _ = case()
    none = np.zeros(SHAPE, bool)
    assert slice_picture(volume, none, none, None) == ""

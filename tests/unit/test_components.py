"""Components and cavities, counted as the contour counts them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tomosurf.components import bounding_box, component_sizes, fill_cavities, label_components
from tomosurf.data.geometry import Geometry
from tomosurf.data.segmentation import Code, Margin, Segment, Segmentation
from tomosurf.surface.extract import extract
from tomosurf.surface.measure import measure

MASKS = arrays(bool, (5, 4, 4), elements=st.booleans())


@settings(max_examples=60, deadline=None)
@given(MASKS)
def test_components_are_the_closed_surfaces_of_a_filled_mask(mask):
    """After filling, every component of the mask is one closed surface of the contour, and no other exists."""
    filled = fill_cavities(mask)
    if not filled.any():
        return
    field = np.where(filled, 1.0, -1.0).astype(np.float32)
    grid = Geometry(filled.shape, np.eye(4))
    segment = Segment(1, "s", Code("1", "x"), (0, 0, 0))
    scene = extract(Segmentation(grid, filled.astype(np.uint8), (segment,), {1: Margin(grid, field)}))
    assert measure(scene.meshes[0]).components == label_components(filled).max()


@settings(max_examples=60, deadline=None)
@given(MASKS)
def test_filling_only_adds_and_is_done_in_one_go(mask):
    filled = fill_cavities(mask, slice_wise=True)
    assert (filled >= mask).all()
    assert np.array_equal(fill_cavities(filled, slice_wise=True), filled)


def test_sizes_and_box():
    mask = np.zeros((6, 6, 6), bool)
    mask[1:3, 1, 1] = True
    mask[4, 4, 4] = True
    assert sorted(component_sizes(label_components(mask)).tolist()) == [0, 1, 2]
    assert bounding_box(mask) == (slice(0, 6), slice(0, 6), slice(0, 6))
    assert bounding_box(mask[:4], border=0) == (slice(1, 3), slice(1, 2), slice(1, 2))
    assert all(part == slice(0, 0) for part in bounding_box(np.zeros((3, 3, 3), bool)))


@pytest.mark.parametrize("order", ["C", "F"])
def test_memory_order_does_not_matter(order):
    rng = np.random.default_rng(7)
    mask = np.array(rng.random((9, 8, 7)) > 0.6, order=order)
    assert label_components(mask).max() == label_components(np.ascontiguousarray(mask)).max()
    assert np.array_equal(fill_cavities(mask), fill_cavities(np.ascontiguousarray(mask)))

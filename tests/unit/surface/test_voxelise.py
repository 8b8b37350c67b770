from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tomosurf.surface.extract import extract
from tomosurf.surface.voxelise import box_of, voxelise
from tomosurf.testing.segmentations import segmentation_of
from tomosurf.testing.solids import Ball
from tomosurf.testing.strategies import geometries

WHOLE = settings(max_examples=25, deadline=None)


@WHOLE
@given(geometries(min_shape=8, max_shape=14), st.floats(0.9, 3.2), st.integers(0, 2**32 - 1))
def test_a_contoured_label_map_comes_back_voxel_for_voxel(geometry, radius, seed):
    # Vertices lie on the very lines that are counted along: ties are the rule, not the exception
    draw = np.random.default_rng(seed)
    index = draw.uniform(3, np.array(geometry.shape) - 4)
    centre = geometry.to_world([index])[0]
    ball = Ball(tuple(centre.tolist()), radius * min(geometry.spacing))
    segmentation = segmentation_of([ball], geometry)
    mask = segmentation.labels == 1
    meshes = extract(segmentation).meshes
    if mask.any():
        whole = tuple(slice(0, n) for n in geometry.shape)
        assert np.array_equal(voxelise(meshes[0], geometry, whole), mask)
        box = box_of(meshes[0], geometry)
        assert np.array_equal(voxelise(meshes[0], geometry, box), mask[box])
        assert mask[box].sum() == mask.sum()

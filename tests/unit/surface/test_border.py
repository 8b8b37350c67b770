from __future__ import annotations

import numpy as np
import pytest

from tomosurf.data.geometry import Geometry
from tomosurf.data.segmentation import Margin
from tomosurf.errors import DataError
from tomosurf.surface.border import refuse_cut

VOLUME = Geometry((20, 16, 12), np.diag([0.8, 0.8, 2.0, 1.0]))


def margin_on(geometry: Geometry, value: float = 1.0) -> Margin:
    return Margin(geometry, np.full(geometry.shape, value, np.float32))


def test_a_margin_may_end_where_the_volume_ends() -> None:
    refuse_cut(margin_on(VOLUME), VOLUME, "bone")


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("end", ["low", "high"])
def test_a_crop_that_cuts_its_structure_is_refused(axis: int, end: str) -> None:
    start = [0, 0, 0]
    shape = list(VOLUME.shape)
    shape[axis] -= 1
    start[axis] = 1 if end == "low" else 0
    cut = VOLUME.cropped(tuple(start), tuple(shape))
    with pytest.raises(DataError, match=f"'bone' ends within the structure.*axis {'ijk'[axis]}"):
        refuse_cut(margin_on(cut), VOLUME, "bone")
    refuse_cut(margin_on(cut, -1.0), VOLUME, "bone")


def test_a_coarser_grid_may_end_a_part_of_its_step_before_the_volume() -> None:
    affine = VOLUME.affine @ np.diag([1.5, 1.5, 1.5, 1.0])
    coarse = Geometry((13, 11, 8), affine)  # last centres at 18, 15 and 10.5 of 19, 15 and 11
    refuse_cut(margin_on(coarse), VOLUME, "bone")
    with pytest.raises(DataError):
        refuse_cut(margin_on(Geometry((12, 11, 8), affine)), VOLUME, "bone")


def test_a_grid_with_other_axes_is_judged_in_space() -> None:
    # the margin's i runs backwards along the volume's j, its j along k, its k along i
    turned = Geometry(
        (16, 12, 20), VOLUME.affine @ np.array([[0, 0, 1, 0], [-1, 0, 0, 15], [0, 1, 0, 0], [0, 0, 0, 1.0]])
    )
    refuse_cut(margin_on(turned), VOLUME, "bone")
    with pytest.raises(DataError):
        refuse_cut(margin_on(turned.cropped((0, 0, 0), (15, 12, 20))), VOLUME, "bone")

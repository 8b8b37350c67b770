"""The table goes, the patient stays."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from tomosurf.data.geometry import Geometry
from tomosurf.segment.furniture import REACH_MM, without_furniture

GRID = Geometry((120, 100, 60), np.diag([1.0, 1.0, 4.0, 1.0]))
X, Y, Z = np.ogrid[:120, :100, :60]
BODY = np.asfortranarray(((X - 60) / 40) ** 2 + ((Y - 40) / 25) ** 2 + 0 * Z < 1)
SHEET = np.asfortranarray((X >= 5) & (X < 115) & (Y == 65) & (Z >= 0))
EAR = np.asfortranarray((X >= 100) & (X < 108) & (Y >= 39) & (Y < 41) & (Z >= 20) & (Z < 30))


def test_a_table_under_the_patient_goes_and_the_patient_stays():
    less = without_furniture(BODY | SHEET, GRID)
    assert (less & BODY).sum() == BODY.sum()
    left = less & ~BODY
    assert left.sum() < 0.6 * (SHEET & ~BODY).sum()
    away = ndimage.distance_transform_edt(~BODY, sampling=GRID.spacing)
    assert away[left].max() <= 2 * REACH_MM  # only what lies against the skin is left


@pytest.mark.parametrize("part", [EAR, SHEET[:, :, :20].repeat(3, axis=2) & (Z < 20)])
def test_thin_parts_that_do_not_run_along_the_stack_stay(part):
    whole = np.asfortranarray(BODY | part)
    assert np.array_equal(without_furniture(whole, GRID), whole)


def test_without_furniture_nothing_is_copied():
    assert without_furniture(BODY, GRID) is BODY

from __future__ import annotations

import numpy as np
import pytest

from tests.cases import case_of, grid, segmentation
from tomosurf.data.geometry import Geometry
from tomosurf.qc.slice_spacing import check
from tomosurf.testing.phantoms import Ball


def _findings(spacing: tuple[float, ...], **arguments: float) -> list[object]:
    case = case_of(segmentation({"ball": Ball((0.0, 0.0, 0.0), 6.0)}, grid((16, 16, 12), spacing)))
    return list(check(case, **arguments))


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (1.0, 1.0, 2.5), (2.0, 2.0, 3.0)])
def test_close_slices_pass(spacing: tuple[float, ...]) -> None:
    assert _findings(spacing) == []


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 2.6), (2.0, 2.0, 3.1)])
def test_a_wide_step_or_ratio_warns(spacing: tuple[float, ...]) -> None:
    (finding,) = _findings(spacing)
    assert finding.severity == "warning"  # type: ignore[attr-defined]
    assert finding.data["slice_step_mm"] == pytest.approx(spacing[2])  # type: ignore[attr-defined]


def test_tolerances_are_arguments() -> None:
    assert _findings((1.0, 1.0, 5.0), largest_step_mm=6.0, largest_ratio=6.0) == []


def test_a_tilted_stack_is_judged_by_the_distance_of_its_planes() -> None:
    affine = np.eye(4)
    affine[:3, 2] = [0.0, 3.0, 2.0]  # planes 2 mm apart, shifted by 3 mm each: 3.6 mm along k
    sheared = Geometry((16, 16, 12), affine)
    case = case_of(segmentation({"ball": Ball(tuple(sheared.to_world([[8, 8, 6]])[0]), 4.0)}, sheared))
    assert check(case) == []

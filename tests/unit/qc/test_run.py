from __future__ import annotations

import pytest

from tests.cases import ball_case, case_of, grid, segmentation
from tomosurf.errors import UnknownNameError
from tomosurf.qc.run import run_checks
from tomosurf.testing.phantoms import Ball


def test_a_good_case_has_no_findings() -> None:
    assert run_checks(ball_case()) == ()


def test_the_worst_comes_first() -> None:
    shapes = {"cut": Ball((16.0, 0.0, 0.0), 6.0), "gone": Ball((500.0, 0.0, 0.0), 6.0)}
    findings = run_checks(case_of(segmentation(shapes, grid())))
    assert [f.severity for f in findings] == ["error", "warning"]
    assert [f.check for f in findings] == ["structure_present", "field_of_view"]


def test_checks_can_be_chosen() -> None:
    shapes = {"cut": Ball((16.0, 0.0, 0.0), 6.0), "gone": Ball((500.0, 0.0, 0.0), 6.0)}
    findings = run_checks(case_of(segmentation(shapes, grid())), ["field_of_view"])
    assert [f.check for f in findings] == ["field_of_view"]


def test_an_unknown_check_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="closed_surface"):
        run_checks(ball_case(), ["nonsense"])

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tomosurf.report.overlay import LONGEST_SHARE, bar_length
from tomosurf.report.stage import edge_marks


@pytest.mark.parametrize(
    ("view", "marks"),
    [
        ("anterior", "RLSI"),
        ("posterior", "LRSI"),
        ("left", "APSI"),
        ("right", "PASI"),
        ("superior", "LRAP"),
        ("inferior", "RLAP"),
    ],
)
def test_marks_at_the_left_right_top_and_bottom(view: str, marks: str) -> None:
    assert "".join(edge_marks(view)) == marks


@given(st.floats(1e-3, 2.0))
def test_the_bar_is_round_and_fits(mm_per_pixel: float) -> None:
    length = bar_length(mm_per_pixel, 900)
    widest = LONGEST_SHARE * 900 * mm_per_pixel
    assert widest / 2.5 - 1e-9 <= length <= widest + 1e-9
    assert f"{length:e}"[0] in "125"

from __future__ import annotations

from dataclasses import replace

from tests.cases import ball_case
from tomosurf.data.volume import LedgerEntry
from tomosurf.qc.repaired_slices import check


def test_acquired_slices_pass_whatever_else_the_ledger_says() -> None:
    case = ball_case()
    ledger = (LedgerEntry("gantry_tilt", "leans"), LedgerEntry("pixel_padding", "marked", (3, 4)))
    assert check(replace(case, volumes=(replace(case.volumes[0], ledger=ledger),))) == []


def test_interpolated_slices_are_counted_and_named() -> None:
    case = ball_case()
    ledger = (
        LedgerEntry("missing_slice", "4 missing", (3, 4, 5, 9)),
        LedgerEntry("interpolated_slice", "interpolated", (3, 4, 5, 9)),
    )
    (finding,) = check(replace(case, volumes=(replace(case.volumes[0], ledger=ledger),)))
    assert (finding.check, finding.severity) == ("repaired_slices", "warning")
    assert "4 of 32 slices" in finding.message
    assert "k = 3-5, 9," in finding.message
    assert finding.data["slices"] == [3, 4, 5, 9] or tuple(finding.data["slices"]) == (3, 4, 5, 9)

from __future__ import annotations

from dataclasses import replace

from tests.cases import ball_case
from tomosurf.data.volume import LedgerEntry
from tomosurf.qc.possibly_incomplete import check


def test_other_words_of_the_ledger_mean_nothing_here() -> None:
    case = ball_case()
    ledger = (LedgerEntry("missing_slice", "4 missing", (3, 4, 5, 9)),)
    assert check(replace(case, volumes=(replace(case.volumes[0], ledger=ledger),))) == []


def test_a_stack_beside_damaged_files_is_named() -> None:
    case = ball_case()
    ledger = (LedgerEntry("possibly_incomplete", "2 files"),)
    (finding,) = check(replace(case, volumes=(replace(case.volumes[0], ledger=ledger),)))
    assert (finding.check, finding.severity) == ("possibly_incomplete", "warning")
    assert finding.data["series"] == case.volumes[0].series
    assert case.volumes[0].series in finding.message

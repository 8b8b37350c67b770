"""Were slices made up that the scanner never took?"""

from __future__ import annotations

from itertools import pairwise

from tomosurf.data.case import Case
from tomosurf.data.finding import Finding

CODE = "interpolated_slice"
"""The ledger's word for a slice that wasn't acquired."""


def check(case: Case) -> list[Finding]:
    """Warn of volumes some of whose slices were interpolated, and say which.

    What a surgeon should make of it: at these slices nobody measured anything. What is smaller than the gap
    can be missing there, and the surface shows a guess between its neighbours, however smooth it looks. Don't
    measure, cut or place anything there; ask for the complete series.
    """
    findings = []
    for volume in case.volumes:
        slices = sorted({k for entry in volume.ledger if entry.code == CODE for k in entry.slices})
        if slices:
            total = volume.geometry.shape[2]
            message = (
                f"{len(slices)} of {total} slices of series {volume.series} weren't acquired but interpolated "
                f"(k = {_ranges(slices)}, counted from 0): surfaces there are a guess. Use the complete series."
            )
            data = {"series": volume.series, "slices": slices, "of": total}
            findings.append(Finding("repaired_slices", "warning", message, data=data))
    return findings


def _ranges(numbers: list[int]) -> str:
    """Ascending numbers with runs written short.

    >>> _ranges([1, 2, 3, 5, 8, 9])
    '1-3, 5, 8-9'
    """
    breaks = [n for n, (a, b) in enumerate(pairwise(numbers), 1) if b > a + 1]
    runs = [numbers[a:b] for a, b in pairwise([0, *breaks, len(numbers)])]
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)

"""May slices be missing at an end, where no gap would show it?"""

from __future__ import annotations

from tomosurf.data.case import Case
from tomosurf.data.finding import Finding

CODE = "possibly_incomplete"
"""The ledger's word for a stack that lies beside files that may be its slices."""


def check(case: Case) -> list[Finding]:
    """Warn of volumes beside whose slices lay damaged files that may belong to them.

    What a surgeon should make of it: the body may go on where the volume ends, and what looks like the end of a
    structure may be the end of the slices that could be read. Ask for the complete series before relying on an end.
    """
    return [
        Finding(
            "possibly_incomplete",
            "warning",
            f"Series {volume.series} may be incomplete: a file that may hold slices of it couldn't be read. "
            "Structures may go on beyond the first and the last slice. Use the complete series.",
            data={"series": volume.series},
        )
        for volume in case.volumes
        if any(entry.code == CODE for entry in volume.ledger)
    ]

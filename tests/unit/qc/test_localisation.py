"""Every gate that a localised head fails becomes an error, and only those."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tomosurf.data.case import Case
from tomosurf.data.geometry import Geometry
from tomosurf.data.segmentation import Code, Segment, Segmentation
from tomosurf.localise_rule import Gates
from tomosurf.qc.localisation import check

GRID = Geometry((40, 40, 40), np.diag([2.0, 2.0, 2.0, 1.0]))
NAMES = ("front_left", "back_left", "front_right", "back_right")


def case(voxels: tuple[int, int, int, int], **changes: Any) -> Case:
    """Segments of so many voxels of 8 mm3, localised as plausibly as can be but for ``changes``."""
    labels = np.zeros(GRID.shape, np.uint8)
    for n, count in enumerate(voxels):
        flat = np.zeros(40 * 40 * 10, np.uint8)
        flat[:count] = n + 5  # labels of a second protocol in a case count on from the first
        labels[:, :, 10 * n : 10 * n + 10] = flat.reshape(40, 40, 10)
    segments = tuple(
        Segment(n + 5, f"{name}_2", Code("5366008", "Hippocampal structure"), (1, 2, 3))
        for n, name in enumerate(NAMES)
    )
    one = {"middle_lps_mm": [28.0, 20.0, -15.0], "shift_mm": 2.0, "reaches_box_end": False, "passes": 1}
    told = {
        "gates": Gates().model_dump(mode="json"),
        "sides": {"left": [0, 1], "right": [2, 3]},
        "found": {"left": one, "right": one | {"middle_lps_mm": [-28.0, 20.0, -15.0]}},
    }
    provenance = {"localise": told | changes}
    return Case("0", "0", segmentations=(Segmentation(GRID, labels, segments, provenance=provenance),))


def test_a_plausible_head_gives_no_finding():
    assert check(case((200, 250, 210, 240))) == []


@pytest.mark.parametrize(
    ("voxels", "gates"),
    [
        ((90, 90, 100, 90), ["volume_mm3"]),  # 1440 mm3 against 1520
        ((450, 440, 430, 430), ["volume_mm3"]),  # 7120 mm3 against 6880
        ((400, 400, 100, 100), ["least_symmetry"]),  # 1600 mm3 is a quarter of 6400
        ((0, 0, 200, 200), ["volume_mm3", "least_symmetry"]),
    ],
)
def test_volumes_are_held_against_their_bounds(voxels, gates):
    findings = check(case(voxels))
    assert [finding.data["gate"] for finding in findings] == gates
    assert {finding.severity for finding in findings} == {"error"}


@pytest.mark.parametrize(
    ("change", "gate"),
    [
        ({"shift_mm": 10.1}, "most_shift_mm"),
        ({"reaches_box_end": True}, "box"),
        ({"middle_lps_mm": [-30.0, 20.0, -15.0]}, "sides"),
    ],
)
def test_positions_are_held_against_their_bounds(change, gate):
    told = case((200, 250, 210, 240)).segmentations[0].provenance["localise"]["found"]
    found = told | {"left": told["left"] | change}
    assert [finding.data["gate"] for finding in check(case((200, 250, 210, 240), found=found))] == [gate]

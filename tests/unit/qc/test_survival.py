from __future__ import annotations

import numpy as np
import pytest

from tomosurf.data.case import Case
from tomosurf.data.geometry import Geometry
from tomosurf.data.mesh import Scene
from tomosurf.data.segmentation import Code, Segment, Segmentation
from tomosurf.data.survival import Loss, Piece
from tomosurf.qc.survival import check


def finding(role: str = "", name: str = "thing", **about):
    labels = np.zeros((2, 2, 2), np.uint8)
    segment = Segment(1, name, Code("1", "x"), (1, 2, 3), role)
    case_labels = Segmentation(Geometry((2, 2, 2), np.eye(4)), labels, (segment,))
    values = {
        "stage": "surface", "kind": "vanished", "segment": name, "pieces": (Piece(4.0, (1.0, 2.0, 3.0), 1),),
        "count": 1, "volume_mm3": 4.0, "largest_mm3": 100.0, "remaining": 1,
    }  # fmt: skip
    loss = Loss(**{**values, **about})
    return check(Case("s", "i", segmentations=(case_labels,), scene=Scene((), losses=(loss,))))[0]


@pytest.mark.parametrize(
    ("role", "name", "about", "severity"),
    [
        ("", "thing", {}, "info"),  # a crumb
        ("", "thing", {"pieces": (Piece(40.0, (0.0, 0.0, 0.0), 1),)}, "warning"),
        ("lesion", "thing", {}, "error"),
        ("lesion", "thing", {"stage": "clean-up"}, "error"),
        ("lesion", "thing", {"kind": "parted"}, "warning"),
        ("paired", "thing", {}, "warning"),  # under 5 % of the largest: a crumb beside one organ
        ("paired", "thing", {"pieces": (Piece(6.0, (0.0, 0.0, 0.0), 1),)}, "error"),
        ("paired", "thing", {"pieces": (Piece(6.0, (0.0, 0.0, 0.0), 2),)}, "warning"),
        ("", "kidney_left", {"remaining": 0}, "error"),
        ("", "kidney_left", {"remaining": 1}, "info"),
        ("", "cleft", {"remaining": 0}, "info"),  # no side in this name
        ("", "thing", {"kind": "merged", "stage": "clean-up"}, "warning"),
    ],
)
def test_severity(role, name, about, severity):
    assert finding(role, name, **about).severity == severity


def test_the_message_says_what_where_and_when():
    told = finding(stage="decimation").message
    assert "lost 1 piece" in told and "4.0 mm3" in told and "LPS 1, 2, 3 mm" in told and "thinned" in told


def test_a_loss_of_a_lighter_scene_names_it_and_is_told_once_a_scene():
    known = Loss("surface", "vanished", "thing", (Piece(40.0, (0.0, 0.0, 0.0), 1),), 1, 40.0, 100.0, 1)
    new = Loss("decimation", "vanished", "thing", (Piece(50.0, (1.0, 0.0, 0.0), 1),), 1, 50.0, 100.0, 1)
    labels = np.zeros((2, 2, 2), np.uint8)
    segment = Segment(1, "thing", Code("1", "x"), (1, 2, 3), "lesion")
    case = Case(
        "s",
        "i",
        segmentations=(Segmentation(Geometry((2, 2, 2), np.eye(4)), labels, (segment,)),),
        scene=Scene((), losses=(known,)),
        lighter={"web": Scene((), losses=(known, new)), "headset": Scene((), losses=(known, new))},
    )
    told = [(f.data["budget"], f.data["stage"], f.severity) for f in check(case)]
    assert told == [
        ("", "surface", "error"), ("web", "decimation", "error"), ("headset", "decimation", "error")
    ]  # fmt: skip

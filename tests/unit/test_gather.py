"""Several results as one case: every structure keeps a name and a label of its own."""

from __future__ import annotations

import numpy as np
import pytest

from tomosurf.config import load_protocol
from tomosurf.data.case import Case, InputFile
from tomosurf.data.geometry import Geometry
from tomosurf.data.segmentation import Code, Margin, Segment, Segmentation
from tomosurf.data.volume import Volume
from tomosurf.gather import gather, identity_of
from tomosurf.surface.extract import extract
from tomosurf.testing.phantoms import Ball

GRID = Geometry((14, 14, 14), np.eye(4))
PROTOCOL = load_protocol("mr-hippocampus")
BONE, SKIN = load_protocol("ct-bone"), load_protocol("ct-skin")


def part(series: str, *names: str) -> Segmentation:
    """Balls of falling size, one a name."""
    points = GRID.to_world(np.argwhere(np.ones(GRID.shape, bool)))
    labels = np.zeros(GRID.shape, np.uint8)
    segments, margins = [], {}
    for number, name in enumerate(names, 1):
        field = -Ball((6.5, 6.5, 6.5), 5.2 - number).signed_distance(points).reshape(GRID.shape)
        labels[field > 0] = number
        segments.append(Segment(number, name, Code("1", "x"), (1, 2, 3)))
        margins[number] = Margin(GRID, field.astype(np.float32))
    return Segmentation(GRID, labels, tuple(segments), margins, series=series)


def volume(series: str, laterality: str = "") -> Volume:
    return Volume(GRID, np.zeros(GRID.shape, np.int16), "MR", series=series, laterality=laterality)


def gathered(volumes, parts, protocol=PROTOCOL) -> Case:
    return gather(
        Case("study", "identity", volumes=tuple(volumes)), [(protocol, p, extract(p)) for p in parts]
    )


def test_one_result_stays_as_it_is():
    case = gathered([volume("a")], [part("a", "front", "back")])
    assert [(s.label, s.name) for s in case.segments] == [(1, "front"), (2, "back")]
    assert [mesh.segment for mesh in case.scene.meshes] == list(case.segments)
    assert case.measurements["front"].volume_mm3 > case.measurements["back"].volume_mm3 > 0


def test_sides_come_from_laterality_and_only_where_a_name_repeats():
    case = gathered([volume("a", "L"), volume("b", "R")], [part("a", "front"), part("b", "front")])
    assert [(s.label, s.name) for s in case.segments] == [(1, "front_left"), (2, "front_right")]
    assert set(case.measurements) == {"front_left", "front_right"}
    assert set(np.unique(case.segmentations[1].labels)) == {0, 2}
    alone = gathered([volume("a", "L")], [part("a", "front")])
    assert alone.segments[0].name == "front"


@pytest.mark.parametrize("sides", [("", ""), ("L", "L")])
def test_without_distinct_sides_names_are_numbered(sides):
    volumes = [volume("a", sides[0]), volume("b", sides[1])]
    names = [s.name for s in gathered(volumes, [part("a", "front"), part("b", "front")]).segments]
    assert len(set(names)) == 2
    assert names[1] == f"{names[0]}_2"


def test_the_image_may_cut_what_the_protocol_says_it_may():
    assert gathered([volume("a")], [part("a", "bone")], BONE).may_be_cut == {"bone"}
    assert gathered([volume("a")], [part("a", "front")]).may_be_cut == frozenset()


def test_identity_follows_what_determines_the_result_and_nothing_else():
    files = (InputFile("aa", "s"), InputFile("bb", "s"))
    base = identity_of("study", files, [BONE], [part("a", "bone")])
    assert base == identity_of("study", files[::-1], [BONE], [part("a", "bone")])
    others = [
        identity_of("study", files[:1], [BONE], [part("a", "bone")]),
        identity_of("other", files, [BONE], [part("a", "bone")]),
        identity_of("study", files, [SKIN], [part("a", "bone")]),
        identity_of("study", files, [BONE], [part("a", "bone")], "repair"),
    ]
    assert base == identity_of("study", files, [BONE], [part("a", "bone")], "strict")
    assert len({base, *others}) == 5
    assert len(base) == 12

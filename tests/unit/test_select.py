"""Which series is taken, and why: every rule, required and preferred, in any order."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tomosurf.config import load_protocol, protocol_names
from tomosurf.data.geometry import Geometry
from tomosurf.data.series import Acquisition, Instance, PixelLayout, Series, SeriesHints
from tomosurf.kernels import kind_of
from tomosurf.select import TESTS, choose
from tomosurf.series_rule import Criteria, SeriesRule, bounded_pattern

LAYOUT = PixelLayout("1.2.840.10008.1.2.1", 4, 4, 16, 16, 15, True, "MONOCHROME2", 0, 32)
AXIAL = np.diag([0.7, 0.7, 2.0, 1.0])
CORONAL = np.array([[0.7, 0, 0, 0], [0, 0, 2.0, 0], [0, -0.7, 0, 0], [0, 0, 0, 1]])
SAGITTAL = np.array([[0, 0, 2.0, 0], [0.7, 0, 0, 0], [0, -0.7, 0, 0], [0, 0, 0, 1]])
HINTS = SeriesHints("CHEST", "Thorax portal-venous 2.0", "ThoraxRoutine", contrast=True, derived=False)


def instance(kernel: str = "B31f", thickness: float | None = 3.0) -> Instance:
    zeros = (0.0, 0.0, 0.0)
    axes = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    return Instance(
        Path("x"), "x", "", 0, "1.2", None, LAYOUT, zeros, axes, (0.7, 0.7),
        acquisition=Acquisition(kernel=kernel), slice_thickness=thickness,
    )  # fmt: skip


def candidate(
    digest: str = "a",
    *,
    affine: Any = AXIAL,
    shape: tuple[int, int, int] = (100, 100, 50),
    modality: str = "CT",
    kernel: str = "B31f",
    hints: SeriesHints = HINTS,
) -> tuple[Series, Geometry]:
    series = Series(digest, "study", modality, (instance(kernel),), hints=hints)
    return series, Geometry(shape, affine)


def rule(**content: Any) -> SeriesRule:
    return SeriesRule.model_validate({"modality": "CT", **content})


CASES = [
    ("body_part", ["THORAX", "chest"], ["HEAD"], "body part isn't HEAD"),
    (
        "exclude_body_part",
        ["HEAD", "BRAIN"],
        ["knee", "chest"],
        "body part is one of those that are excluded",
    ),
    ("description", "^thorax", "abdomen", "description doesn't match"),
    ("exclude_description", "abdomen|topogram", "venous", "description matches what is excluded"),
    ("phase", ["arterial", "portal-venous"], ["ven"], "no word says that the phase is ven"),
    ("kernel", ["STANDARD", "b31F"], ["B70f"], "kernel isn't B70f"),
    ("kernel_pattern", r"^b\d\d", r"^b[67]", "kernel doesn't match"),
    ("kernel_kind", "soft", "hard", "kernel isn't known to be hard"),
    ("contrast", True, False, "a contrast agent is named"),
    ("derived", False, True, "images aren't derived"),
    ("orientation", "axial", "coronal", "slices aren't coronal"),
    (
        "slice_thickness_mm",
        {"lowest": 2, "highest": 3},
        {"highest": 2.9},
        "thickness of 3 mm is above 2.9 mm",
    ),
    ("slice_step_mm", {"highest": 2}, {"lowest": 2.5}, "slice step of 2 mm is below 2.5 mm"),
    ("pixel_spacing_mm", {"lowest": 0.7, "highest": 1}, {"highest": 0.5}, "pixel spacing of 0.7 mm is above"),
    ("slices", {"lowest": 50}, {"lowest": 51}, "number of slices of 50 is below 51"),
    ("extent_mm", {"highest": 100}, {"lowest": 101}, "extent of 100 mm is below 101 mm"),
    ("stack_mm", {"lowest": 98}, {"lowest": 98.1}, "length of the stack of 98 mm is below 98.1 mm"),
]


def test_every_criterion_has_a_test_and_a_case_here() -> None:
    assert set(TESTS) == set(Criteria.model_fields) == {name for name, *_ in CASES}


@pytest.mark.parametrize(("name", "met", "unmet", "words"), CASES)
def test_a_requirement_is_met_or_says_why_not(name: str, met: Any, unmet: Any, words: str) -> None:
    taken = choose([candidate()], rule(require={name: met}))
    assert [series.digest for series in taken.taken] == ["a"]
    assert taken.considered[0].reasons == ("fits",)
    left = choose([candidate()], rule(require={name: unmet}))
    assert left.taken == ()
    (verdict,) = left.considered
    assert (verdict.taken, verdict.score) == (False, None)
    assert len(verdict.reasons) == 1
    assert words in verdict.reasons[0]


@pytest.mark.parametrize(("name", "met", "unmet", "words"), CASES)
def test_a_preference_counts_or_says_why_not(name: str, met: Any, unmet: Any, words: str) -> None:
    (verdict,) = choose([candidate()], rule(prefer=[{name: met, "weight": 2.5}])).considered
    assert (verdict.taken, verdict.score) == (True, 2.5)
    assert verdict.reasons == ("fits", f"+2.5: preferred {name.replace('_', ' ')}")
    (verdict,) = choose([candidate()], rule(prefer=[{name: unmet, "weight": 2.5}])).considered
    assert (verdict.taken, verdict.score) == (True, 0.0)
    assert verdict.reasons[1].startswith("+0 of 2.5: ")
    assert words in verdict.reasons[1]


def test_the_old_requirements_speak_too() -> None:
    asked = rule(min_slices=60, max_extent_mm=90)
    reasons = choose([candidate(modality="MR")], asked).considered[0].reasons
    assert reasons == (
        "modality isn't CT",
        "50 slices, at least 60 are needed",
        "extent of 100 mm is above 90 mm",
    )


def test_the_score_comes_before_voxels_and_voxels_before_the_digest() -> None:
    small_soft = candidate("c", shape=(50, 50, 50))
    large_hard = candidate("b", kernel="B70f")
    twin = candidate("d", kernel="B70f")
    choice = choose([large_hard, small_soft, twin], rule(prefer=[{"kernel_kind": "soft"}]))
    assert [series.digest for series in choice.taken] == ["c"]
    assert {v.series: v.reasons[-1] for v in choice.considered if not v.taken} == {
        "b": "another series scores higher (1)",
        "d": "another series scores higher (1)",
    }
    choice = choose([twin, small_soft, large_hard], rule())
    assert [series.digest for series in choice.taken] == ["b"]
    assert {v.series: v.reasons[-1] for v in choice.considered if not v.taken} == {
        "c": "another series of the same score has more voxels",
        "d": "another series is as good; the digest decided",
    }


def test_all_takes_every_one_that_fits_best_first() -> None:
    asked = rule(take="all", require={"orientation": "axial"}, prefer=[{"kernel_kind": "hard"}])
    stacks = [candidate("a"), candidate("b", affine=CORONAL), candidate("c", kernel="B70f")]
    choice = choose(stacks, asked)
    assert [series.digest for series in choice.taken] == ["c", "a"]
    assert [v.taken for v in choice.considered] == [True, False, True]


@pytest.mark.parametrize(
    ("plane", "affine"), [("axial", AXIAL), ("coronal", CORONAL), ("sagittal", SAGITTAL)]
)
def test_orientation_is_judged_from_geometry(plane: str, affine: Any) -> None:
    for asked in ("axial", "coronal", "sagittal", "any"):
        choice = choose([candidate(affine=affine)], rule(require={"orientation": asked}))
        assert bool(choice.taken) is (asked in (plane, "any"))


def test_an_oblique_stack_halfway_is_in_no_plane() -> None:
    half = np.sqrt(0.5)
    oblique = np.eye(4)
    oblique[:3, :3] = [[1, 0, 0], [0, half, -half], [0, half, half]]
    for plane in ("axial", "coronal", "sagittal"):
        assert not choose([candidate(affine=oblique)], rule(require={"orientation": plane})).taken


def test_silent_headers_meet_no_requirement_by_chance() -> None:
    series, geometry = candidate(hints=SeriesHints())
    silent = replace(series, instances=(instance(kernel="", thickness=None),)), geometry
    for name in ("body_part", "description", "phase", "kernel", "kernel_pattern", "kernel_kind"):
        met = next(value for key, value, *_ in CASES if key == name)
        assert not choose([silent], rule(require={name: met})).taken
    (verdict,) = choose([silent], rule(require={"slice_thickness_mm": {"highest": 9}})).considered
    assert verdict.reasons == ("slice thickness isn't given",)
    assert choose([silent], rule(require={"contrast": False})).taken


def test_no_header_text_is_in_any_reason_or_repr() -> None:
    secret = SeriesHints("ZZPART", "ZZDESC", "ZZPROT", contrast=True, derived=True)
    series, geometry = candidate(hints=secret, kernel="ZZKERN")
    for name, _, unmet, _ in CASES:
        for asked in (rule(require={name: unmet}), rule(prefer=[{name: unmet}])):
            assert "ZZ" not in repr(choose([(series, geometry)], asked).considered)
    assert "ZZDESC" not in repr(series)
    assert "ZZPROT" not in repr(series)


@pytest.mark.parametrize("name", protocol_names())
def test_shipped_protocols_choose_as_they_always_did(name: str) -> None:
    asked = load_protocol(name).series
    stacks = [
        candidate(f"{n}", modality=modality, shape=shape, hints=replace(HINTS, body_part="HEAD"))
        for n, (modality, shape) in enumerate(
            (modality, shape)
            for modality in ("CT", "MR")
            for shape in ((9, 9, 9), (30, 30, 20), (90, 90, 20), (120, 100, 300), (300, 300, 10))
        )
    ]
    fitting = [
        (series, geometry)
        for series, geometry in stacks
        if series.modality == asked.modality
        and geometry.shape[2] >= asked.min_slices
        and (asked.max_extent_mm is None or max(geometry.extent) <= asked.max_extent_mm)
    ]
    fitting.sort(key=lambda entry: (-np.prod(entry[1].shape), entry[0].digest))
    expected = fitting if asked.take == "all" else fitting[:1]
    assert choose(stacks, asked).taken == tuple(series for series, _ in expected)


CANDIDATES = st.lists(
    st.builds(
        dict,
        modality=st.sampled_from(["CT", "MR"]),
        shape=st.tuples(*[st.integers(3, 6)] * 3),
        affine=st.sampled_from([AXIAL, CORONAL, SAGITTAL]),
        kernel=st.sampled_from(["B31f", "B70f", ""]),
    ),
    max_size=8,
)
RULES = st.builds(
    rule,
    take=st.sampled_from(["best", "all"]),
    require=st.sampled_from([{}, {"orientation": "axial"}, {"slices": {"lowest": 4}}]),
    prefer=st.lists(
        st.sampled_from([{"kernel_kind": "soft"}, {"orientation": "coronal", "weight": 2.0}]), max_size=2
    ),
)


@given(CANDIDATES, RULES, st.randoms(use_true_random=False))
def test_the_choice_does_not_depend_on_the_order(entries: list[Any], asked: SeriesRule, random: Any) -> None:
    stacks = [candidate(f"{n:02d}", **entry) for n, entry in zip(count(), entries)]
    shuffled = stacks.copy()
    random.shuffle(shuffled)
    choice = choose(stacks, asked)
    assert choose(shuffled, asked) == choice
    assert {v.series for v in choice.considered} == {series.digest for series, _ in stacks}
    best = [v.score for v in choice.considered if v.score is not None]
    scores = {v.series: v.score for v in choice.considered}
    assert not best or scores[choice.taken[0].digest] == max(best)


@pytest.mark.parametrize(
    "pattern",
    ["(a+)+$", "(a|a)*", "(?:x){3}", "a*a*a*a*a*", "(a)\\1", "(?P<n>a)", "(?i)a", "a(", "(a?){9}", "x?" * 5],
)
def test_patterns_that_hostile_text_could_slow_down_are_refused(pattern: str) -> None:
    with pytest.raises(ValidationError):
        rule(require={"description": pattern})


@pytest.mark.parametrize("pattern", [r"[)+*?]+x", r"\(x\)+", r"^t[12].*mpr", "a|b|c|d|e|f", "(?:ab)?c"])
def test_plain_patterns_are_taken(pattern: str) -> None:
    assert bounded_pattern(pattern) == pattern


def test_the_worst_pattern_that_is_taken_ends_on_the_worst_text() -> None:
    hostile = replace(HINTS, description="a" * 10_000 + "b")  # uncut, it would match, after weeks
    assert not choose([candidate(hints=hostile)], rule(require={"description": "a*a*a*a*b"})).taken


@pytest.mark.parametrize(
    "content",
    [
        {"require": {"slices": {}}},
        {"require": {"slices": {"lowest": 5, "highest": 4}}},
        {"require": {"colour": "red"}},
        {"prefer": [{"weight": 2}]},
        {"prefer": [{"kernel_kind": "soft", "weight": 0}]},
        {"require": {"body_part": []}},
    ],
)
def test_rules_are_closed(content: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        rule(**content)


def test_a_rule_that_asks_for_nothing_new_looks_as_it_did() -> None:
    assert set(rule().model_dump(mode="json")) == {"modality", "min_slices", "max_extent_mm", "take"}
    full = rule(require={"contrast": False}, prefer=[{"derived": False}])
    dumped = full.model_dump(mode="json")
    assert dumped["require"] == {"contrast": False}
    assert SeriesRule.model_validate(dumped) == full


@pytest.mark.parametrize(
    ("kernel", "kind"),
    [
        ("B31f", "soft"), ("B70f", "hard"), ("Br40d", "soft"), ("Bl57f\\3", "hard"), ("I50f", "hard"),
        ("STANDARD", "soft"), ("boneplus", "hard"), ("FC08", "soft"), ("FC51", "hard"), ("FC43", ""),
        ("B", "soft"), ("", ""), ("whatever", ""),
    ],
)  # fmt: skip
def test_kernels_by_their_makers_conventions(kernel: str, kind: str) -> None:
    assert kind_of(kernel) == kind


def test_the_example_in_the_documentation_is_a_rule() -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "choose-the-series.md").read_text()
    example = yaml.safe_load(page.split("```yaml\n")[1].split("```")[0])
    asked = SeriesRule.model_validate(example["series"])
    assert asked.prefer[2].contrast is False
    assert all(f"`{name}`" in page for name in Criteria.model_fields)

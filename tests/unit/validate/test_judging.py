"""Summaries, suspicious references, comparison, gate, names, calibration: each with an answer known beforehand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tomosurf.data.geometry import Geometry
from tomosurf.data.segmentation import Doubt
from tomosurf.errors import ConfigError
from tomosurf.validate.calibration import BINS, add_up, calibration_bins, curve, sure_share
from tomosurf.validate.compare import compare
from tomosurf.validate.gate import Gate, check_gate, load_gate
from tomosurf.validate.matching import match
from tomosurf.validate.metrics import METRICS
from tomosurf.validate.options import ValidateOptions
from tomosurf.validate.record import Record, Row
from tomosurf.validate.summary import interval, spread, summarise
from tomosurf.validate.suspicious import suspicious
from tomosurf.validate.table import write_table


def records(dice, bins=None, reference="a", structure="organ"):
    return [
        Record(
            case=f"case_{number:02}",
            key=f"{number:064}",
            reference_sha256=reference,
            rows=(Row(structure=structure, outcome="found", figures={"dice": value, "msd_mm": 2 - value}),),
            bins=bins,
        )
        for number, value in enumerate(dice)
    ]


def result_of(some):
    return {
        "structures": summarise(some, ["organ"]),
        "unscored": [],
        "comparison": None,
        "model": {"title": "earlier 1.0.0"},
        "cases": [{"case": r.case, "reference_sha256": r.reference_sha256} for r in some],
    }


def test_spread_says_mean_sd_median_and_the_worst_case():
    told = spread(["a", "b", "c"], np.array([0.7, 0.9, 0.8]), METRICS["dice"])
    assert (told["mean"], told["sd"], told["median"]) == pytest.approx((0.8, 0.1, 0.8))
    assert (told["worst"], told["worst_case"]) == (0.7, "a")
    assert told["ci95"][0] < 0.8 < told["ci95"][1]
    assert spread(["a", "b"], np.array([-9.0, 5.0]), METRICS["volume_error_pct"])["worst_case"] == "a"
    assert spread([], np.array([]), METRICS["dice"]) == {"n": 0}


def test_the_bootstrap_is_seeded_and_near_the_normal_interval():
    values = np.random.default_rng(1).normal(5, 2, 400)
    low, high = interval(values)
    assert (low, high) == interval(values)
    half = 1.96 * values.std(ddof=1) / 20
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.02)


def test_a_case_far_outside_the_distribution_is_suspicious():
    dice = [0.90, 0.91, 0.92, 0.89, 0.90, 0.91, 0.93, 0.90, 0.55]
    assert [entry["case"] for entry in suspicious(records(dice), ["organ"])] == ["case_08"]
    assert suspicious(records(dice[1:]), ["organ"])[0]["median"] == pytest.approx(0.905)
    assert suspicious(records(dice[2:]), ["organ"]) == []  # too few to have a distribution
    assert suspicious(records([0.9] * 9 + [0.86]), ["organ"]) == []  # out, but not far


@pytest.mark.parametrize(("sure", "listed"), [(80.0, 1), (20.0, 0)])
def test_a_model_in_doubt_accuses_no_reference(sure, listed):
    bins = [[100.0, 5.0, sure], *([[0.0, 0.0, 0.0]] * 254), [100.0, 5.0, 100 - sure]]
    dice = [0.90, 0.91, 0.92, 0.89, 0.90, 0.91, 0.93, 0.90, 0.55]
    assert len(suspicious(records(dice, bins), ["organ"])) == listed


def test_with_several_folds_all_must_be_against_the_label(tmp_path):
    one, two, flat = (
        [0.90, 0.91, 0.92, 0.89, 0.90, 0.91, 0.93, 0.55, 0.55],
        [0.85] * 7 + [0.84, 0.50],
        [0.9] * 9,
    )
    other = earlier_folder(tmp_path / "other", records(two))
    found = suspicious(records(one), ["organ"], [other])
    assert [(e["case"], e["dice"], e["other_dice"]) for e in found] == [("case_08", 0.55, [0.50])]
    assert len(suspicious(records(one), ["organ"])) == 2
    fair = earlier_folder(tmp_path / "fair", records(flat))
    assert suspicious(records(one), ["organ"], [other, fair]) == []
    redrawn = earlier_folder(tmp_path / "redrawn", records(two, reference="b"))
    assert suspicious(records(one), ["organ"], [redrawn]) == []  # its figures are of other references
    with pytest.raises(ConfigError, match="no finished validation"):
        suspicious(records(one), ["organ"], [tmp_path])


def earlier_folder(path, some):
    path.mkdir()
    write_table(path / "metrics.csv", ValidateOptions(), some)
    (path / "metrics.json").write_text(json.dumps(result_of(some)))
    return path


def test_a_comparison_is_paired(tmp_path):
    dice = np.random.default_rng(0).uniform(0.5, 0.9, 20)
    before = earlier_folder(tmp_path / "earlier", records(dice.tolist()))
    better = compare(records((dice + 0.01).tolist()), ["organ"], before)
    told = better["structures"]["organ"]
    assert told["dice"]["mean"] == pytest.approx(0.01)
    assert told["dice"]["ci95"] == pytest.approx([0.01, 0.01], abs=1e-4)
    assert (told["dice"]["verdict"], told["dice"]["better"], told["dice"]["n"]) == ("better", 20, 20)
    assert told["msd_mm"]["mean"] == pytest.approx(-0.01)
    assert told["msd_mm"]["verdict"] == "better"
    assert told["nsd"] == {"n": 0}
    mixed = dice + np.where(np.arange(20) % 2, 0.02, -0.02)
    assert compare(records(mixed.tolist()), ["organ"], before)["structures"]["organ"]["dice"]["verdict"] == (
        "no clear difference"
    )


def test_a_comparison_leaves_out_what_isnt_comparable(tmp_path):
    before = earlier_folder(tmp_path / "earlier", records([0.8, 0.8, 0.8]))
    now = records([0.9, 0.9]) + records([0.1, 0.1, 0.1, 0.1], reference="b")[2:]
    told = compare(now, ["organ"], before)
    assert told["reference_changed"] == ["case_02"]
    assert told["only_now"] == ["case_03"]
    assert told["structures"]["organ"]["dice"]["n"] == 2
    with pytest.raises(ConfigError, match="no finished validation"):
        compare(now, ["organ"], tmp_path)


def test_a_gate_holds_breaks_and_says_which():
    result = result_of(records([0.8, 0.9]))
    gate = Gate.model_validate(
        {
            "bounds": [
                {"metric": "dice", "at_least": 0.85},
                {"structure": "organ", "metric": "dice", "statistic": "worst", "at_least": 0.81},
                {"metric": "dice", "statistic": "mean_low", "at_least": 0.79},
                {"metric": "hd95_mm", "at_most": 3},
                {"metric": "missed", "at_most": 0},
                {"metric": "unscored", "at_most": 0},
            ]
        }
    )
    told = check_gate(gate, result)
    assert [bound["holds"] for bound in told] == [True, False, True, False, True, True]
    assert told[1]["message"] == "organ dice worst: 0.8, must be at least 0.81"
    assert "nothing was measured" in told[3]["message"]


@pytest.mark.parametrize(
    ("bound", "message"),
    [
        ({"metric": "dice"}, "at_least, at_most or both"),
        ({"metric": "beauty", "at_least": 1}, "bounds.0.metric"),
        ({"metric": "dice", "at_least": 1, "colour": "red"}, "Extra inputs"),
    ],
)
def test_a_wrong_gate_is_refused(bound, message, tmp_path):
    (tmp_path / "gate.yaml").write_text(json.dumps({"bounds": [bound]}))
    with pytest.raises(ConfigError, match=message):
        load_gate(tmp_path / "gate.yaml")


def test_a_gate_that_doesnt_fit_the_run_is_refused():
    result = result_of(records([0.8]))
    with pytest.raises(ConfigError, match="no structure is called 'liver'"):
        check_gate(
            Gate.model_validate({"bounds": [{"structure": "liver", "metric": "dice", "at_least": 0}]}), result
        )
    change = {"metric": "dice", "statistic": "change", "at_least": 0}
    with pytest.raises(ConfigError, match="needs --compare"):
        check_gate(Gate.model_validate({"bounds": [change]}), result)


MODEL = {"hippocampus_anterior": (1,), "hippocampus_posterior": (2,)}


def test_names_meet_by_equality_words_or_choice():
    pairs, told = match({"Anterior": (1,), "Posterior": (2,)}, MODEL, {}, named=True)
    assert pairs == {"Anterior": "hippocampus_anterior", "Posterior": "hippocampus_posterior"}
    assert {finding.check for finding in told} == {"matched_names"}
    pairs, told = match({"Hippocampus-Anterior": (7,)}, MODEL, {}, named=True)
    assert pairs == {"Hippocampus-Anterior": "hippocampus_anterior"}
    assert [finding.check for finding in told] == ["unmatched_segment"]
    pairs, _ = match({"head": (1,)}, MODEL, {"head": "hippocampus_anterior"}, named=True)
    assert pairs == {"head": "hippocampus_anterior"}


def test_numbers_count_only_where_there_are_no_names():
    pairs, told = match({"label_1": (1,)}, MODEL, {}, named=False)
    assert pairs == {"label_1": "hippocampus_anterior"}
    assert told[0].check == "matched_names"
    with pytest.raises(ConfigError, match="use --map"):
        match({"liver": (1,), "spleen": (2,)}, MODEL, {}, named=True)
    with pytest.raises(ConfigError, match="use --map"):
        match({"anterior": (2,)}, MODEL, {}, named=True)  # the word fits, the number says otherwise
    with pytest.raises(ConfigError, match="neither a structure nor a segment"):
        match({"head": (1,)}, MODEL, {"head": "tail"}, named=True)


def test_what_has_no_partner_is_named():
    pairs, told = match({"Anterior": (1,), "liver": (3,)}, MODEL, {}, named=True)
    assert list(pairs) == ["Anterior"]
    assert {finding.check: finding.severity for finding in told} == {
        "matched_names": "info",
        "unmatched_structure": "warning",
        "unmatched_segment": "info",
    }


def test_calibration_counts_the_band_and_finds_an_honest_model_honest():
    """A model that says 0.3 on every voxel and is wrong on three of ten."""
    geometry = Geometry((40, 40, 40), np.diag([0.5, 0.5, 0.5, 1.0]))
    reference = np.zeros(geometry.shape, np.uint8)
    reference[:20] = 1
    random = np.random.default_rng(0)
    predicted = np.where(random.random(geometry.shape) < 0.3, 1 - reference, reference).astype(np.uint8)
    doubt = Doubt(geometry, np.full(geometry.shape, 0.3, np.float16), calibrated=True)
    bins = calibration_bins(predicted, reference, geometry, doubt)
    told = curve(bins)
    assert len(bins) == BINS
    assert told["points"][0][:2] == pytest.approx([0.3, 0.3], abs=0.01)
    assert told["expected_calibration_error"] < 0.01
    assert curve(add_up([bins, None, bins]))["voxels"] == 2 * told["voxels"]
    assert add_up([None]) is None
    assert sure_share(bins) == 0.0


def test_calibration_looks_only_near_boundaries_and_takes_no_doubt_as_none():
    geometry = Geometry((40, 10, 10), np.diag([1.0, 1.0, 1.0, 1.0]))
    reference = np.zeros(geometry.shape, np.uint8)
    reference[:20] = 1
    predicted = np.zeros(geometry.shape, np.uint8)
    predicted[:21] = 1
    doubt = Doubt(
        geometry.cropped((20, 0, 0), (1, 10, 10)), np.full((1, 10, 10), 0.75, np.float16), calibrated=False
    )
    bins = calibration_bins(predicted, reference, geometry, doubt)
    assert bins[192] == [100.0, 75.0, 100.0]  # the slice that is wrong
    assert bins[0] == [
        300.0,
        0.0,
        0.0,
    ]  # 2 mm on both sides of the reference's boundary are four slices in all
    assert sum(entry[0] for entry in bins) == 400
    told = curve(bins)
    assert told["points"] == [[0.0, 0.0, 300], [0.75, 1.0, 100]]
    assert told["expected_calibration_error"] == 0.0625
    assert sure_share(bins) == 0.0


def test_points_of_the_curve_hold_about_equally_many_voxels():
    bins = [[10.0, 10 * (n + 0.5) / BINS, 5.0] for n in range(BINS)]
    counts = [n for _, _, n in curve(bins)["points"]]
    assert sum(counts) == 10 * BINS
    assert len(counts) == 15
    assert max(counts) - min(counts) <= 60


def test_the_gate_in_the_how_to_is_one(tmp_path):
    text = (Path(__file__).parents[3] / "docs" / "how-to" / "validate-a-model.md").read_text()
    (tmp_path / "gate.yaml").write_text(text.split("```yaml")[1].split("```")[0])
    assert len(load_gate(tmp_path / "gate.yaml").bounds) == 6

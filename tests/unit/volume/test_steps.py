"""Uniform grids through uneven steps: the step, what is kept, and where repair ends."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tomosurf.volume.steps import carried, excess, record, regular, synthesised, unevenness
from tomosurf.volume.tolerances import Tolerances

PLAIN = Tolerances()


def grid(zs, tolerances=PLAIN):
    """Places, the words beyond the limits, and the ledger of slices at ``zs``."""
    depths = np.asarray(zs, float)
    found = unevenness(depths, tolerances)
    assert found is not None
    places = regular(depths, found, tolerances)
    return places, list(excess(depths, places, found, tolerances)), record(depths, places, found)


def test_even_slices_need_nothing():
    assert unevenness(np.arange(5) * 2.5, PLAIN) is None
    assert unevenness(np.array([0, 1.009, 2, 3.0, 3.991, 5]), PLAIN) is None


def test_a_missing_slice_leaves_every_other_where_it_is():
    places, beyond, (found, made) = grid([0, 3, 6, 9, 15, 18, 21])
    assert places.tolist() == [0, 1, 2, 3, 5, 6, 7]
    assert not beyond
    assert (found.code, found.message) == ("missing_slice", "1 missing between slices 3 mm apart")
    assert (made.code, made.slices, found.slices) == ("interpolated_slice", (4,), (4,))
    assert "1 of 8 slices, 3 mm apart" in made.message


def test_one_displaced_slice_is_the_only_one_resampled():
    places, beyond, ledger = grid([0, 1, 2.2, 3, 4, 5])
    assert places.tolist() == [0, 1, 2.2, 3, 4, 5]
    assert not beyond
    assert [entry.code for entry in ledger] == ["nonuniform_spacing", "interpolated_slice"]
    assert ledger[1].slices == (2,)
    assert "steps from 0.8 to 1.2 mm; 1 of 6 acquired slices lie off" in ledger[0].message


def test_steps_that_drift_get_the_median_step():
    zs = np.cumsum([0.0, *(1.0 + 0.0005 * n for n in range(20))])
    places, beyond, ledger = grid(zs)
    assert not beyond
    assert places[-1] == 20
    assert ledger[0].code == "nonuniform_spacing"
    assert ledger[1].slices
    assert set(ledger[1].slices) == set(range(21)) - {int(p) for p in places if p == int(p)}


@given(
    st.lists(st.floats(0.26, 3.0), min_size=3, max_size=40).filter(
        lambda steps: min(steps) >= 0.26 * np.sort(steps)[(len(steps) - 1) // 2]
    )
)
def test_the_grid_is_uniform_of_the_same_extent_and_no_coarser_than_the_median(steps):
    depths = np.append(0.0, np.cumsum(steps))
    found = unevenness(depths, PLAIN)
    if found is None:
        return
    places = regular(depths, found, PLAIN)
    assert (np.diff(places) > 0).all()
    assert places[0] == 0
    assert places[-1] == int(places[-1])
    step = depths[-1] / places[-1]
    median = np.sort(steps)[(len(steps) - 1) // 2]
    assert step <= median + PLAIN.of(median) + 1e-9
    assert np.abs(places * step - depths).max() <= PLAIN.of(step) + 1e-9
    made = synthesised(places)
    kept = [int(p) for p in places if p == int(p)]
    assert len(kept) == len(set(kept))
    assert sorted([*made, *kept]) == list(range(int(places[-1]) + 1))


@pytest.mark.parametrize(
    ("zs", "limit", "loosened"),
    [
        ([*range(20), *range(24, 44)], "at most 3 slices in a row, here 4", {"max_missing": 4}),
        ([*range(0, 110, 11), *range(121, 220, 11)], "gaps of at most 20 mm, here 22 mm", {"max_gap_mm": 22}),
        ([0, 1, 2, 4, 6, 7], "at most 20% more slices, here 2 of 8", {"max_added": 0.25}),
        ([0, 1, 2, 2.2, 3, 4], "slices at least 0.25 mm apart, here 0.2 mm", {"min_step": 0.2}),
    ],
)
def test_every_limit_is_named_and_can_be_moved(zs, limit, loosened):
    beyond = grid(zs)[1]
    assert beyond == [limit]
    assert not grid(zs, Tolerances(**loosened))[1]


def test_what_is_odd_about_a_slice_is_carried_to_what_is_made_of_it():
    places = np.array([0, 1, 3, 4.5, 6])
    assert carried(places, [1]) == (1, 2)
    assert carried(places, [3]) == (4, 5)
    assert carried(places, [0, 4]) == (0, 5, 6)
    assert carried(np.arange(4.0), [0, 2, 3]) == (0, 2, 3)
    assert carried(places, []) == ()

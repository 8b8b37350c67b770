from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.mutations import (
    GRID,
    KINDS,
    Broken,
    check_place,
    check_values,
    check_whole,
    damaged,
    good,
    try_one,
)
from tomosurf.data.geometry import Geometry
from tomosurf.ingest.read import read
from tomosurf.testing.dicom_writer import Syntax
from tomosurf.volume.build import build

CASES = 40


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_damage_gives_the_truth_or_a_refusal(tmp_path: Path, kind: Syntax) -> None:
    """``python -m tests.mutations --count 20000`` tries the rest."""
    series = good(kind, tmp_path)
    outcomes = {try_one(series, number, tmp_path) for number in range(CASES)}
    assert "volume" in outcomes
    assert len(outcomes) > 2


def test_damage_is_always_the_same() -> None:
    data = bytes(range(256)) * 20
    first, again = ([damaged(data, np.random.default_rng([1, n])) for n in range(200)] for _ in range(2))
    assert first == again
    assert sum(spoilt != data for spoilt in first) > 190
    assert {len(spoilt) < len(data) for spoilt in first} == {True, False}


def test_the_checks_can_fail(tmp_path: Path) -> None:
    """A grid that is 0.01 mm off, a value that is one off and a lost slice are found."""
    known = good("explicit-le", tmp_path)
    intake = read(tmp_path)
    (series,) = intake.studies[0].series
    volume = build(series)
    check_place(volume.geometry, series, "0003.dcm", known, tmp_path)
    check_values(volume.array, volume.geometry, series, "0003.dcm", known)
    for entry in np.ndindex(3, 4):
        affine = volume.geometry.affine.copy()
        affine[entry] += 0.01
        with pytest.raises(Broken):
            check_place(Geometry(GRID.shape, affine), series, "0003.dcm", known, tmp_path)
    for k, caught in enumerate((True, True, False, True, True)):
        array = volume.array.copy()
        array[3, 3, k] += 1
        if caught:
            with pytest.raises(Broken):
                check_values(array, volume.geometry, series, "0003.dcm", known)
        else:
            check_values(array, volume.geometry, series, "0003.dcm", known)
    with pytest.raises(Broken):
        check_whole(series, [*known.files, "0006.dcm"])
    check_whole(series, list(known.files))


@pytest.mark.parametrize(
    ("kind", "number"),
    [("implicit-le", 1159), ("explicit-le", 1965), ("explicit-be", 900), ("deflated", 994)],
)
def test_slices_that_once_got_lost(kind: Syntax, number: int, tmp_path: Path) -> None:
    """A UID with a backslash, a file that ends in its preamble, two broken SOP classes, two broken UIDs."""
    assert not try_one(good(kind, tmp_path), number, tmp_path).startswith("volume")

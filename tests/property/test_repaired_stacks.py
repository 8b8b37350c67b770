"""Law: whichever slices are lost from a stack, in any place, repair keeps the rest and makes up no more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tomosurf.data.geometry import Geometry
from tomosurf.errors import InputRefused
from tomosurf.ingest.read import read
from tomosurf.testing.dicom_writer import SeriesOptions, write_series
from tomosurf.testing.strategies import geometries
from tomosurf.volume.build import build, examine


@st.composite
def gapped(draw: st.DrawFn) -> tuple[Geometry, set[int], int]:
    """A grid, slices to lose (at most a fifth, no end, whole steps in the majority), and a seed."""
    geometry = draw(geometries(min_shape=10, max_shape=16))
    count = geometry.shape[2]
    lost = draw(st.sets(st.integers(1, count - 2), min_size=1, max_size=count // 5))
    return geometry, lost, draw(st.integers(0, 99))


@settings(max_examples=30, deadline=None)
@given(gapped())
def test_a_gap_is_filled_and_nothing_else_changes(stack: tuple[Geometry, set[int], int]) -> None:
    geometry, lost, seed = stack
    rng = np.random.default_rng(seed)
    values = rng.integers(-900, 2000, geometry.shape).astype(np.int16)
    with TemporaryDirectory() as folder:
        write_series(Path(folder), values, geometry, SeriesOptions(shuffle=seed, rescale=(1.0, 0.0)))
        (series,) = read(Path(folder)).studies[0].series
        whole = build(series)
        depths = [float(np.dot(i.position, geometry.slice_normal)) for i in series.instances]
        rank = np.argsort(np.argsort(depths))
        kept = [n for n in range(len(depths)) if int(rank[n]) not in lost]
        order = rng.permutation(len(kept))
        holes = replace(series, instances=tuple(series.instances[kept[n]] for n in order))
        with pytest.raises(InputRefused) as caught:
            build(holes)
        volume = build(holes, policy="repair")
    assert caught.value.code == "missing_slice"
    assert np.abs(volume.geometry.corners() - whole.geometry.corners()).max() < 1e-3
    assert np.array_equal(examine(holes, policy="repair").affine, volume.geometry.affine)
    made = sorted(lost)
    found = {entry.code: list(entry.slices) for entry in volume.ledger}
    assert found["interpolated_slice"] == found["missing_slice"] == made
    acquired = [k for k in range(geometry.shape[2]) if k not in lost]
    assert volume.array.dtype == whole.array.dtype
    assert np.array_equal(volume.array[:, :, acquired], whole.array[:, :, acquired])
    for k in made:
        below = max(n for n in acquired if n < k)
        above = min(n for n in acquired if n > k)
        sides = np.sort(whole.array[:, :, [below, above]], axis=2)
        assert (sides[:, :, 0] <= volume.array[:, :, k]).all()
        assert (volume.array[:, :, k] <= sides[:, :, 1]).all()

"""Law: a volume written as DICOM, in any place, order and encoding, is read back as it was."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tomosurf.data.geometry import Geometry
from tomosurf.ingest.read import read
from tomosurf.testing.dicom_writer import SeriesOptions, write_series
from tomosurf.testing.strategies import geometries
from tomosurf.volume.build import build

SMALL = ("implicit-le", "explicit-le", "explicit-be", "deflated", "rle", "jpeg-lossless")
"""Syntaxes whose encoders manage slices of a few voxels."""


@st.composite
def stacks(draw: st.DrawFn) -> tuple[Geometry, Any, SeriesOptions]:
    geometry = draw(geometries(max_shape=9))
    bits = draw(st.integers(9, 16))
    dtype = draw(st.sampled_from([np.int16, np.uint16]))
    low = -(1 << (bits - 1)) if dtype is np.int16 else 0
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    values = rng.integers(low, low + (1 << bits), geometry.shape).astype(dtype)
    options = SeriesOptions(
        modality=draw(st.sampled_from(["CT", "MR"])),
        syntax=draw(st.sampled_from(SMALL)),
        bits_stored=bits,
        shuffle=draw(st.none() | st.integers(0, 99)),
        rescale=(draw(st.sampled_from([1.0, 0.5, 2.0])), float(draw(st.integers(-2048, 64)))),
    )
    return geometry, values, options


def along_the_normal(geometry: Geometry, values: Any) -> tuple[Geometry, Any]:
    """The same grid with k along the normal of the slices, as it is read."""
    if geometry.is_right_handed:
        return geometry, values
    affine = geometry.affine.copy()
    affine[:3, 3] = geometry.to_world([[0, 0, geometry.shape[2] - 1]])[0]
    affine[:3, 2] *= -1
    return Geometry(geometry.shape, affine), values[:, :, ::-1]


@settings(max_examples=60, deadline=None)
@given(stacks())
def test_what_is_written_is_read(stack: tuple[Geometry, Any, SeriesOptions]) -> None:
    geometry, values, options = stack
    with TemporaryDirectory() as folder:
        write_series(Path(folder), values, geometry, options)
        intake = read(Path(folder))
        assert not intake.refused
        volume = build(intake.studies[0].series[0])
    expected, values = along_the_normal(geometry, values)
    assert np.abs(volume.geometry.corners() - expected.corners()).max() < 1e-3
    slope, intercept = options.rescale  # type: ignore[misc]
    assert np.array_equal(volume.array, values * slope + intercept)
    assert any(entry.code == "gantry_tilt" for entry in volume.ledger) is not volume.geometry.is_orthogonal

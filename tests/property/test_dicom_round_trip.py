"""Law: a volume written as DICOM, in any place, order and encoding, is read back as it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tomosurf.data.geometry import Geometry
from tomosurf.data.volume import Volume
from tomosurf.ingest.read import read
from tomosurf.testing.dicom_writer import JPEG_2000_LEAST, SYNTAXES, SeriesOptions, write_series
from tomosurf.testing.multi_frame import Frame, FrameOptions, write_frames
from tomosurf.testing.strategies import geometries
from tomosurf.volume.build import build

NEEDS_ROOM = ("jpeg-ls", "jpeg-2000")
"""Syntaxes whose encoders fail at slices of a few voxels, or of noise."""


@st.composite
def stacks(
    draw: st.DrawFn, syntaxes: tuple[str, ...] = tuple(SYNTAXES)
) -> tuple[Geometry, Any, SeriesOptions]:
    """A grid, stored values that use all their bits, and how they are written."""
    syntax = draw(st.sampled_from(syntaxes))
    geometry = draw(geometries(max_shape=9))
    if syntax in NEEDS_ROOM:
        columns, rows, count = geometry.shape
        geometry = Geometry((columns + JPEG_2000_LEAST, rows + JPEG_2000_LEAST, count), geometry.affine)
    bits = draw(st.integers(9, 16))
    dtype = draw(st.sampled_from([np.int16, np.uint16]))
    low = -(1 << (bits - 1)) if dtype is np.int16 else 0
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    values = rng.integers(low, low + (1 << bits), geometry.shape).astype(dtype)
    if syntax in NEEDS_ROOM:
        values.sort(axis=0)
    options = SeriesOptions(
        modality=draw(st.sampled_from(["CT", "MR"])),
        syntax=syntax,  # type: ignore[arg-type]
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


def read_back(folder: str) -> Volume:
    """The one volume of a folder of which nothing is refused."""
    intake = read(Path(folder))
    assert not intake.refused
    (study,) = intake.studies
    (series,) = study.series
    return build(series)


def check(volume: Volume, geometry: Geometry, values: Any, rescale: tuple[float, float]) -> None:
    """Corners within 1e-3 mm, and every value."""
    expected, values = along_the_normal(geometry, values)
    assert volume.geometry.shape == expected.shape
    assert np.abs(volume.geometry.corners() - expected.corners()).max() < 1e-3
    assert np.array_equal(volume.array, values * rescale[0] + rescale[1])
    assert any(entry.code == "gantry_tilt" for entry in volume.ledger) is not volume.geometry.is_orthogonal


@settings(max_examples=80, deadline=None)
@given(stacks())
def test_what_is_written_is_read(stack: tuple[Geometry, Any, SeriesOptions]) -> None:
    geometry, values, options = stack
    with TemporaryDirectory() as folder:
        write_series(Path(folder), values, geometry, options)
        volume = read_back(folder)
    check(volume, geometry, values, options.rescale)  # type: ignore[arg-type]


@settings(max_examples=40, deadline=None)
@given(stacks(), st.sampled_from(["none", "basic", "extended"]))
def test_frames_of_one_object_are_read(stack: tuple[Geometry, Any, SeriesOptions], offsets: Any) -> None:
    """In any order of frames."""
    geometry, values, options = stack
    order = np.random.default_rng(options.shuffle).permutation(geometry.shape[2])
    if options.shuffle is None:
        order = np.arange(geometry.shape[2])
    axes = geometry.affine[:3, :3] / geometry.spacing
    frames = [
        Frame(
            position=tuple(geometry.to_world([[0, 0, k]])[0]),
            stored=values[:, :, k].T,
            orientation=(*axes[:, 0], *axes[:, 1]),
            rescale=options.rescale,  # type: ignore[arg-type]
        )
        for k in order
    ]
    spacing = geometry.spacing[1], geometry.spacing[0]
    about = FrameOptions(series=replace(options, shuffle=None), pixel_spacing=spacing, offsets=offsets)
    with TemporaryDirectory() as folder:
        write_frames(Path(folder) / "frames.dcm", frames, about)
        volume = read_back(folder)
    check(volume, geometry, values, options.rescale)  # type: ignore[arg-type]

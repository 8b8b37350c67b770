"""Fixtures that many tests share: the generated sample studies and the folder of real data."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")  # what fails there fails for everyone; elsewhere examples are drawn anew


@pytest.fixture(scope="session")
def sample_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The three sample studies and ``ct-phantom.truth.json``, generated once a session; don't write to it."""
    from sample_data.make_sample_data import make

    out = tmp_path_factory.mktemp("sample-data")
    make(out)
    return out


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real studies that ``TOMOSURF_SHARED_DATA`` names; skips without it."""
    folder = os.environ.get("TOMOSURF_SHARED_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("TOMOSURF_SHARED_DATA names no folder of real studies")
    return Path(folder)


@pytest.fixture(scope="session")
def small_ct(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CT series of a bony ball (700 HU, 60 mm across) in a soft-tissue ball in air; runs in seconds."""
    import numpy as np

    from tomosurf.data.geometry import Geometry
    from tomosurf.testing.dicom_writer import SeriesOptions, write_series
    from tomosurf.testing.phantoms import Ball, rasterise

    affine = np.diag([2.0, 2.0, 2.5, 1.0])
    affine[:3, 3] = (-80.0, 40.0, -700.0)
    geometry = Geometry((64, 60, 48), affine)
    values = np.full(geometry.shape, -1000.0)
    for radius, intensity in ((50.0, 40.0), (30.0, 700.0)):
        fraction = rasterise(Ball((-17.0, 99.0, -641.0), radius), geometry)
        values = values * (1 - fraction) + intensity * fraction
    folder = tmp_path_factory.mktemp("small-ct")
    write_series(folder, np.rint(values + 1024).astype(np.int16), geometry, SeriesOptions(study="small"))
    return folder

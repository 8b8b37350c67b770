"""Fixtures that many tests share: the generated sample studies and the folder of real data."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

if "PYTEST_XDIST_WORKER" in os.environ:
    # workers share the cores, and threads of several that wait for each other take several times the time
    for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ.setdefault(name, "1")

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
    return _balls(tmp_path_factory.mktemp("small-ct"), 50.0)


@pytest.fixture(scope="session")
def small_head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with 110 mm of soft tissue: as large as a small head, and so taken for one."""
    return _balls(tmp_path_factory.mktemp("small-head"), 55.0)


def _balls(folder: Path, outer_mm: float) -> Path:
    import numpy as np

    from tomosurf.data.geometry import Geometry
    from tomosurf.testing.dicom_writer import SeriesOptions, write_series
    from tomosurf.testing.phantoms import Ball, rasterise

    affine = np.diag([2.0, 2.0, 2.5, 1.0])
    affine[:3, 3] = (-80.0, 40.0, -700.0)
    geometry = Geometry((64, 60, 48), affine)
    values = np.full(geometry.shape, -1000.0)
    for radius, intensity in ((outer_mm, 40.0), (30.0, 700.0)):
        fraction = rasterise(Ball((-17.0, 99.0, -641.0), radius), geometry)
        values = values * (1 - fraction) + intensity * fraction
    write_series(folder, np.rint(values + 1024).astype(np.int16), geometry, SeriesOptions(study="small"))
    return folder


@pytest.fixture(scope="session")
def thick_mr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MR series of 5 mm slices with a bright ball: longer than a crop, and too coarse for the hippocampus."""
    import numpy as np

    from tomosurf.data.geometry import Geometry
    from tomosurf.testing.dicom_writer import SeriesOptions, write_series
    from tomosurf.testing.phantoms import Ball, rasterise

    grid = Geometry((30, 30, 20), np.diag([3.0, 3.0, 5.0, 1.0]))
    values = np.rint(1000 * rasterise(Ball((45.0, 45.0, 50.0), 25.0), grid)).astype(np.uint16)
    folder = tmp_path_factory.mktemp("thick-mr")
    options = SeriesOptions(modality="MR", study="thick", series="thick", rescale=None)
    write_series(folder, values, grid, options)
    return folder


@pytest.fixture(scope="session")
def far_protocol(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """mr-hippocampus as a file that takes slices however far apart, and so leaves them to the gates."""
    import yaml

    from tomosurf.config import load_protocol

    content = load_protocol("mr-hippocampus").model_dump(mode="json")
    content["name"] = "far-slices"
    del content["series"]["require"]
    path = tmp_path_factory.mktemp("far") / "far-slices.yaml"
    path.write_text(yaml.safe_dump(content))
    return path

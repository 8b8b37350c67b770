from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tomosurf.data.geometry import Geometry
from tomosurf.data.series import Series
from tomosurf.testing.dicom_writer import SeriesOptions, write_series

GEOMETRY = Geometry((7, 5, 6), np.diag([0.5, 0.75, 2.0, 1.0]))
Written = Callable[..., Series]


def stored(
    shape: tuple[int, int, int] = GEOMETRY.shape, dtype: Any = np.int16, high: int = 2000
) -> NDArray[Any]:
    """Values that differ from voxel to voxel."""
    return np.random.default_rng(3).integers(0, high, shape).astype(dtype)


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Write a series and read its headers back: ``written(values=..., geometry=..., **SeriesOptions)``."""

    def write(values: NDArray[Any] | None = None, geometry: Geometry = GEOMETRY, **options: Any) -> Series:
        from tomosurf.ingest.read import read

        if values is None:
            values = stored(geometry.shape)
        write_series(tmp_path / "in", values, geometry, SeriesOptions(**options))
        intake = read(tmp_path / "in")
        assert not intake.refused
        return intake.studies[0].series[0]

    return write

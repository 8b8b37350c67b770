from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tomosurf.data.geometry import Geometry
from tomosurf.testing.dicom_writer import SeriesOptions, write_series

SHAPE = (5, 4, 3)
Write = Callable[..., tuple[Path, ...]]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a small series into ``tmp_path / "in"`` and return its files in stack order."""

    def write_small(folder: str = "in", **options: Any) -> tuple[Path, ...]:
        stored = np.arange(60, dtype=np.int16).reshape(SHAPE)
        geometry = Geometry(SHAPE, np.diag([0.5, 0.75, 2.0, 1.0]))
        return write_series(tmp_path / folder, stored, geometry, SeriesOptions(**options))

    return write_small

"""Fixtures for the tests of segment and train."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Trained:
    """A training run: its data set, its configuration's file, the model's folder and its metrics."""

    data: Path
    config: Path
    model: Path
    metrics: dict[str, Any]


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """The two-ball model, trained on the CPU for a few seconds."""
    from tests.two_balls import training, write_data, write_training
    from tomosurf.progress import silent
    from tomosurf.train.run import Wanted, train

    folder = tmp_path_factory.mktemp("two-balls")
    data = write_data(folder / "data")
    config = write_training(folder / "training.yaml", training())
    metrics = train(config, data, folder / "model", Wanted("cpu", fold=0), silent)
    return Trained(data, config, folder / "model", metrics)

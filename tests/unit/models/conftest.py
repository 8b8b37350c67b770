"""A small bundle with a known answer, and a folder of models of the test's own."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import torch

from tests import zoo_bundles
from tests.zoo_bundles import ZOO, Zoo

EVERYWHERE = Zoo(
    "everywhere",
    {
        "_target_": "UNet",
        "spatial_dims": 3,
        "in_channels": 1,
        "out_channels": 2,
        "channels": [4, 8],
        "strides": [2],
    },
    ZOO[0].preprocessing,
    ZOO[0].inferer,
    ZOO[0].postprocessing,
    channels=("background", "field"),
    extra=ZOO[0].extra,
)
"""A network whose weights are zero but for its last bias: every voxel that was measured is "field"."""


def everywhere_weights() -> dict[str, torch.Tensor]:
    from monai.networks.nets import UNet

    network = UNet(3, 1, 2, (4, 8), (2,))
    state = {name: torch.zeros_like(tensor) for name, tensor in network.state_dict().items()}
    last = [name for name in state if name.endswith("bias") and state[name].shape == (2,)][-1]
    state[last] = torch.tensor([0.0, 5.0])
    return state


def zipped(folder: Path, archive: Path, inside: str = "everywhere_ct") -> Path:
    """The folder's files in a ZIP, under one folder in it, as publishers pack them."""
    with zipfile.ZipFile(archive, "a") as content:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                content.write(path, f"{inside}/{path.relative_to(folder)}")
    return archive


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return zoo_bundles.write(
        tmp_path_factory.mktemp("zoo") / "everywhere_ct", EVERYWHERE, everywhere_weights()
    )


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder of models: empty, and not there yet."""
    folder = tmp_path / "models"
    monkeypatch.setenv("TOMOSURF_MODELS", str(folder))
    return folder

"""Model descriptions and weights: closed, sealed, and never code."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load, save

from tests.two_balls import description
from tests.unit.conftest import Trained
from tomosurf.errors import ConfigError, ModelError, UnknownNameError
from tomosurf.segment.architectures import (
    DynUNet,
    DynUNetArguments,
    SegResNet,
    SegResNetArguments,
    UNet,
    UNetArguments,
    build,
)
from tomosurf.segment.model.catalogue import find_model, model_names
from tomosurf.segment.model.spec import load_spec
from tomosurf.segment.model.weights import load_networks, pack_tensors, tensors_of


@pytest.fixture
def model(trained: Trained, tmp_path: Path) -> Path:
    """A copy of the two-ball model that a test may spoil."""
    return Path(shutil.copytree(trained.model, tmp_path / "model"))


def change(model: Path, **values: Any) -> None:
    path = model / "model.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **values}))


def put_weights(model: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Other tensors with their right digest."""
    content = save(tensors)
    (model / "weights.safetensors").write_bytes(content)
    weights = yaml.safe_load((model / "model.yaml").read_text())["weights"][0]
    change(model, weights=[{**weights, "sha256": hashlib.sha256(content).hexdigest()}])


def test_shipped_models_load_and_are_small() -> None:
    assert "mr-hippocampus" in model_names()
    for name in model_names():
        folder = find_model(name)
        spec = load_spec(folder)
        assert spec.name == name
        assert (folder / "README.md").is_file(), "a model ships with a card"
        assert (folder / spec.weights[0].file).stat().st_size <= 12_000_000
        load_networks(folder, spec)


def test_reading_a_description_is_cheap() -> None:
    program = (
        "import sys; from tomosurf.segment.model.catalogue import find_model, model_names;"
        "from tomosurf.segment.model.spec import load_spec;"
        "[load_spec(find_model(name)) for name in model_names()];"
        "sys.exit(sorted({'torch', 'monai', 'vtk', 'scipy'} & set(sys.modules)) or 0)"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_a_folder_is_found_and_a_stranger_is_not(model: Path, tmp_path: Path) -> None:
    assert find_model(str(model)) == model
    with pytest.raises(UnknownNameError, match="known: mr-hippocampus"):
        find_model(str(tmp_path / "none"))
    with pytest.raises(ModelError, match=r"holds no model\.yaml"):
        load_spec(tmp_path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"colour": "red"}, "colour: Extra inputs"),
        ({"architecture": {"name": "os.system", "arguments": {}}}, "architecture"),
        (
            {
                "architecture": {
                    "name": "UNet",
                    "arguments": {"channels": [8, 16], "strides": [2], "_target_": "x"},
                }
            },
            "_target_",
        ),
        ({"architecture": {"name": "UNet", "arguments": {"channels": [8, 16], "strides": []}}}, "strides"),
        ({"channels": 2}, "a segment's label is a channel"),
        ({"window": {"roi": [21, 20, 16]}}, "divisible"),
        ({"window": {"roi": [20, 20, 16], "overlap": 1.0}}, "overlap"),
        ({"modality": "US"}, "modality"),
        (
            {"weights": [{"file": "../w.safetensors", "sha256": "0" * 64, "dtype": "float16"}]},
            "weights.0.file",
        ),
        ({"weights": [{"file": "w.pt", "sha256": "0" * 64, "dtype": "float16"}]}, "weights.0.file"),
        ({"segments": []}, "segments"),
    ],
)
def test_a_wrong_description_is_refused_by_place(model: Path, values: dict[str, Any], message: str) -> None:
    change(model, **values)
    with pytest.raises(ConfigError, match=message):
        load_spec(model)


@pytest.mark.parametrize(
    "step",
    [
        {"do": "zscore", "clip_percentiles": [99, 1]},
        {"do": "percentiles", "lower": 50, "upper": 50},
        {"do": "range", "lower": 100, "upper": -100},
        {"do": "eval", "expression": "1"},
    ],
)
def test_a_senseless_step_is_refused(model: Path, step: dict[str, Any]) -> None:
    change(model, input={"steps": [{"do": "orient", "axes": "RAS"}, step]})
    with pytest.raises(ConfigError, match=r"input\.steps\.1"):
        load_spec(model)


def test_weights_that_were_changed_are_refused(model: Path) -> None:
    path = model / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match="SHA-256"):
        load_networks(model, load_spec(model))
    path.unlink()
    with pytest.raises(ModelError, match="can't be read"):
        load_networks(model, load_spec(model))


def test_weights_of_another_network_are_refused(model: Path) -> None:
    tensors = load((model / "weights.safetensors").read_bytes())
    name = sorted(tensors)[0]
    put_weights(model, {key: value for key, value in tensors.items() if key != name})
    with pytest.raises(ModelError, match="missing"):
        load_networks(model, load_spec(model))
    put_weights(model, {**tensors, "extra": torch.zeros(1)})
    with pytest.raises(ModelError, match="unknown"):
        load_networks(model, load_spec(model))
    put_weights(model, {**tensors, name: torch.zeros((1, 2, 3), dtype=torch.float16)})
    with pytest.raises(ModelError, match=r"not torch\.float16"):
        load_networks(model, load_spec(model))
    put_weights(model, {**tensors, name: tensors[name].to(torch.float32)})
    with pytest.raises(ModelError, match=r"not torch\.float16"):
        load_networks(model, load_spec(model))
    put_weights(model, {**tensors, name: torch.full_like(tensors[name], float("nan"))})
    with pytest.raises(ModelError, match="finite"):
        load_networks(model, load_spec(model))


def test_a_pickle_is_never_opened(model: Path, tmp_path: Path) -> None:
    """A torch file under the right digest: it would plant a file if anything unpickled it."""

    class Planted:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "canary",))

    torch.save({"weights": Planted()}, model / "weights.safetensors")
    digest = hashlib.sha256((model / "weights.safetensors").read_bytes()).hexdigest()
    change(model, weights=[{"file": "weights.safetensors", "sha256": digest, "dtype": "float16"}])
    with pytest.raises(ModelError, match="no safetensors file"):
        load_networks(model, load_spec(model))
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize(
    "architecture",
    [
        UNet(name="UNet", arguments=UNetArguments(channels=(4, 8, 16), strides=(2, 2), norm="batch")),
        SegResNet(name="SegResNet", arguments=SegResNetArguments(init_filters=8)),
        DynUNet(
            name="DynUNet",
            arguments=DynUNetArguments(
                filters=(4, 8, 16),
                kernels=((3, 3, 3),) * 3,
                strides=((1, 1, 1), (2, 2, 1), (2, 2, 2)),
                residual=True,
            ),
        ),
    ],
)
def test_every_architecture_runs_and_keeps_its_weights(architecture: Any, tmp_path: Path) -> None:
    """Built, packed, read back: the same numbers; its divisor is a window that it takes."""
    from tomosurf.train.publish import write_model

    torch.manual_seed(1)
    edges = tuple(step * 4 for step in architecture.divisor)
    described = description(architecture=architecture, window={"roi": edges})
    network = build(architecture, 1, 3).eval()
    spec = write_model(tmp_path, described, network)
    (again,) = load_networks(tmp_path, load_spec(tmp_path))
    x = torch.randn(1, 1, *edges)
    with torch.inference_mode():
        torch.testing.assert_close(again(x), network.half().float()(x), atol=1e-5, rtol=1e-5)
    assert again(x).shape == (1, 3, *edges)
    assert pack_tensors(tensors_of(again))[1:] == (spec.weights[0].sha256, "float16")

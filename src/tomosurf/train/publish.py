"""A trained network as a folder that tomosurf can segment with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from tomosurf.segment.model.imported import Imported
from tomosurf.segment.model.library import write
from tomosurf.segment.model.spec import ModelDescription, ModelSpec
from tomosurf.segment.model.weights import tensors_of


def write_model(folder: Path, description: ModelDescription, network: Any) -> ModelSpec:
    """Write model.yaml and float16 weights into ``folder``; the description seals the weights' digest."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: tensor.detach().to(torch.float16) if tensor.is_floating_point() else tensor.detach()
        for name, tensor in tensors_of(network).items()
    }
    return write(folder, Imported(description, (tensors,)))

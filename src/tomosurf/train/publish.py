"""A trained network as a folder that tomosurf can segment with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tomosurf.segment.spec import FILE_NAME, ModelDescription, ModelSpec, WeightsFile
from tomosurf.segment.weights import pack_weights

WEIGHTS_NAME = "weights.safetensors"


def write_model(folder: Path, description: ModelDescription, network: Any) -> ModelSpec:
    """Write model.yaml and float16 weights into ``folder``; the description seals the weights' digest."""
    folder.mkdir(parents=True, exist_ok=True)
    content, digest = pack_weights(network, "float16")
    spec = ModelSpec(
        **{name: getattr(description, name) for name in ModelDescription.model_fields},
        weights=(WeightsFile(file=WEIGHTS_NAME, sha256=digest, dtype="float16"),),
    )
    (folder / WEIGHTS_NAME).write_bytes(content)
    values = spec.as_yaml_values()
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=100, default_flow_style=None)
    (folder / FILE_NAME).write_text(text, encoding="utf-8")
    return spec

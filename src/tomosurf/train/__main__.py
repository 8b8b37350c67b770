"""Train a model: ``python -m tomosurf.train CONFIG --data DIR --out DIR``."""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from pathlib import Path

import torch

from tomosurf.errors import TomosurfError
from tomosurf.segment.device import choose_device
from tomosurf.segment.options import SegmentOptions
from tomosurf.segment.spec import load_spec
from tomosurf.train.batches import stack_cases
from tomosurf.train.calibration import calibrated
from tomosurf.train.config import load_training
from tomosurf.train.decathlon import read_cases, split
from tomosurf.train.fit import fit
from tomosurf.train.publish import write_model
from tomosurf.train.score import score


def train(config_path: Path, data: Path, out: Path, device_name: str = "auto") -> dict[str, object]:
    """Train, write the model to ``out`` with its figures in metrics.json, and return these.

    Raises:
        ConfigError: the configuration or the data set's description is wrong.
        DataError: a case can't be used.
    """
    config = load_training(config_path)
    device = choose_device(device_name)
    cases = {case.name: case for case in read_cases(data, config.model.modality)}
    names, held_out = split(list(cases), config.validation_cases, config.seed)
    began = time.perf_counter()
    network, curve = fit(
        config,
        stack_cases([cases[name] for name in names], config.model, device),
        stack_cases([cases[name] for name in held_out], config.model, device),
        _print_progress,
    )
    seconds = time.perf_counter() - began
    write_model(out, config.model, network)
    unseen, options = [cases[name] for name in held_out], SegmentOptions(device_name)
    spec = calibrated(out, unseen, options, _print_progress) if len(unseen) > 1 else load_spec(out)
    metrics: dict[str, object] = {
        "model": spec.name,
        "weights_sha256": spec.weights[0].sha256,
        "parameters": sum(tensor.numel() for tensor in network.parameters()),
        "training_cases": len(names),
        "held_out_cases": held_out,
        "held_out": score(out, unseen, options),
        "calibration": spec.calibration.model_dump() if spec.calibration else None,
        "curve": [{"step": p.step, "loss": round(p.loss, 4), "dice": list(p.dice)} for p in curve],
        "seconds": round(seconds, 1),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine(),
        "torch": str(torch.__version__),
    }
    (out / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
    return metrics


def _print_progress(stage: str, fraction: float) -> None:
    print(f"\r{stage} {fraction:6.1%}", end="", file=sys.stderr, flush=True)


def main() -> int:
    """The command line; 2 for wrong usage or a wrong file, with one line that says why."""
    parser = argparse.ArgumentParser(prog="python -m tomosurf.train", description="Train a model.")
    parser.add_argument("config", type=Path, help="YAML file, such as configs/training/mr-hippocampus.yaml")
    parser.add_argument("--data", type=Path, required=True, help="data set in the decathlon's form")
    parser.add_argument("--out", type=Path, required=True, help="folder for the model and its metrics")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    arguments = parser.parse_args()
    try:
        metrics = train(arguments.config, arguments.data, arguments.out, arguments.device)
    except TomosurfError as error:
        print(f"tomosurf: {error}", file=sys.stderr)
        return 2
    print(json.dumps(metrics["held_out"], indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""A network as OpenVINO runs it on a CPU: an optional extra, about twice as fast as torch there."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import torch

from tomosurf.segment.engine.compiled import Made, Shape

REPORTER = "openvino_telemetry"
"""OpenVINO's package that reports its use over the network as soon as OpenVINO is imported."""


def is_installed() -> bool:
    """Whether the extra ``openvino`` is there."""
    return find_spec("openvino") is not None


def openvino_network(network: Any, shape: Shape) -> Made:
    """``network`` (float32, on the CPU) in bfloat16 with float32 sums and outputs, for windows of ``shape``.

    The network is traced, not changed. The same input gives the same bytes.

    Raises:
        Exception: whatever tracing or OpenVINO raises.
    """
    with _nothing_reported():
        import openvino
        from openvino.frontend import FrontEndManager
        from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    with torch.no_grad(), torch.autocast("cpu", enabled=False):
        traced = torch.jit.trace(network, torch.zeros(shape), check_trace=False)
        decoder = TorchScriptPythonDecoder(traced)  # the reader holds no reference of its own
    reader = FrontEndManager().load_by_framework("pytorch")
    model = reader.convert(reader.load(decoder))
    model.reshape(list(shape))
    settings = {
        "INFERENCE_PRECISION_HINT": "bf16",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
    }
    made = openvino.Core().compile_model(model, "CPU", settings)

    def run(windows: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(made(windows.contiguous().numpy())[0]).clone()

    return run


def version() -> str:
    """OpenVINO's version, from the package's own record."""
    from importlib.metadata import version as installed

    return installed("openvino")


@contextmanager
def _nothing_reported() -> Iterator[None]:
    """Imports meanwhile don't find the package that reports; OpenVINO then uses a stub of its own."""
    before = sys.modules.get(REPORTER)
    sys.modules[REPORTER] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        sys.modules.pop(REPORTER)
        if before is not None:
            sys.modules[REPORTER] = before

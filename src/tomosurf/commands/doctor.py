"""``tomosurf doctor``: is this machine fit."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from importlib import metadata
from importlib.util import find_spec
from typing import Any

from tomosurf.console import Console

HELP = "say what this machine can do, and what to install for the rest"


def configure(parser: ArgumentParser) -> None:
    """One flag."""
    parser.add_argument(
        "--compile",
        action="store_true",
        help="compile the geometry's loops now (a minute, once), so that the first case needn't",
    )


def execute(arguments: Namespace, console: Console) -> int:
    """Run every probe; exit code 0 when the main job can run, pictures or not."""
    if arguments.compile:
        _compile()
    probes = [_memory(), _packages(), _codecs(), _device(), _pictures(), _prefect(), _models()]
    console.emit({"probes": probes})
    rows = [[probe["what"], probe["state"], probe["detail"]] for probe in probes]
    console.table("tomosurf doctor", ["what", "state", "detail"], rows)
    return 1 if any(probe["state"] == "missing" and probe["needed"] for probe in probes) else 0


def _compile() -> None:
    """Take a small label map through surfaces and thinning, so that Numba compiles and keeps what these need."""
    import numpy as np

    from tomosurf.data.geometry import Geometry
    from tomosurf.data.segmentation import Code, Margin, Segment, Segmentation
    from tomosurf.label_surfaces import case_of_labels
    from tomosurf.surface.decimate import Target
    from tomosurf.surface.lighter import lighter

    geometry = Geometry((24, 24, 24), np.eye(4))
    segments = tuple(
        Segment(label, f"block-{label}", Code("123037004", "Body structure"), (200, 200, 200))
        for label in (1, 2, 3)
    )
    labels = np.zeros(geometry.shape, np.uint8, order="F")
    labels[4:12, 4:20, 4:20], labels[12:20, 4:12, 4:20], labels[12:20, 12:20, 4:20] = 1, 2, 3
    margins = {
        segment.label: Margin(geometry, np.where(labels == segment.label, np.float32(1), np.float32(-1)))
        for segment in segments
    }
    case_of_labels(Segmentation(geometry, labels, segments, margins))
    case = case_of_labels(Segmentation(geometry, labels, segments))
    lighter(case.scene, Target(200))


def _probe(what: str, good: bool, detail: str, needed: bool = False) -> dict[str, Any]:
    return {"what": what, "state": "ok" if good else "missing", "detail": detail, "needed": needed}


def _memory() -> dict[str, Any]:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return _probe(
        "memory", total >= 4, f"{total:.1f} GB, {os.cpu_count()} cores; 4 GB are enough for 512x512x300"
    )


def _packages() -> dict[str, Any]:
    names = ("numpy", "pydicom", "torch", "monai", "vtk", "SimpleITK", "nibabel", "connected-components-3d")
    versions = []
    for name in names:
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            return _probe("packages", False, f"{name} is missing: pip install tomosurf", needed=True)
    return _probe("packages", True, ", ".join(versions), needed=True)


def _codecs() -> dict[str, Any]:
    modules = {"openjpeg": "JPEG 2000", "libjpeg": "JPEG", "rle": "RLE", "jpeg_ls": "JPEG-LS"}
    absent = [title for module, title in modules.items() if find_spec(module) is None]
    detail = (
        f"no decoder for {', '.join(absent)}: pip install tomosurf" if absent else ", ".join(modules.values())
    )
    return _probe("decoders", not absent, detail)


def _device() -> dict[str, Any]:
    import torch

    if torch.cuda.is_available():
        return _probe("device", True, f"CUDA: {torch.cuda.get_device_name(0)}")
    return _probe("device", True, "CPU (no CUDA device); the same labels, slower")


def _pictures() -> dict[str, Any]:
    from tomosurf.errors import RenderingUnavailable
    from tomosurf.report.pictures import probe

    try:
        found = probe()
        return _probe("pictures", True, f"{found.renderer}, OpenGL {found.version}")
    except RenderingUnavailable as error:
        return _probe("pictures", False, str(error))


def _prefect() -> dict[str, Any]:
    try:
        return _probe("flows", True, f"prefect {metadata.version('prefect')}")
    except metadata.PackageNotFoundError:
        return _probe(
            "flows", False, "optional: pip install 'tomosurf[flows]'; `tomosurf run` needs no Prefect"
        )


def _models() -> dict[str, Any]:
    from tomosurf.segment.model.catalogue import find_model, model_names
    from tomosurf.segment.model.spec import load_spec

    names = model_names()
    absent = [
        name
        for name in names
        for weights in load_spec(find_model(name)).weights
        if not (find_model(name) / weights.file).is_file()
    ]
    if absent:
        return _probe("models", False, f"weights are missing: {', '.join(absent)}; install tomosurf again")
    return _probe("models", bool(names), ", ".join(names))

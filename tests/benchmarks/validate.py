"""Cases a minute of ``tomosurf validate`` with mr-hippocampus, on one GPU, two, four ... or one core, two ...

``TOMOSURF_SHARED_DATA`` names the folder that holds msd-hippocampus-208; without it, crops as large are made.
``TOMOSURF_BENCH_CASES`` says how many cases (32 on a CPU and 208 on GPUs, unless told).
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from tests.benchmarks.harness import Figure, main
from tomosurf.data.geometry import Geometry
from tomosurf.data.segmentation import Code, Segment, Segmentation
from tomosurf.data.volume import Volume
from tomosurf.export.nifti import write_labels, write_volume
from tomosurf.segment.device import device_count
from tomosurf.validate.options import ValidateOptions
from tomosurf.validate.run import validate

MODEL = "mr-hippocampus"
CROP = (36, 50, 35)
PER_GPU = 4
"""Processes that share a GPU in the second figure: the metrics keep a core busy while the network waits."""


def figures() -> list[Figure]:
    gpus = device_count()
    cores = len(os.sched_getaffinity(0))
    count = int(os.environ.get("TOMOSURF_BENCH_CASES", "0")) or (208 if gpus else 32)
    with TemporaryDirectory() as temporary:
        root = Path(temporary)
        data = cases(root / "data", count)
        if not gpus:
            rows = [(f"{n} of {cores} cores", n, 0) for n in doubled(cores)]
        else:
            rows = [(f"{n} GPU, {n} processes", n, n) for n in doubled(gpus)]
            rows += [(f"{n} GPU, {n * PER_GPU} processes", n * PER_GPU, n) for n in doubled(gpus)]
        found: list[Figure] = []
        for number, (what, workers, used) in enumerate(rows):
            pace = cases_a_minute(data, root / str(number), workers, used)
            first = found[0].ours if found else None
            peer = "the first row" if found else ""
            found.append(
                Figure(f"{count} cases, {what}", pace, first, peer, "cases/min", lower_is_better=False)
            )
        return [*found, again(data, root / "0")]


def doubled(most: int) -> list[int]:
    """1, 2, 4 ... up to ``most``."""
    return [n for n in (1, 2, 4, 8) if n <= most]


def cases_a_minute(data: Path, output: Path, workers: int, gpus: int) -> float:
    """Of a whole run, starting of processes, loading of models and the report included."""
    options = ValidateOptions(workers=workers, device="cuda" if gpus else "cpu")
    named = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = named.split(",") if named else [str(n) for n in range(gpus)]
    if gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(names[:gpus])
    start = time.perf_counter()
    try:
        outcome = validate(data, MODEL, output, options, progress=time_left(f"{workers} processes"))
    finally:
        if named:
            os.environ["CUDA_VISIBLE_DEVICES"] = named
        else:
            os.environ.pop("CUDA_VISIBLE_DEVICES", None)
    total: int = outcome.result["data_set"]["cases"]
    return 60 * total / (time.perf_counter() - start)


def again(data: Path, output: Path) -> Figure:
    """A run whose cases are all finished: digests of files, table and report."""
    start = time.perf_counter()
    outcome = validate(data, MODEL, output, ValidateOptions(device="cuda" if device_count() else "cpu"))
    if outcome.reused < outcome.result["data_set"]["cases"]:
        raise SystemExit("a finished case was scored again")
    return Figure("the first run once more, nothing to score", time.perf_counter() - start)


def time_left(what: str) -> Callable[[str, float], None]:
    """A line on standard error at every tenth: how far, and how long it will take yet."""
    start, told = time.perf_counter(), [0]

    def progress(stage: str, fraction: float) -> None:
        if stage != "validate" or int(10 * fraction) <= told[0]:
            return
        told[0] = int(10 * fraction)
        left = (time.perf_counter() - start) * (1 - fraction) / fraction
        print(f"{what}: {fraction:.0%}, {left:.0f} s left", file=sys.stderr, flush=True)

    return progress


def cases(folder: Path, count: int) -> Path:
    """The first cases of the real data set where it is there, else made ones."""
    source = Path(os.environ.get("TOMOSURF_SHARED_DATA", "/nowhere")) / "msd-hippocampus-208"
    if not source.is_dir():
        return made(folder, count)
    told = json.loads((source / "dataset.json").read_text())
    told["training"] = told["training"][:count]
    for entry in told["training"]:
        for name in entry.values():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / name, folder / name)
    (folder / "dataset.json").write_text(json.dumps(told))
    return folder


def made(folder: Path, count: int) -> Path:
    """Noise around an ellipsoid in two parts, as large as a hippocampus; nothing that a model would find well."""
    geometry = Geometry(CROP, np.eye(4))
    axes = np.ogrid[tuple(slice(-n / 2, n / 2) for n in CROP)]
    inside = sum((axis / radius) ** 2 for axis, radius in zip(axes, (8, 18, 7), strict=True)) < 1
    labels = np.asfortranarray(inside * np.where(axes[1] > 0, 1, 2), np.uint8)
    names = ("Anterior", "Posterior")
    segments = tuple(
        Segment(n, name, Code(name, name, "99TEST"), (200, 200, 200)) for n, name in enumerate(names, 1)
    )
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    (folder / "labels.json").write_text(json.dumps({"1": names[0], "2": names[1]}))
    for number in range(count):
        noise = np.random.default_rng(number).normal(100, 20, CROP)
        values = np.asfortranarray(noise + 60 * inside, np.float32)
        write_volume(Volume(geometry, values, "MR"), folder / "images" / f"case_{number:03}.nii.gz")
        write_labels(Segmentation(geometry, labels, segments), folder / "labels" / f"case_{number:03}.nii.gz")
    return folder


if __name__ == "__main__":
    raise SystemExit(main("validate", figures))

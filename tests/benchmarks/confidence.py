"""Is confidence honest: of the vertices that say 1 mm or better, how many lie within 1 mm of the reference surface?

Only cases that a model was never trained on count, and the model that ships saw all of them. So the folds answer:
a fold is a sub-folder of ``--folds DIR`` with a model (model.yaml and weights) and a ``metrics.json`` whose
``held_out_cases`` lists the names, as ``tomosurf train --folds 5`` writes them. Those say nothing of their
calibration: each one's temperature is fitted to what the others say of their own unseen cases.

``python -m tests.benchmarks.confidence --folds DIR [--data FOLDER] [--json]``
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.harness import Figure, main
from tomosurf.config import NetworkMethod
from tomosurf.pipeline import clean_up
from tomosurf.refine.refine import refine
from tomosurf.segment.model.library import rewrite
from tomosurf.segment.model.spec import load_spec
from tomosurf.segment.network import segment
from tomosurf.segment.options import SegmentOptions
from tomosurf.segment.outputs.calibrate import calibrate
from tomosurf.segment.outputs.decision import decision_of
from tomosurf.surface.describe import describe
from tomosurf.surface.extract import extract
from tomosurf.train.calibration import samples_of
from tomosurf.train.decathlon import LabelledCase, read_cases
from tomosurf.validate.mesh_distance import distances_to, surface_of_mask

NEAR_MM = 1.0
GOAL = 0.95
CLAIMS_MM = (0.75, 1.0, 1.5, 2.0, 3.0)


@dataclass(frozen=True, slots=True)
class Model:
    """A model folder and the cases that it never saw."""

    folder: Path
    unseen: tuple[LabelledCase, ...]


def folds(root: Path, cases: dict[str, LabelledCase]) -> list[Model]:
    """Every fold below ``root``."""
    found = []
    for metrics in sorted(root.glob("*/metrics.json")):
        names = json.loads(metrics.read_text(encoding="utf-8"))["held_out_cases"]
        found.append(Model(metrics.parent, tuple(cases[name] for name in names)))
    if not found:
        raise SystemExit(f"{root} has no fold: a sub-folder with a model and metrics.json")
    return found


def calibrated(models: Sequence[Model], into: Path) -> list[Model]:
    """Copies of the models in ``into``, those without a calibration with one that none of their own cases is in."""
    options = SegmentOptions("cpu")
    samples = [samples_of(model.folder, model.unseen, options) for model in models]
    copies = []
    for own, model in enumerate(models):
        folder = into / model.folder.name
        shutil.copytree(model.folder, folder)
        spec = load_spec(folder)
        if spec.calibration is None:
            others = [sample for n, some in enumerate(samples) if n != own for sample in some]
            rewrite(folder, spec.model_copy(update={"calibration": calibrate(others, decision_of(spec))}))
        copies.append(Model(folder, model.unseen))
    return copies


def claims(model: Model) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float64]]]:
    """For each structure of each unseen case: what its vertices say, and how far they lie off, both in mm."""
    method = NetworkMethod(method="network", model=str(model.folder))
    rules = clean_up(method, {})
    for case in model.unseen:
        found = refine(segment(case.volume, method, SegmentOptions("cpu")), rules)
        for mesh in describe(extract(found), found, case.volume).meshes:
            reference = surface_of_mask(case.labels == mesh.segment.label, case.volume.geometry)
            if reference is not None:
                yield mesh.vertex_data["confidence"], distances_to(mesh.vertices, reference)


def figures(models: Sequence[Model]) -> Sequence[Figure]:
    """Shares of vertices over all cases, and of the worst case."""
    pairs = [pair for model in models for pair in claims(model)]
    said = np.concatenate([s for s, _ in pairs])
    off = np.concatenate([d for _, d in pairs])
    sure = said <= NEAR_MM
    cases = sum(len(model.unseen) for model in models)
    result = [
        Figure(
            f"share within 1 mm of the reference, of vertices that say 1 mm or better, {cases} unseen cases",
            float((off[sure] <= NEAR_MM).mean()) if sure.any() else float("nan"),
            unit="",
            goal=GOAL,
            lower_is_better=False,
        ),
        Figure("share of vertices that say 1 mm or better", float(sure.mean()), unit=""),
        Figure("share of all vertices within 1 mm", float((off <= NEAR_MM).mean()), unit=""),
        Figure("share of all vertices within what they say", float((off <= said).mean()), unit="", goal=GOAL,
               lower_is_better=False),
    ]  # fmt: skip
    for claim in CLAIMS_MM:
        group = (said <= claim) & (said > claim - 0.25)
        if group.sum() > 100:
            about = f"{group.sum()} vertices that say {claim - 0.25:g} to {claim:g} mm"
            what = f"share within {claim:g} mm, of {about}"
            result.append(Figure(what, float((off[group] <= claim).mean()), unit=""))
    return result


def _models() -> list[Model]:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--data", type=Path, default=None)
    parser.add_argument("--folds", type=Path, required=True)
    own, rest = parser.parse_known_args()
    sys.argv[1:] = rest
    shared = os.environ.get("TOMOSURF_SHARED_DATA")
    data = own.data or (Path(shared) / "msd-hippocampus-208" if shared else None)
    if data is None:
        raise SystemExit("name the data set with --data, or set TOMOSURF_SHARED_DATA")
    cases = {case.name: case for case in read_cases(data, "MR")}
    return folds(own.folds, cases)


if __name__ == "__main__":
    models = _models()
    with TemporaryDirectory() as folder:
        raise SystemExit(main("confidence", lambda: figures(calibrated(models, Path(folder)))))

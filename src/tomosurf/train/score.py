"""How close a model comes to labels that people drew, through the code that users run."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tomosurf.config import NetworkMethod
from tomosurf.progress import Progress, silent
from tomosurf.segment.network import segment
from tomosurf.segment.options import SegmentOptions
from tomosurf.segment.spec import load_spec
from tomosurf.train.decathlon import LabelledCase


def score(
    model: Path, cases: Sequence[LabelledCase], options: SegmentOptions, progress: Progress = silent
) -> dict[str, dict[str, float]]:
    """Segment name to figures over ``cases``: Dice (mean, sd, worst) and mean surface distance in mm.

    The surface distance is symmetric and averaged over both surfaces' voxels (MONAI), on the voxels of the
    image; cases where either is empty count with Dice 0 and are left out of the distance.
    """
    segments = load_spec(model).segments
    dice: dict[str, list[float]] = {item.name: [] for item in segments}
    distance: dict[str, list[float]] = {item.name: [] for item in segments}
    method = NetworkMethod(method="network", model=str(model))
    for done, case in enumerate(cases, start=1):
        found = segment(case.volume, method, options).labels
        for item in segments:
            ours, theirs = found == item.label, case.labels == item.label
            total = int(ours.sum()) + int(theirs.sum())
            dice[item.name].append(2 * int((ours & theirs).sum()) / total if total else 1.0)
            if ours.any() and theirs.any():
                distance[item.name].append(_surface_distance(ours, theirs, case.volume.geometry.spacing))
        progress("score", done / len(cases))
    return {name: _figures(dice[name], distance[name]) for name in dice}


def _surface_distance(ours: Any, theirs: Any, spacing: tuple[float, float, float]) -> float:
    from monai.metrics import compute_average_surface_distance

    one, other = (
        torch.from_numpy(np.ascontiguousarray(mask, np.float32))[None, None] for mask in (ours, theirs)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # MONAI warns of its own internals
        distance = compute_average_surface_distance(one, other, True, symmetric=True, spacing=list(spacing))
    return float(distance[0, 0])


def _figures(dice: list[float], distance: list[float]) -> dict[str, float]:
    return {
        "dice_mean": round(float(np.mean(dice)), 4),
        "dice_sd": round(float(np.std(dice, ddof=1)), 4) if len(dice) > 1 else 0.0,
        "dice_worst": round(min(dice), 4),
        "surface_distance_mm": round(float(np.mean(distance)), 3) if distance else float("inf"),
    }

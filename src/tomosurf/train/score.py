"""How close a model comes to labels that people drew, through the code that users run."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tomosurf.config import NetworkMethod
from tomosurf.progress import Progress, silent
from tomosurf.segment.model.spec import load_spec
from tomosurf.segment.network import segment
from tomosurf.segment.options import SegmentOptions
from tomosurf.train.decathlon import LabelledCase

Scores = dict[str, dict[str, list[float]]]
"""Segment to metric to one figure a case: ``dice``, ``nsd``, ``hd95_mm``, ``msd_mm``."""

TOLERANCE_MM = 1.0
"""Of the normalised surface distance."""

HIGHER = ("dice", "nsd")
"""Metrics of which more is better."""


def score(
    model: Path, cases: Sequence[LabelledCase], options: SegmentOptions, progress: Progress = silent
) -> Scores:
    """What a model finds in ``cases``, by MONAI's metrics on the voxels of each image.

    Surface distances are between surface voxels, symmetric, the mean over both. Where either side is empty, Dice
    and the normalised surface distance are 0 (1 where both are) and there is no distance.
    """
    spec = load_spec(model)
    result: Scores = {s.name: {name: [] for name in (*HIGHER, "hd95_mm", "msd_mm")} for s in spec.segments}
    method = NetworkMethod(method="network", model=str(model))
    for done, case in enumerate(cases, start=1):
        found = segment(case.volume, method, options).labels
        for item in spec.segments:
            pair = found == item.label, case.labels == item.label
            for name, value in _compared(*pair, case.volume.geometry.spacing).items():
                result[item.name][name].append(value)
        progress("score", done / len(cases))
    return result


def figures(scores: Iterable[Scores]) -> dict[str, dict[str, float]]:
    """Segment to mean, standard deviation and worst of each metric, over all cases of several parts."""
    parts = list(scores)
    told: dict[str, dict[str, float]] = {}
    for segment_name in parts[0] if parts else ():
        own = told[segment_name] = {}
        for metric in parts[0][segment_name]:
            values = np.array([value for part in parts for value in part[segment_name][metric]])
            if len(values):
                own[f"{metric}_mean"] = round(float(values.mean()), 4)
                own[f"{metric}_sd"] = round(float(values.std(ddof=1)), 4) if len(values) > 1 else 0.0
                own[f"{metric}_worst"] = round(float(values.min() if metric in HIGHER else values.max()), 4)
    return told


def _compared(
    ours: NDArray[np.bool_], theirs: NDArray[np.bool_], spacing: tuple[float, float, float]
) -> dict[str, float]:
    total = int(ours.sum()) + int(theirs.sum())
    dice = 2 * int((ours & theirs).sum()) / total if total else 1.0
    if not ours.any() or not theirs.any():
        return {"dice": dice, "nsd": dice}
    return {"dice": dice, **_distances(ours, theirs, spacing)}


def _distances(ours: Any, theirs: Any, spacing: tuple[float, float, float]) -> dict[str, float]:
    from monai.metrics import (
        compute_average_surface_distance,
        compute_hausdorff_distance,
        compute_surface_dice,
    )

    one, other = (
        torch.from_numpy(np.ascontiguousarray(mask, np.float32))[None, None] for mask in (ours, theirs)
    )
    step = list(spacing)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # MONAI warns of its own internals
        close = compute_surface_dice(one, other, [TOLERANCE_MM], include_background=True, spacing=step)
        far = compute_hausdorff_distance(one, other, include_background=True, percentile=95, spacing=step)
        mean = compute_average_surface_distance(one, other, True, symmetric=True, spacing=step)
    return {"nsd": float(close[0, 0]), "hd95_mm": float(far[0, 0]), "msd_mm": float(mean[0, 0])}

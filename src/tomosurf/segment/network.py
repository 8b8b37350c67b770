"""Segment with a network that a model description names."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from tomosurf.config import NetworkMethod
from tomosurf.data.geometry import Geometry
from tomosurf.data.segmentation import Margin, Segmentation
from tomosurf.data.volume import Volume
from tomosurf.errors import ModelError
from tomosurf.progress import Progress, silent
from tomosurf.segment.catalogue import find_model
from tomosurf.segment.grids import resample, turn, turned
from tomosurf.segment.inference import choose_device, logits
from tomosurf.segment.intensity import normalised
from tomosurf.segment.margins import (
    labels_from_logits,
    labels_from_margins,
    margins_of,
    on_voxels_of,
    without_unmeasured,
)
from tomosurf.segment.model_grid import model_grid
from tomosurf.segment.options import SegmentOptions
from tomosurf.segment.spec import InputSpec, ModelSpec, load_spec
from tomosurf.segment.weights import load_network


def segment(
    volume: Volume,
    method: NetworkMethod,
    options: SegmentOptions = SegmentOptions(),  # noqa: B008  (frozen)
    progress: Progress = silent,
) -> Segmentation:
    """The structures that a model finds, with labels on the volume's grid and a margin for each.

    Where the volume has the model's spacing, margins lie on the volume's own voxels and a voxel has a label
    exactly where that margin is above zero. Elsewhere, and for a sheared volume, margins lie on the
    network's grid and labels come from its interpolated outputs. Voxels that were never measured (padding)
    get no label. The same volume gives the same bytes on the same machine's CPU.

    Peak memory: for c channels, about c + 6 times the volume in float32 on the network's grid, and twice the
    volume in float32 on its own.

    Raises:
        UnknownNameError: no model of that name.
        ConfigError: the model's description is wrong, or there is no such device.
        ModelError: the weights don't fit the description, or the model is for another modality.
        DataError: the volume has no contrast.
    """
    folder = find_model(method.model)
    spec = load_spec(folder)
    if volume.modality and volume.modality != spec.modality:
        raise ModelError(f"model {spec.name} is for {spec.modality}; this volume is {volume.modality}")
    device = choose_device(options.device)
    network = load_network(folder, spec).to(device)
    grid = model_grid(volume.geometry, spec.input)
    image, measured = prepare(volume, spec.input, grid)
    scores = logits(network, image, spec.window, device, progress)
    if measured is not None:
        scores = without_unmeasured(scores, torch.from_numpy(measured).to(device))
    margins, labels = _decide(scores, grid, volume, spec)
    return Segmentation(
        geometry=volume.geometry,
        labels=labels,
        segments=tuple(segment.segment() for segment in spec.segments),
        margins=margins,
        series=volume.series,
        provenance=_provenance(spec, device, grid, volume.geometry),
    )


def prepare(
    volume: Volume, wanted: InputSpec, grid: Geometry
) -> tuple[np.ndarray[Any, np.dtype[np.float32]], np.ndarray[Any, np.dtype[np.bool_]] | None]:
    """What the network sees on its ``grid``: float32 intensities, and which voxels were measured (None: all).

    Raises:
        DataError: the volume has no contrast.
    """
    measured = None if volume.padding is None else ~volume.padding
    image = normalised(volume.array, wanted.intensity, measured)
    same = turn(volume.geometry, grid)
    if same is not None:
        measured = None if measured is None else np.ascontiguousarray(turned(measured, same))
        return np.ascontiguousarray(turned(image, same)), measured
    if measured is None and not volume.geometry.is_orthogonal:
        measured = np.ones(volume.geometry.shape, bool)
    source = torch.from_numpy(np.ascontiguousarray(image))[None]
    seen = resample(source, volume.geometry, grid)[0].numpy()
    if measured is None:
        return seen, None
    there = torch.from_numpy(np.ascontiguousarray(measured, np.float32))[None]
    inside = resample(there, volume.geometry, grid, "nearest")[0].numpy() > 0.5
    seen[~inside] = 0
    return seen, inside


def _decide(
    scores: torch.Tensor, grid: Geometry, volume: Volume, spec: ModelSpec
) -> tuple[dict[int, Margin], np.ndarray[Any, Any]]:
    """Margins, on the volume's voxels where the grids share them, and labels on the volume's grid."""
    margins = margins_of(scores, grid, spec.segments)
    if turn(grid, volume.geometry) is not None:
        margins = {label: on_voxels_of(volume.geometry, margin) for label, margin in margins.items()}
        return margins, labels_from_margins(margins, volume.geometry)
    labels = labels_from_logits(scores, grid, margins, volume.geometry)
    if volume.padding is not None:
        labels[volume.padding] = 0
    return margins, labels


def _provenance(spec: ModelSpec, device: torch.device, grid: Geometry, geometry: Geometry) -> dict[str, Any]:
    from monai import __version__ as monai_version

    return {
        "method": "network",
        "model": spec.name,
        "model_version": spec.version,
        "model_licence": spec.licence,
        "weights_sha256": spec.weights.sha256,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "precision": "float32",
        "network_spacing_mm": [round(step, 6) for step in grid.spacing],
        "resampled": turn(geometry, grid) is None,
        "torch": str(torch.__version__),
        "monai": str(monai_version),
    }

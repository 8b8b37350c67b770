"""Segment with a network that a model description names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from tomosurf.config import NetworkMethod
from tomosurf.data.geometry import Geometry
from tomosurf.data.segmentation import Segmentation
from tomosurf.data.volume import Volume
from tomosurf.errors import ModelError
from tomosurf.progress import Progress, silent
from tomosurf.segment.catalogue import find_model
from tomosurf.segment.collect import Collected, collect
from tomosurf.segment.doubt import DOUBTFUL, Trust, trust_of
from tomosurf.segment.engine import slabs
from tomosurf.segment.grids import turn
from tomosurf.segment.options import SegmentOptions
from tomosurf.segment.prepare import prepare
from tomosurf.segment.prepare_pad import unpadded, without_padding
from tomosurf.segment.spec import ModelSpec, load_earlier, load_spec


def segment(
    volume: Volume,
    method: NetworkMethod,
    options: SegmentOptions = SegmentOptions(),  # noqa: B008  (frozen)
    progress: Progress = silent,
    others: Sequence[Volume] = (),
) -> Segmentation:
    """The structures that a model finds, with labels on the volume's grid and a margin for each.

    ``others`` are further channels on the same grid, in the model's order, for models that take several. The
    second stage of a cascade runs its first on the same images before, and sees its labels.

    Where the volume has the model's spacing, margins lie on the volume's own voxels and a voxel has a label
    exactly where that margin is above zero. Elsewhere, and for a sheared volume, margins lie on the
    network's grid and labels come from its interpolated outputs. Voxels that were never measured (padding)
    get no label. The same volume gives the same bytes on the same machine's CPU.

    Raises:
        UnknownNameError: no model of that name.
        ConfigError: the model's description is wrong, or there is no such device.
        ModelError: the weights don't fit the description, or the model is for another modality.
        DataError: the volume has no contrast, or the volumes don't share a grid.
    """
    folder = find_model(method.model)
    spec = load_spec(folder)
    for given in (volume, *others):
        if given.modality and spec.modality not in ("any", given.modality):
            raise ModelError(f"model {spec.name} is for {spec.modality}; this volume is {given.modality}")
    first = load_earlier(folder, spec)
    before = None if first is None else _run(*first, (volume, *others), options, progress)
    earlier = None if before is None else (before.found.labels, spec.earlier)
    run = _run(folder, spec, (volume, *others), options, progress, earlier)
    found = run.found
    return Segmentation(
        geometry=volume.geometry,
        labels=found.labels,
        segments=tuple(segment.segment() for segment in spec.segments),
        margins=found.margins,
        series=volume.series,
        provenance={
            "method": "network",
            **run.provenance,
            **({} if before is None else {"earlier_stage": before.provenance}),
            "doubt": _doubt(spec, found, run.trust),
        },
        doubt=found.doubt,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """What one model found in a case, and how."""

    found: Collected
    trust: Trust
    provenance: dict[str, Any]


def _run(
    folder: Path,
    spec: ModelSpec,
    volumes: tuple[Volume, ...],
    options: SegmentOptions,
    progress: Progress,
    earlier: tuple[NDArray[Any], Sequence[int]] | None = None,
) -> _Run:
    """One model on one case; ``earlier`` as in :func:`prepare`."""
    seen = prepare(volumes, spec.input, earlier)
    outputs = slabs(folder, spec, seen, options, progress)
    trust = trust_of(spec, mirrored=options.mirror, folds=len(spec.weights))
    found = collect(unpadded(outputs, seen), without_padding(seen), volumes[0], spec, trust)
    return _Run(found, trust, _provenance(spec, outputs.told, seen.grid, volumes[0].geometry))


def _doubt(spec: ModelSpec, found: Collected, trust: Trust) -> dict[str, Any]:
    """How doubt was made, and how much of each segment is doubtful."""
    return {
        "calibrated": trust.calibrated,
        "temperature": trust.temperature,
        "sources": list(trust.sources),
        "doubtful_from": DOUBTFUL,
        "doubtful_mm3": {s.name: round(found.doubtful_mm3.get(s.label, 0.0), 1) for s in spec.segments},
    }


def _provenance(spec: ModelSpec, told: dict[str, Any], grid: Geometry, geometry: Geometry) -> dict[str, Any]:
    from monai import __version__ as monai_version

    return {
        "model": spec.name,
        "model_version": spec.version,
        "model_licence": spec.licence,
        "model_sha256": spec.digest(),
        "weights_sha256": [weights.sha256 for weights in spec.weights],
        **told,
        "network_spacing_mm": [round(step, 6) for step in grid.spacing],
        "resampled": turn(geometry, grid) is None,
        "torch": str(torch.__version__),
        "monai": str(monai_version),
    }

"""Segment with a network that a model description names."""

from __future__ import annotations

from collections.abc import Sequence

from tomosurf.config import NetworkMethod
from tomosurf.data.codes import refusal
from tomosurf.data.segmentation import Segmentation
from tomosurf.data.volume import Volume
from tomosurf.errors import ModelError
from tomosurf.progress import Progress, silent
from tomosurf.segment.device import on_threads
from tomosurf.segment.grids import turn
from tomosurf.segment.inference import Inference
from tomosurf.segment.model.catalogue import find_model
from tomosurf.segment.model.spec import load_spec
from tomosurf.segment.options import SegmentOptions


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
    get no label. The same volume gives the same bytes on the same kind of CPU and the same number of threads, which
    ``provenance`` holds. Where ``method`` says how to
    localise, a volume larger than a crop goes through :func:`tomosurf.segment.localise.segment_whole`.

    Raises:
        UnknownNameError: no model of that name.
        ConfigError: the model's description is wrong, or there is no such device.
        ModelError: the weights don't fit the description, or the model is for another modality.
        InputRefused: the model is for smaller images, or the place to look at can't be found in this one.
        DataError: the volume has no contrast, or the volumes don't share a grid.
    """
    folder = find_model(method.model)
    spec = load_spec(folder)
    for given in (volume, *others):
        if given.modality and spec.modality not in ("any", given.modality):
            raise ModelError(f"model {spec.name} is for {spec.modality}; this volume is {given.modality}")
    with on_threads(options.threads):
        return _segment((volume, *others), method, Inference(folder, spec, options), progress)


def _segment(
    volumes: Sequence[Volume], method: NetworkMethod, inference: Inference, progress: Progress
) -> Segmentation:
    volume, spec = volumes[0], inference.spec
    if method.localise is not None and max(volume.geometry.extent) > method.localise.crop_mm:
        from tomosurf.segment.localise import segment_whole

        return segment_whole(volume, method.localise, inference, progress)
    if spec.max_extent_mm is not None and max(volume.geometry.extent) > spec.max_extent_mm:
        raise refusal(
            "larger_than_crop",
            f"model {spec.name} is for crops of at most {spec.max_extent_mm:g} mm; this volume is "
            f"{max(volume.geometry.extent):.0f} mm long",
            series=volume.series,
        )
    inferred = inference.run(volumes, volume, progress)
    found = inferred.found
    resampled = turn(volume.geometry, inferred.grid) is None
    doubtful = {s.name: found.doubtful_mm3.get(s.label, 0.0) for s in spec.segments}
    return Segmentation(
        geometry=volume.geometry,
        labels=found.labels,
        segments=tuple(segment.segment() for segment in spec.segments),
        margins=found.margins,
        series=volume.series,
        provenance={
            **inference.provenance(inferred.told, inferred.grid.spacing, resampled=resampled),
            "doubt": inference.doubt(doubtful),
        },
        doubt=found.doubt,
    )

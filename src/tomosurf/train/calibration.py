"""What calibration needs of a finished model: its outputs on cases that it wasn't made with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tomosurf.data.geometry import Geometry
from tomosurf.errors import DataError
from tomosurf.progress import Progress, silent
from tomosurf.segment.engine import slabs
from tomosurf.segment.model.spec import ModelSpec, load_spec
from tomosurf.segment.options import SegmentOptions
from tomosurf.segment.outputs.calibrate import Sample, sample_near_boundary
from tomosurf.segment.prepare.pad import unpadded, without_padding
from tomosurf.segment.prepare.prepare import prepare
from tomosurf.train.decathlon import LabelledCase


def samples_of(
    folder: Path, cases: Sequence[LabelledCase], options: SegmentOptions, progress: Progress = silent
) -> list[Sample]:
    """The outputs of the model in ``folder`` near the boundaries of ``cases`` that it wasn't made with.

    Raises:
        DataError: the model takes several images.
        ModelError: the network can't be run.
    """
    spec = load_spec(folder)
    samples = []
    for done, case in enumerate(cases, start=1):
        samples.append(sample_of(folder, spec, case, options))
        progress("calibrate", done / len(cases))
    return samples


def sample_of(folder: Path, spec: ModelSpec, case: LabelledCase, options: SegmentOptions) -> Sample:
    """The network's outputs near the reference's boundaries, on the network's own grid.

    Raises:
        DataError: the model takes several images, or a first stage's labels.
    """
    if spec.inputs != 1:
        raise DataError(
            "a model that takes several images or another's labels can't be calibrated on cases of one image"
        )
    padded = prepare((case.volume,), spec.input)
    seen = without_padding(padded)
    parts = list(unpadded(slabs(folder, spec, padded, options, silent), padded))
    values = torch.cat([part.values.cpu() for part in parts], dim=1 + parts[0].axis)
    return sample_near_boundary(
        values, labels_on(seen.grid, case.labels, case.volume.geometry), seen.grid.spacing, seen.measured
    )


def labels_on(nodes: Geometry, labels: NDArray[np.uint8], image: Geometry) -> NDArray[np.uint8]:
    """The labels of the image's voxels nearest to ``nodes``."""
    x, y, z = nodes.shape
    found = np.empty(nodes.shape, np.uint8)
    for plane in range(x):
        index = np.stack(np.meshgrid([plane], np.arange(y), np.arange(z), indexing="ij"), axis=-1)
        places = np.rint(image.to_index(nodes.to_world(index.reshape(-1, 3)))).astype(int)
        places = places.clip(0, np.array(image.shape) - 1)
        found[plane] = labels[tuple(places.T)].reshape(y, z)
    return found

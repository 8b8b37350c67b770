"""An image as its network sees it: the model's steps, applied one by one, with the grid kept along."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.volume import Volume
from tomosurf.errors import DataError, ModelError
from tomosurf.segment.model.spec import InputSpec
from tomosurf.segment.model.steps import AsStored, CropForeground, Orient, Pad, Resample, Step
from tomosurf.segment.prepare.channels import normalise_channels
from tomosurf.segment.prepare.crop import crop
from tomosurf.segment.prepare.model_grid import oriented
from tomosurf.segment.prepare.nnunet import resample_as_nnunet
from tomosurf.segment.prepare.pad import pad
from tomosurf.segment.prepare.prepared import Prepared
from tomosurf.segment.prepare.resample import resample_as_monai, resample_to_cover
from tomosurf.segment.prepare.stored import as_stored
from tomosurf.segment.prepare.turn import turn_to

__all__ = ["Prepared", "prepare"]


def prepare(
    volumes: Sequence[Volume], wanted: InputSpec, earlier: tuple[NDArray[Any], Sequence[int]] | None = None
) -> Prepared:
    """One volume a channel, all on one grid, through the model's steps.

    ``earlier`` are a label map on that grid, of a cascade's first stage, and the labels in it that become further
    channels, in order.

    Where nothing was measured (padding) the image starts at its measured minimum, and is 0 after each step of
    intensities. Peak memory: 2 float32 images a channel on the larger of both grids.

    Raises:
        DataError: the number of volumes is wrong, they don't share a grid, or an image has no contrast.
    """
    if len(volumes) != wanted.channels:
        raise DataError(f"this model takes {wanted.channels} images of one patient, not {len(volumes)}")
    first = volumes[0].geometry
    for volume in volumes[1:]:
        if volume.geometry.shape != first.shape or not np.allclose(
            volume.geometry.affine, first.affine, atol=1e-3
        ):
            raise DataError("the images don't share a grid; resample them onto one first")
    state = _start(volumes, wanted.steps)
    if earlier is not None:
        state = replace(state, earlier=earlier[0].astype(np.int16))
    for step in wanted.steps:
        state = _apply(state, step)
    image = np.ascontiguousarray(state.image)
    if earlier is not None and state.earlier is not None:
        image = np.concatenate([image, np.stack([state.earlier == label for label in earlier[1]])])
    return replace(state, image=image, earlier=None)


def _start(volumes: Sequence[Volume], steps: Sequence[Step]) -> Prepared:
    """The images as they are; in memory they lie as volumes do, unless a step wants them with k innermost."""
    paddings = [volume.padding for volume in volumes if volume.padding is not None]
    measured = ~np.logical_or.reduce(paddings) if paddings else None
    shape = volumes[0].geometry.shape
    if any(isinstance(step, Resample) and step.grid != "nnunet" for step in steps):
        image = np.empty((len(volumes), *shape), np.float32)
    else:
        image = np.empty((len(volumes), *shape[::-1]), np.float32).transpose(0, 3, 2, 1)
    for channel, volume in zip(image, volumes, strict=True):
        channel[...] = volume.array
    if measured is not None:
        for channel in image:
            channel[~measured] = channel[measured].min(initial=np.inf) if measured.any() else 0
    return Prepared(image, volumes[0].geometry, measured)


def _takes_labels(step: Step) -> bool:
    """Whether a step is known to do to labels what nnU-Net does."""
    return not isinstance(step, Pad) and (not isinstance(step, Resample) or step.grid == "nnunet")


def _apply(state: Prepared, step: Step) -> Prepared:
    if state.earlier is not None and not _takes_labels(step):
        raise ModelError(f"labels of a cascade's first stage can't go through the step {step.do}")
    match step:
        case Orient(axes=letters):
            return turn_to(state, oriented(state.grid, letters))
        case Resample(grid="cover"):
            return resample_to_cover(state, step)
        case Resample(grid="monai"):
            return resample_as_monai(state, step)
        case Resample():
            return resample_as_nnunet(state, step)
        case CropForeground():
            return crop(state, step)
        case Pad():
            return pad(state, step)
        case AsStored():
            return as_stored(state, step)
        case _:
            return normalise_channels(state, step)

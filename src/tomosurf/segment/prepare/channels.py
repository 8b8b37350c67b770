"""Intensities changed channel by channel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tomosurf import components
from tomosurf.errors import DataError
from tomosurf.segment.model.steps import Intensity, ZScore
from tomosurf.segment.prepare.intensity import normalise
from tomosurf.segment.prepare.prepared import Prepared


def normalise_channels(state: Prepared, step: Intensity) -> Prepared:
    """The step's channels changed in place.

    Raises:
        DataError: the image has fewer channels, a voxel isn't finite, or an image has no contrast.
    """
    chosen = step.channels or range(len(state.image))
    if max(chosen) >= len(state.image):
        raise DataError(f"the model changes channel {max(chosen)} of an image that has {len(state.image)}")
    if isinstance(step, ZScore) and step.over == "foreground":
        _over_foreground(state, step, chosen)
        return state
    for number in chosen:
        normalise(state.image[number], step, state.measured)
    return state


def _over_foreground(state: Prepared, step: ZScore, chosen: tuple[int, ...] | range) -> None:
    earlier = state.earlier  # what a first stage found counts, wherever it lies
    inside = filled((state.image != 0).any(axis=0)) if earlier is None else earlier >= 0
    if state.measured is not None:
        inside &= state.measured
    everywhere = step.model_copy(update={"over": "all"})
    for number in chosen:
        sample = state.image[number][inside][:, None, None]
        normalise(sample, everywhere)
        state.image[number][inside] = sample[:, 0, 0]
        if state.measured is not None:
            state.image[number][~state.measured] = 0


def filled(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """``mask`` and what it encloses: what can't be reached from outside through faces of voxels."""
    outside = components.label_components(np.asfortranarray(~mask), components.FOREGROUND_CONNECTIVITY)
    reached = np.zeros(int(outside.max()) + 1, bool)
    for axis in range(3):
        for face in (0, -1):
            reached[np.unique(outside.take(face, axis=axis))] = True
    reached[0] = False
    solid: NDArray[np.bool_] = ~reached[outside]
    return solid

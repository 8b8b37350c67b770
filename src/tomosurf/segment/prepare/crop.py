"""Cut to what is worth looking at."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tomosurf.errors import DataError, ModelError
from tomosurf.segment.model.steps import CropForeground
from tomosurf.segment.prepare.channels import filled
from tomosurf.segment.prepare.pad import extend
from tomosurf.segment.prepare.prepared import Prepared


def crop(state: Prepared, step: CropForeground) -> Prepared:
    """The box of the foreground and its margin; with ``beyond`` "pad" the margin may leave the image.

    Raises:
        DataError: the image has no foreground.
    """
    image = state.image
    chosen = np.logical_or.reduce(image != 0 if step.where == "nonzero" else image > step.above)
    ends = []
    for axis, margin in enumerate(step.margin):
        first, second = (n for n in range(3) if n != axis)
        places = np.flatnonzero(np.any(chosen, axis=(first, second)))
        if not places.size:
            raise DataError("the image is empty where this model looks: no voxel belongs to its foreground")
        ends.append((int(places[0]) - margin, int(places[-1]) + 1 + margin))
    shape = image.shape[1:]
    inside = [(max(low, 0), min(high, n)) for (low, high), n in zip(ends, shape, strict=True)]
    a, b, c = (
        (max(before - low, 0), max(after - (n - high), 0))
        for (low, high), (before, after), n in zip(inside, state.padding, shape, strict=True)
    )
    cut = (slice(None), *(slice(low, high) for low, high in inside))
    x, y, z = (high - low for low, high in inside)
    small = Prepared(
        np.ascontiguousarray(image[cut]),
        state.grid.cropped((inside[0][0], inside[1][0], inside[2][0]), (x, y, z)),
        None if state.measured is None else np.ascontiguousarray(state.measured[cut[1:]]),
        (a, b, c),
        _masked(state, cut),
    )
    if step.beyond == "image":
        return small
    if small.earlier is not None:
        raise ModelError("labels of a cascade's first stage aren't padded; import the model again")
    x2, y2, z2 = ((low - first, last - high) for (first, last), (low, high) in zip(ends, inside, strict=True))
    return extend(small, (x2, y2, z2), 0.0)


def _masked(state: Prepared, cut: tuple[slice, ...]) -> NDArray[np.int16] | None:
    """The box of the labels of a cascade's first stage; -1 instead of background outside nnU-Net's mask."""
    if state.earlier is None:
        return None
    earlier = state.earlier[cut[1:]].copy()
    earlier[(earlier == 0) & ~filled((state.image[cut] != 0).any(axis=0))] = -1
    return earlier

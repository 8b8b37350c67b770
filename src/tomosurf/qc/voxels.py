"""Counting the voxels of a label map without a second array of its size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.segmentation import Segmentation


@dataclass(frozen=True, slots=True)
class Bracket:
    """How many voxels a structure has, and the least and most that a surface around them can enclose.

    Between eight neighbouring voxel centres lies one cell of a voxel's volume. Cells whose eight corners are
    inside the structure lie wholly within any surface that parts inside from outside voxel centres
    (``inner``), and such a surface stays within the cells that have a corner inside (``outer``).
    """

    inner: int
    voxels: int
    outer: int


def voxel_counts(segmentation: Segmentation) -> dict[int, int]:
    """Label to number of voxels, for every segment looked for; slice by slice, to keep memory small."""
    top = max((segment.label for segment in segmentation.segments), default=0)
    counts = np.zeros(top + 1, np.int64)
    for k in range(segmentation.labels.shape[2]):
        found = np.bincount(segmentation.labels[:, :, k].ravel(order="K"), minlength=top + 1)
        counts += found[: top + 1]
    return {segment.label: int(counts[segment.label]) for segment in segmentation.segments}


def brackets(segmentation: Segmentation) -> dict[int, Bracket]:
    """Label to :class:`Bracket`, for every segment that has a voxel; slice by slice within its box."""
    from scipy.ndimage import find_objects

    top = max((segment.label for segment in segmentation.segments), default=0)
    boxes = find_objects(segmentation.labels.T, top)
    found = {}
    for segment in segmentation.segments:
        box = boxes[segment.label - 1]
        if box is not None:
            found[segment.label] = _bracket(segmentation.labels[box[::-1]], segment.label)
    return found


def _bracket(labels: NDArray[Any], label: int) -> Bracket:
    """The bracket of one label; beyond the array nothing is inside."""
    inner = voxels = outer = 0
    nothing = np.zeros((labels.shape[0] + 1, labels.shape[1] + 1), bool)
    whole_below = touched_below = nothing
    for k in range(labels.shape[2]):
        mask = np.pad(labels[:, :, k] == label, 1)
        voxels += int(np.count_nonzero(mask))
        a, b, c, d = mask[:-1, :-1], mask[1:, :-1], mask[:-1, 1:], mask[1:, 1:]
        whole, touched = a & b & c & d, a | b | c | d
        inner += int(np.count_nonzero(whole & whole_below))
        outer += int(np.count_nonzero(touched | touched_below))
        whole_below, touched_below = whole, touched
    return Bracket(inner, voxels, outer + int(np.count_nonzero(touched_below)))

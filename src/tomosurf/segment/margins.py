"""From a network's outputs to labels and margins."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from tomosurf.config import SegmentSpec
from tomosurf.data.geometry import Geometry
from tomosurf.data.segmentation import Margin
from tomosurf.errors import DataError
from tomosurf.segment.grids import SLAB_VOXELS, resample, turn, turned

BORDER = 2
"""Voxels around a segment's box that its margin keeps, unless the grid ends there."""


def without_unmeasured(logits: torch.Tensor, measured: torch.Tensor) -> torch.Tensor:
    """Logits, changed in place, that never name a segment where nothing was ``measured``.

    There the background is set above the best other channel by as much as it lay below it, so that the
    margins change sign and stay of the same size.
    """
    best = logits[1:].amax(dim=0)
    above = best + (best - logits[0]).abs()
    logits[0] = torch.where(measured, logits[0], above)
    return logits


def margins_of(
    logits: torch.Tensor, geometry: Geometry, segments: tuple[SegmentSpec, ...]
) -> dict[int, Margin]:
    """Label to margin, ``logit - max(other logits)``, for each segment that is anywhere above zero.

    ``logits`` is (channels, *geometry.shape). Two segments that meet have margins of opposite sign and the
    same size there, so that they share their boundary. Memory: two images beside the logits.
    """
    winner = logits.argmax(dim=0)
    found: dict[int, Margin] = {}
    for segment in segments:
        box = _box(winner == segment.label)
        if box is None:
            continue
        start, stop = box
        near = logits[(slice(None), *(slice(a, b) for a, b in zip(start, stop, strict=True)))]
        rivals = [
            part.amax(dim=0) for part in (near[: segment.label], near[segment.label + 1 :]) if len(part)
        ]
        values = near[segment.label] - torch.stack(rivals).amax(dim=0)
        if bool((values > 0).any()):  # equal logits make no winner
            shape = (stop[0] - start[0], stop[1] - start[1], stop[2] - start[2])
            values_here = np.asfortranarray(values.cpu().numpy())
            found[segment.label] = Margin(geometry.cropped(start, shape), values_here)
    return found


def on_voxels_of(geometry: Geometry, margin: Margin) -> Margin:
    """The same margin with the axes of ``geometry``, whose voxel centres it must share."""
    index = geometry.to_index(margin.geometry.corners())
    low, high = np.rint(index.min(axis=0)).astype(int), np.rint(index.max(axis=0)).astype(int)
    start, shape = tuple(low.tolist()), tuple((high - low + 1).tolist())
    own = geometry.cropped((start[0], start[1], start[2]), (shape[0], shape[1], shape[2]))
    same = turn(margin.geometry, own)
    if same is None:
        raise DataError("a margin doesn't share the voxels of its image")
    return Margin(own, np.asfortranarray(turned(margin.values, same)))


def labels_from_margins(margins: dict[int, Margin], geometry: Geometry) -> NDArray[np.uint8 | np.uint16]:
    """The label map of margins that lie on ``geometry``'s own voxels: each where its margin is above zero."""
    labels = _empty_labels(max(margins, default=0), geometry)
    for label, margin in margins.items():
        start = np.rint(geometry.to_index([margin.geometry.origin])[0]).astype(int)
        cut = tuple(slice(a, a + n) for a, n in zip(start, margin.geometry.shape, strict=True))
        labels[cut][margin.values > 0] = label
    return labels


def labels_from_logits(
    logits: torch.Tensor, grid: Geometry, margins: dict[int, Margin], geometry: Geometry
) -> NDArray[np.uint8 | np.uint16]:
    """The label map on ``geometry`` of logits on ``grid``: they are interpolated, then the largest wins.

    Only voxels inside the box of all margins are looked at: between nodes that are all background, linear
    interpolation can't find anything else. Memory: one slab of ``SLAB_VOXELS`` times the channels.
    """
    labels = _empty_labels(max(margins, default=0), geometry)
    if not margins:
        return labels
    start, stop = _box_on(geometry, list(margins.values()))
    cut = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
    inside = labels[cut]
    names = torch.zeros(logits.shape[0], dtype=torch.int32, device=logits.device)
    names[list(margins)] = torch.tensor(list(margins), dtype=torch.int32, device=logits.device)
    depth = max(1, SLAB_VOXELS // (logits.shape[0] * inside.shape[0] * inside.shape[1]))
    for k in range(0, inside.shape[2], depth):
        count = min(depth, inside.shape[2] - k)
        corner = (start[0], start[1], start[2] + k)
        slab = geometry.cropped(corner, (inside.shape[0], inside.shape[1], count))
        winner = resample(logits, grid, slab).argmax(dim=0)
        inside[..., k : k + count] = names[winner].cpu().numpy()
    return labels


def _empty_labels(top: int, geometry: Geometry) -> NDArray[np.uint8 | np.uint16]:
    return np.zeros(geometry.shape, np.uint8 if top < 256 else np.uint16, order="F")


def _box(mask: torch.Tensor) -> tuple[tuple[int, int, int], tuple[int, int, int]] | None:
    """Start and stop of the box of ``mask``'s true voxels, ``BORDER`` wider; None when there are none."""
    ends: list[tuple[int, int]] = []
    for axis in range(3):
        others = tuple(n for n in range(3) if n != axis)
        places = torch.nonzero(mask.any(dim=others[1]).any(dim=others[0])).flatten()
        if not len(places):
            return None
        low, high = int(places[0]) - BORDER, int(places[-1]) + 1 + BORDER
        ends.append((max(low, 0), min(high, mask.shape[axis])))
    return (ends[0][0], ends[1][0], ends[2][0]), (ends[0][1], ends[1][1], ends[2][1])


def _box_on(geometry: Geometry, margins: list[Margin]) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """Start and stop, on ``geometry``, of the voxels within one node of any of the margins' boxes."""
    corners = []
    for margin in margins:
        i, j, k = margin.geometry.shape
        corners.append(margin.geometry.cropped((-1, -1, -1), (i + 2, j + 2, k + 2)).corners())
    index = geometry.to_index(np.concatenate(corners))
    start = np.maximum(np.floor(index.min(axis=0)).astype(int), 0)
    stop = np.minimum(np.ceil(index.max(axis=0)).astype(int) + 1, geometry.shape)
    return start, stop

"""Components and cavities, segment by segment, labels and margins kept in step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomosurf import components
from tomosurf.config import RefineRule
from tomosurf.data.geometry import Geometry
from tomosurf.data.segmentation import Margin, Segment, Segmentation
from tomosurf.errors import ConfigError
from tomosurf.refine.specks import without_specks


@dataclass(frozen=True, slots=True)
class _Change:
    """What a rule does to one segment: bool arrays in the box, on the label map's grid."""

    box: tuple[slice, slice, slice]
    kept: NDArray[np.bool_]
    removed: NDArray[np.bool_]
    filled: NDArray[np.bool_]

    @property
    def is_none(self) -> bool:
        return not (self.removed.any() or self.filled.any())


def refine(segmentation: Segmentation, rules: Mapping[str, RefineRule]) -> Segmentation:
    """Keep the components and fill the cavities that ``rules`` ask for; other segments stay as they are.

    Components are counted by shared faces, in the sense in which surfaces part voxels. A removed voxel becomes
    background; a cavity is filled only where no other segment lies. The margin follows: its sign is
    flipped where a voxel changed sides, its size stays, so boundaries elsewhere don't move.

    Args:
        segmentation: labels with or without margins.
        rules: segment name to rule.

    Returns:
        a new segmentation; ``provenance["refined"]`` counts the voxels removed and filled for each segment.
        Peak memory: about 2 times a segment's box as float32.

    Raises:
        ConfigError: a rule names a segment that isn't there.
    """
    unknown = set(rules) - {segment.name for segment in segmentation.segments}
    if unknown:
        raise ConfigError(f"refine: no segment is called {', '.join(sorted(unknown))}")
    labels = segmentation.labels
    margins = dict(segmentation.margins)
    counts: dict[str, Any] = {}
    for segment in segmentation.segments:
        rule = rules.get(segment.name)
        change = None if rule is None else _change(labels, segment, rule, segmentation.geometry)
        if rule is None or change is None:
            continue
        if segment.label in margins:
            margins[segment.label] = _follow(margins[segment.label], change, rule, segmentation.geometry)
        if change.is_none:
            continue
        if labels is segmentation.labels:
            labels = labels.copy(order="K")
        window = labels[change.box]
        window[change.removed] = 0
        window[change.filled] = segment.label
        counts[segment.name] = {
            "voxels_removed": int(change.removed.sum()),
            "voxels_filled": int(change.filled.sum()),
        }
    provenance = {**segmentation.provenance, "refined": counts}
    return replace(segmentation, labels=labels, margins=margins, provenance=provenance)


def _change(labels: NDArray[Any], segment: Segment, rule: RefineRule, geometry: Geometry) -> _Change | None:
    """What ``rule`` does to ``segment``; None when the segment is empty."""
    mask = labels == segment.label
    box = components.bounding_box(mask)
    mask = mask[box]
    if not mask.size:
        return None
    kept = _kept(mask, rule, geometry.voxel_volume)
    filled = np.zeros_like(mask)
    if rule.fill_holes != "none":
        filled = components.fill_cavities(kept, slice_wise=rule.fill_holes == "slices")
        filled &= ~kept
        # a cavity may hold crumbs of the segment itself (filled again), never another segment
        filled &= (labels[box] == 0) | mask
    return _Change(box, kept, mask & ~kept & ~filled, filled & ~mask)


def _kept(mask: NDArray[np.bool_], rule: RefineRule, voxel_volume: float) -> NDArray[np.bool_]:
    """The components that stay: large enough, and among the ``keep`` largest."""
    numbered = components.label_components(mask)
    sizes = components.component_sizes(numbered)
    keep = sizes * voxel_volume >= max(rule.min_volume_mm3, voxel_volume / 2)
    if rule.keep != "all":
        # stable: of equal sizes the first in memory order stays, on every machine
        smaller = np.argsort(-sizes, kind="stable")[rule.keep :]
        keep[smaller] = False
    keep[0] = False
    kept: NDArray[np.bool_] = keep[numbered]
    return kept


def _follow(margin: Margin, change: _Change, rule: RefineRule, geometry: Geometry) -> Margin:
    """The margin with its sign flipped where the label map changed sides.

    On a grid of its own (a network's), each margin voxel follows the label voxel nearest to it; removed pieces
    are widened by one voxel into the background, and filled ones into the structure, so that no sliver of either
    survives between the two grids. Where pieces are counted, those that hold no voxel at all go too.
    """
    start = tuple(part.start for part in change.box)
    box_geometry = geometry.cropped(start, change.removed.shape)
    coincides = margin.geometry.coincides(box_geometry)
    if not change.is_none:
        margin = _flipped(margin, change, box_geometry, coincides)
    if coincides or (rule.keep == "all" and not rule.min_volume_mm3):
        return margin
    return without_specks(margin, change.kept, box_geometry)


def _flipped(margin: Margin, change: _Change, box_geometry: Geometry, coincides: bool) -> Margin:
    if coincides:
        removed, filled = change.removed, change.filled
    else:
        removed = _resampled(_widened(change.removed) & ~change.kept, box_geometry, margin.geometry)
        filled = _widened(change.filled) & (change.filled | change.kept)
        filled = _resampled(filled, box_geometry, margin.geometry)
    values = margin.values.copy(order="K")
    np.abs(values, out=values, where=filled)
    values[filled & (values == 0)] = np.finfo(np.float32).tiny  # zero is outside
    np.negative(np.abs(values, where=removed, out=values), out=values, where=removed)
    return Margin(margin.geometry, values)


def _widened(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """``mask`` grown by one voxel through faces, edges and corners."""
    from scipy import ndimage

    grown: NDArray[np.bool_] = ndimage.binary_dilation(mask, np.ones((3, 3, 3), bool))
    return grown


def _resampled(mask: NDArray[np.bool_], source: Geometry, target: Geometry) -> NDArray[np.bool_]:
    """``mask`` on another grid, nearest voxel, False outside."""
    result = np.zeros(target.shape, bool, order="F")
    limits = np.array(source.shape)
    plane = np.stack(np.meshgrid(*map(np.arange, target.shape[:2]), indexing="ij"), axis=-1).reshape(-1, 2)
    for k in range(target.shape[2]):
        index = np.column_stack([plane, np.full(len(plane), k)])
        nearest = np.rint(source.to_index(target.to_world(index))).astype(np.intp)
        inside = ((nearest >= 0) & (nearest < limits)).all(axis=1)
        hits = np.zeros(len(plane), bool)
        hits[inside] = mask[tuple(nearest[inside].T)]
        result[:, :, k] = hits.reshape(target.shape[:2])
    return result

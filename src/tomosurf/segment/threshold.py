"""Structures found by intensity: seeded, connected, with the signed intensity difference as their margin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomosurf import components
from tomosurf.config import Halfway, Range, ThresholdMethod, ThresholdSegment
from tomosurf.data.segmentation import Margin, Segmentation
from tomosurf.data.volume import Volume
from tomosurf.errors import ConfigError
from tomosurf.progress import Progress, silent
from tomosurf.segment.furniture import without_furniture
from tomosurf.segment.level import halfway_level
from tomosurf.segment.options import SegmentOptions

BODY_LEVEL_HU = -400.0
"""Tissue against air, for the patient's outline that ``within_body`` looks inside of."""


@dataclass(frozen=True, slots=True)
class _Found:
    """One structure: which voxels of ``box`` are its own, at which level."""

    box: tuple[slice, slice, slice]
    mask: NDArray[np.bool_]
    level: float
    clipped: bool


def segment(
    volume: Volume,
    method: ThresholdMethod,
    options: SegmentOptions = SegmentOptions(),  # noqa: B008  (frozen; thresholds need no device)
    progress: Progress = silent,
) -> Segmentation:
    """Segment ``volume`` by the thresholds of ``method``.

    Voxels beyond a structure's level count when they are connected (by faces) to a voxel beyond its seed.
    Padding never counts. The margin is ``intensity - level`` (its negative for dark structures), forced below
    zero wherever a voxel isn't the structure's, so its zero level is the boundary of exactly these voxels.
    When two structures of one protocol claim a voxel, the later one in the protocol gets the label.

    Args:
        volume: any modality; ``within_body`` needs Hounsfield units.
        method: the protocol's thresholds.
        options: not used by thresholds.
        progress: called with ("segment", fraction).

    Returns:
        labels uint8 or uint16 on the volume's grid; one float32 margin a structure that was found, in the volume's
        unit. Peak memory: about 3 times the volume as float32.

    Raises:
        ConfigError: ``within_body`` on a volume that isn't in HU.
    """
    body = None
    if any(spec.within_body for spec in method.segments):
        if volume.unit != "HU":
            raise ConfigError(
                "within_body needs a volume in HU; remove it from the protocol for this modality"
            )
        body = _body(volume)
    top = max(spec.label for spec in method.segments)
    labels = np.zeros(volume.array.shape, np.uint8 if top < 256 else np.uint16, order="F")
    margins: dict[int, Margin] = {}
    levels: dict[str, Any] = {}
    for number, spec in enumerate(method.segments):
        progress("segment", number / len(method.segments))
        found = _find(volume, spec, body)
        levels[spec.name] = {"level": found.level, "unit": volume.unit, "clipped": found.clipped}
        if found.mask.size:
            labels[found.box][found.mask] = spec.label
            margins[spec.label] = _margin(volume, spec, found)
    progress("segment", 1.0)
    return Segmentation(
        volume.geometry,
        labels,
        tuple(spec.segment() for spec in method.segments),
        margins,
        series=volume.series,
        provenance={"method": "threshold", "levels": levels, "device": "cpu"},
    )


def _body(volume: Volume) -> NDArray[np.bool_]:
    """The patient's filled outline: the largest piece of tissue and what it encloses in any slice."""
    tissue = _beyond(volume, "above", BODY_LEVEL_HU)
    numbered = components.label_components(without_furniture(tissue, volume.geometry))
    sizes = components.component_sizes(numbered)
    return (
        components.fill_cavities(numbered == int(sizes.argmax()), slice_wise=True) if sizes.any() else tissue
    )


def _beyond(volume: Volume, side: str, level: float) -> NDArray[np.bool_]:
    """Measured voxels strictly above or below ``level``."""
    mask = volume.array > level if side == "above" else volume.array < level
    if volume.padding is not None:
        mask &= ~volume.padding
    return mask


def _find(volume: Volume, spec: ThresholdSegment, body: NDArray[np.bool_] | None) -> _Found:
    """The structure at its own level; a halfway level is measured on a first, provisional structure."""
    level, clipped = spec.level, False
    if isinstance(level, Halfway):
        # the more generous bound: a stricter one would leave out the fainter parts and so confirm itself
        generous = level.lowest if spec.side == "above" else level.highest
        provisional = _between_voxel_values(volume, generous)
        mask = _connected(volume, spec, provisional, body)
        level, clipped = halfway_level(volume, mask, level, spec.side)
    level = _between_voxel_values(volume, level)
    mask = _connected(volume, spec, level, body)
    box = components.bounding_box(mask)
    return _Found(box, mask[box], level, clipped)


def _between_voxel_values(volume: Volume, level: float) -> float:
    """``level`` moved by at most half a unit so that no integer voxel lies exactly on the boundary."""
    return float(np.floor(level) + 0.5) if volume.array.dtype.kind in "iu" else level


def _connected(
    volume: Volume, spec: ThresholdSegment, level: float, body: NDArray[np.bool_] | None
) -> NDArray[np.bool_]:
    """Voxels beyond ``level`` in a component that holds a seed and, if asked, doesn't reach the border."""
    mask = _beyond(volume, spec.side, level)
    if spec.within_body and body is not None:
        mask &= body
    if spec.furniture == "drop":
        mask = without_furniture(mask, volume.geometry)
    numbered = components.label_components(mask)
    keep = np.zeros(int(numbered.max()) + 1, bool)
    keep[np.unique(numbered[_beyond(volume, spec.side, spec.seed)])] = True
    if spec.touching_border == "drop":
        for face in (numbered[0], numbered[-1], numbered[:, 0], numbered[:, -1]):
            keep[np.unique(face)] = False
        if volume.padding is not None:
            keep[_neighbours_of_padding(numbered, volume.padding)] = False
    if spec.median is not None:
        keep &= _median_within(volume, numbered, spec.median, len(keep))
    keep[0] = False
    kept: NDArray[np.bool_] = keep[numbered]
    return kept


def _median_within(volume: Volume, numbered: NDArray[Any], wanted: Range, count: int) -> NDArray[np.bool_]:
    """Which components' median intensity lies in ``wanted``: at most half of their voxels on either side."""
    below, above, voxels = np.zeros(count), np.zeros(count), np.zeros(count)
    for k in range(numbered.shape[2]):
        numbers = numbered[:, :, k].ravel(order="K")
        values = volume.array[:, :, k].ravel(order="K")
        voxels += np.bincount(numbers, minlength=count)
        below += np.bincount(numbers, values < wanted.lowest, minlength=count)
        above += np.bincount(numbers, values > wanted.highest, minlength=count)
    within: NDArray[np.bool_] = (below <= voxels / 2) & (above <= voxels / 2)
    return within


def _neighbours_of_padding(numbered: NDArray[Any], padding: NDArray[np.bool_]) -> NDArray[Any]:
    """Components that share a face with padding within a slice."""
    touching = []
    for axis in (0, 1):
        ahead = (slice(None),) * axis + (slice(1, None),)
        behind = (slice(None),) * axis + (slice(None, -1),)
        touching += [np.unique(numbered[ahead][padding[behind]]), np.unique(numbered[behind][padding[ahead]])]
    return np.unique(np.concatenate(touching))


def _margin(volume: Volume, spec: ThresholdSegment, found: _Found) -> Margin:
    """Signed intensity difference in the structure's box: above zero on its voxels, below on all others."""
    values = np.asarray(volume.array[found.box], np.float32, order="F")
    values = values - np.float32(found.level) if spec.side == "above" else np.float32(found.level) - values
    np.abs(values, out=values)
    values[values == 0] = np.finfo(np.float32).tiny
    np.negative(values, out=values, where=~found.mask)
    start = (found.box[0].start, found.box[1].start, found.box[2].start)
    return Margin(volume.geometry.cropped(start, found.mask.shape), values)

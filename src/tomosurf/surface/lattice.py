"""Labels on lattices: what is contoured together, so that neighbours share their walls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from tomosurf.data.geometry import Geometry
from tomosurf.data.segmentation import Margin, Segment, Segmentation
from tomosurf.errors import DataError
from tomosurf.surface.border import refuse_cut

Steps = tuple[int, int, int]
Box = tuple[NDArray[np.int64], NDArray[np.int64]]
"""First voxel, and last one plus one."""

SAME_LATTICE = 1e-3
"""How far two margins' voxel centres may be apart, in voxels, and still count as the same."""


@dataclass(frozen=True, slots=True, eq=False)
class Lattice:
    """A label map with a layer of background around it, and the margins that it was made from.

    Args:
        geometry: of the lattice, its layer included.
        labels: Fortran-ordered, unsigned; the outermost layer is 0. A row fills whole groups of eight bytes, so
            that there may be more background at the end of i.
        first, last: the voxels at which the image begins and ends; -1 or the shape, where it goes on.
        margins: label to where its margin begins on the lattice, and its values; empty for a mask.
    """

    geometry: Geometry
    labels: NDArray[Any]
    first: Steps
    last: Steps
    margins: Mapping[int, tuple[Steps, NDArray[np.float32]]] = field(default_factory=dict)


def at_end(points: NDArray[np.float64], closing: NDArray[np.bool_], lattice: Lattice) -> NDArray[np.bool_]:
    """Which of a lattice's points lie where the image or a margin ends: ``closing`` crossings, and beyond."""
    found = np.zeros(len(points), bool)
    found[: len(closing)] = closing
    for axis in range(3):
        if lattice.first[axis] > -1:
            found |= points[:, axis] < lattice.first[axis]
        if lattice.last[axis] < lattice.labels.shape[axis]:
            found |= points[:, axis] > lattice.last[axis]
    return found


def lattices_of(segmentation: Segmentation) -> tuple[Lattice, ...]:
    """A segmentation's lattices: one for all margins on the same voxel centres, and one for what has only a mask.

    A voxel of a margins' lattice has the label of the margin that is above zero there; where several are, that of
    the label map's nearest voxel, or of the largest if it is none of them. A segment without a margin, or whose
    margin is nowhere inside (a structure that slips through a coarser grid), is contoured from the label map; its
    neighbours there are those in the same state.

    Raises:
        DataError: a margin holds NaN or infinity, or its crop cuts its structure within the volume.
    """
    used: dict[int, Margin] = {}
    seen, box = _survey(segmentation.labels)
    there = [segment for segment in segmentation.segments if seen[segment.label : segment.label + 1].any()]
    for segment in there:
        margin = segmentation.margins.get(segment.label)
        if margin is not None and _usable(margin, segment, segmentation):
            used[segment.label] = margin
    lattices = [_of_margins(group, segmentation) for group in _groups(used)]
    masks = [segment.label for segment in there if segment.label not in used]
    seen[[0, *masks]] = False
    mask = _of_mask(segmentation, masks, None if used or seen.any() else box) if masks else None
    return (*lattices, mask) if mask is not None else tuple(lattices)


def _usable(margin: Margin, segment: Segment, segmentation: Segmentation) -> bool:
    if not np.isfinite([margin.values.min(), margin.values.max()]).all():
        raise DataError(f"the margin of {segment.name!r} holds NaN or infinity; clip it to finite values")
    refuse_cut(margin, segmentation.geometry, segment.name)
    return bool(margin.values.max() > 0)


def _groups(margins: Mapping[int, Margin]) -> list[dict[int, Margin]]:
    """Margins whose grids share their voxel centres, together."""
    groups: list[dict[int, Margin]] = []
    for label, margin in margins.items():
        for group in groups:
            if _start(next(iter(group.values())).geometry, margin.geometry) is not None:
                group[label] = margin
                break
        else:
            groups.append({label: margin})
    return groups


def _start(grid: Geometry, other: Geometry) -> Steps | None:
    """The voxel of ``grid`` (it may lie outside) on which voxel (0, 0, 0) of ``other`` lies; None if none does."""
    index = grid.to_index(other.corners())
    ends = np.array(other.shape) - 1
    wanted = index[0] + np.array([(n & 1, n >> 1 & 1, n >> 2) for n in range(8)]) * ends
    if (
        np.abs(index - wanted).max() > SAME_LATTICE
        or np.abs(index[0] - np.rint(index[0])).max() > SAME_LATTICE
    ):
        return None
    i, j, k = (int(n) for n in np.rint(index[0]))
    return i, j, k


def _of_margins(margins: Mapping[int, Margin], segmentation: Segmentation) -> Lattice:
    grid = next(iter(margins.values())).geometry
    starts = {label: np.array(_start(grid, margin.geometry)) for label, margin in margins.items()}
    low = np.min(list(starts.values()), axis=0)
    high = np.max([starts[label] + margin.geometry.shape for label, margin in margins.items()], axis=0)
    labels = _empty(high - low, max(margins))
    placed = {}
    for label, margin in margins.items():
        i, j, k = (int(n) for n in starts[label] - low + 1)
        placed[label] = ((i, j, k), np.asfortranarray(margin.values))
    lattice = Lattice(_around(grid, low, labels.shape), labels, (1, 1, 1), _steps(high - low), placed)
    _claim(lattice, segmentation)
    return lattice


def _claim(lattice: Lattice, segmentation: Segmentation) -> None:
    """Give each voxel the label whose margin is above zero there; where several are, :func:`_settle`."""
    for label, (start, values) in lattice.margins.items():
        contested = _claim_one(lattice.labels, label, start, values)
        for part in np.array_split(contested, max(len(contested) >> 20, 1)):
            if len(part):
                _settle(lattice, label, part, segmentation)


def _settle(lattice: Lattice, label: int, contested: NDArray[np.int64], segmentation: Segmentation) -> None:
    """Give contested voxels what the label map has there, if it is one of the two; else the larger margin's."""
    place = np.stack(np.unravel_index(contested, lattice.labels.shape, order="F"), axis=1)
    before = lattice.labels[tuple(place.T)]
    there = np.rint(segmentation.geometry.to_index(lattice.geometry.to_world(place))).astype(np.intp)
    known = ((there >= 0) & (there < segmentation.labels.shape)).all(axis=1)
    mapped = np.zeros(len(place), segmentation.labels.dtype)
    mapped[known] = segmentation.labels[tuple(there[known].T)]
    wins = mapped == label
    for other in np.unique(before):
        unsettled = (before == other) & (mapped != label) & (mapped != other)
        own, others = (_values(lattice, one, place[unsettled]) for one in (label, int(other)))
        wins[unsettled] = own > others
    lattice.labels[tuple(place[wins].T)] = label


def _values(lattice: Lattice, label: int, place: NDArray[np.intp]) -> NDArray[np.float32]:
    start, values = lattice.margins[label]
    found: NDArray[np.float32] = values[tuple((place - start).T)]
    return found


@numba.njit(cache=True)
def _claim_one(
    labels: NDArray[np.integer[Any]], label: int, start: Steps, values: NDArray[np.float32]
) -> NDArray[np.int64]:
    """Claim what nobody has; returns the flat indices of what others have as well."""
    ni, nj, _ = labels.shape
    contested = []
    for k in range(values.shape[2]):
        for j in range(values.shape[1]):
            for i in range(values.shape[0]):
                if not values[i, j, k] > 0:
                    continue
                if labels[start[0] + i, start[1] + j, start[2] + k] == 0:
                    labels[start[0] + i, start[1] + j, start[2] + k] = label
                else:
                    contested.append(start[0] + i + ni * (start[1] + j + nj * (start[2] + k)))
    return np.array(contested, np.int64)


def _of_mask(segmentation: Segmentation, wanted: Sequence[int], box: Box | None) -> Lattice | None:
    """The label map's box of the ``wanted`` labels, all of which it holds; the others are background there.

    ``box`` is the box where there are no others.
    """
    found = segmentation.labels
    if box is None:
        table = np.zeros(int(found.max()) + 1, found.dtype)
        table[list(wanted)] = wanted
        found = table[found]
        box = _survey(found)[1]
    if box is None:
        return None
    low, high = box
    labels = _empty(high - low, int(found.max()))
    inner = tuple(slice(1, n + 1) for n in high - low)
    labels[inner] = found[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    shape = np.array(found.shape)
    first = np.where(low == 0, 1, -1)
    last = np.where(high == shape, high - low, labels.shape)
    return Lattice(_around(segmentation.geometry, low, labels.shape), labels, _steps(first), _steps(last))


def _survey(labels: NDArray[Any]) -> tuple[NDArray[np.bool_], Box | None]:
    """Which labels but background there are, and the box of what isn't background; None for nothing."""
    seen = np.zeros(np.iinfo(labels.dtype).max + 1, bool)
    order = sorted(range(3), key=lambda axis: -abs(labels.strides[axis]))
    low, high = np.array([labels.shape[axis] for axis in order]), np.zeros(3, np.int64)
    _look(labels.transpose(order), seen, low, high)
    back = np.argsort(order)
    return seen, (low[back], high[back]) if seen.any() else None


@numba.njit(cache=True)
def _look(
    rows: NDArray[np.integer[Any]],
    seen: NDArray[np.bool_],
    low: NDArray[np.int64],
    high: NDArray[np.int64],
) -> None:
    """Mark the labels that are ``seen`` and widen the box; nearly all of the time goes into empty voxels."""
    length = rows.shape[2]
    for a in range(rows.shape[0]):
        for b in range(rows.shape[1]):
            row = rows[a, b]
            some = False
            for i in range(length):
                some |= row[i] != 0
            if not some:
                continue
            first, last = 0, length - 1
            while row[first] == 0:
                first += 1
            while row[last] == 0:
                last -= 1
            low[0], high[0] = min(low[0], a), max(high[0], a + 1)
            low[1], high[1] = min(low[1], b), max(high[1], b + 1)
            low[2], high[2] = min(low[2], first), max(high[2], last + 1)
            label = row[first]
            seen[label] = True
            for i in range(first, last + 1):
                if row[i] != label:
                    label = row[i]
                    seen[label] = label != 0


def _empty(shape: NDArray[np.int64], top: int) -> NDArray[Any]:
    """A lattice of background, with a layer around ``shape``."""
    kind = np.dtype(np.uint8 if top < 256 else np.uint16)
    each = 8 // kind.itemsize
    ni, nj, nk = (int(n) + 2 for n in shape)
    return np.zeros((-(-ni // each) * each, nj, nk), kind, order="F")


def _around(grid: Geometry, low: NDArray[np.int64], shape: tuple[int, ...]) -> Geometry:
    """The lattice's geometry: its layer begins one voxel before ``low``."""
    return grid.cropped(_steps(low - 1), _steps(np.array(shape)))


def _steps(values: NDArray[np.int64]) -> Steps:
    i, j, k = (int(n) for n in values)
    return i, j, k

"""The figures of one structure in one case: what each means, and how it is computed from two masks.

Conventions where a mask is empty: neither holds the structure: ``absent``, no figure at all. Only the reference
does: ``missed``, Dice and NSD 0, volume error -100 %, no distance. Only the prediction does: ``invented``, Dice and
NSD 0, no volume error, no distance. Means leave out what has no figure, and say over how many they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tomosurf.components import bounding_box, label_components
from tomosurf.data.geometry import Geometry
from tomosurf.errors import DataError

Outcome = Literal["found", "missed", "invented", "absent"]
Mask = NDArray[np.bool_]
Distances = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Metric:
    """One column of figures: which way is better, and how it is shown.

    ``better`` "zero" means that the size of the figure counts, whatever its sign.
    """

    name: str
    title: str
    unit: str
    better: Literal["higher", "lower", "zero"]
    decimals: int

    def cost(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """``values`` so that more is worse."""
        return -values if self.better == "higher" else np.abs(values) if self.better == "zero" else values


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        metric.name: metric
        for metric in (
            Metric("dice", "Dice", "", "higher", 3),
            Metric("nsd", "Surface Dice", "", "higher", 3),
            Metric("hd95_mm", "95 % Hausdorff distance", "mm", "lower", 2),
            Metric("msd_mm", "Mean surface distance", "mm", "lower", 3),
            Metric("volume_error_pct", "Volume error", "%", "zero", 1),
            Metric("mesh_msd_mm", "Mean distance of the mesh", "mm", "lower", 3),
            Metric("mesh_p95_mm", "95 % distance of the mesh", "mm", "lower", 2),
        )
    }
)
"""The figures that are summed up, in the order of the table's columns."""

COUNTS = ("reference_components", "predicted_components", "missed_components", "false_components")


def score(
    predicted: Mask, reference: Mask, geometry: Geometry, tolerances_mm: tuple[float, ...], overlap: float
) -> dict[str, Any]:
    """Outcome and figures of two masks on one grid; figures that don't exist are left out.

    Args:
        predicted: bool, (ni, nj, nk).
        reference: bool, the same shape.
        geometry: their grid; shear is allowed.
        tolerances_mm: of the normalised surface distance: ``nsd`` at the first, ``nsd_<t>mm`` at the others.
        overlap: see :func:`components`.

    Raises:
        DataError: the shapes differ.
    """
    if predicted.shape != reference.shape or predicted.shape != geometry.shape:
        raise DataError("two masks are compared on one grid")
    ours, theirs = int(predicted.sum()), int(reference.sum())
    told: dict[str, Any] = {
        "outcome": outcome(ours, theirs),
        "reference_mm3": theirs * geometry.voxel_volume,
        "predicted_mm3": ours * geometry.voxel_volume,
    }
    if not ours and not theirs:
        return told
    box = bounding_box(predicted | reference)
    start = tuple(part.start for part in box)
    predicted, reference = predicted[box], reference[box]
    told["dice"] = 2 * int((predicted & reference).sum()) / (ours + theirs)
    if theirs:
        told["volume_error_pct"] = (ours - theirs) / theirs * 100
    told |= components(predicted, reference, overlap)
    names = {tolerance: nsd_name(number, tolerance) for number, tolerance in enumerate(tolerances_mm)}
    if not ours or not theirs:
        return told | dict.fromkeys(names.values(), 0.0)
    there, back = surface_distances(
        predicted, reference, geometry.cropped((start[0], start[1], start[2]), predicted.shape)
    )
    both = np.concatenate([there, back])
    told |= {name: float((both <= tolerance).mean()) for tolerance, name in names.items()}
    told["hd95_mm"] = float(max(np.percentile(there, 95), np.percentile(back, 95)))
    told["msd_mm"] = float(both.mean())
    return told


def mask_of(labels: NDArray[Any], values: tuple[int, ...]) -> Mask:
    """Where ``labels`` have one of ``values``."""
    mask: Mask = labels == values[0] if len(values) == 1 else np.isin(labels, values)
    return mask


def nsd_name(number: int, tolerance: float) -> str:
    """The column of the ``number``-th tolerance.

    >>> nsd_name(0, 1.0), nsd_name(1, 2.5)
    ('nsd', 'nsd_2.5mm')
    """
    return f"nsd_{tolerance:g}mm" if number else "nsd"


def outcome(predicted: int, reference: int) -> Outcome:
    """What came of a structure, by the two counts of its voxels."""
    if predicted:
        return "found" if reference else "invented"
    return "missed" if reference else "absent"


def boundary(mask: Mask) -> NDArray[np.intp]:
    """(n, 3) indices of the voxels of ``mask`` that share a face with what is outside, or with the array's end."""
    from scipy.ndimage import binary_erosion

    return np.argwhere(mask & ~binary_erosion(mask))


def surface_distances(predicted: Mask, reference: Mask, geometry: Geometry) -> tuple[Distances, Distances]:
    """For every boundary voxel of each mask the distance in mm to the other's nearest: predicted's, reference's.

    Between voxel centres in the patient frame, so that oblique and sheared grids need no special care. Neither
    mask may be empty.
    """
    from scipy.spatial import cKDTree

    ours, theirs = geometry.to_world(boundary(predicted)), geometry.to_world(boundary(reference))
    return cKDTree(theirs).query(ours, workers=-1)[0], cKDTree(ours).query(theirs, workers=-1)[0]


def components(predicted: Mask, reference: Mask, overlap: float) -> dict[str, int]:
    """Counts of pieces (voxels that share faces), and of those that the other mask doesn't know.

    A piece of the reference is missed when less than ``overlap`` of its voxels are predicted; a predicted piece
    is false when less than ``overlap`` of its voxels lie in the reference.
    """
    theirs, unseen = _pieces(reference, predicted, overlap)
    ours, false = _pieces(predicted, reference, overlap)
    return dict(zip(COUNTS, (theirs, ours, unseen, false), strict=True))


def _pieces(mask: Mask, other: Mask, overlap: float) -> tuple[int, int]:
    numbered = label_components(np.asfortranarray(mask))
    sizes = np.bincount(numbered.ravel())[1:]
    covered = np.bincount(numbered[other].ravel(), minlength=len(sizes) + 1)[1:]
    return len(sizes), int((covered < np.maximum(overlap * sizes, 1)).sum())

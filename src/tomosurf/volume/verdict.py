"""Whether the slices of a series are one stack, and where it lies: judged over all of them, from headers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.codes import refusal
from tomosurf.data.geometry import Geometry
from tomosurf.data.series import Instance, Series
from tomosurf.data.volume import LedgerEntry
from tomosurf.errors import InputRefused

ACQUISITION_KEYWORDS = (
    ("temporal_position", "TemporalPositionIdentifier"),
    ("b_value", "DiffusionBValue"),
    ("echo_time", "EchoTime"),
    ("trigger_time", "TriggerTime"),
    ("kernel", "ConvolutionKernel"),
    ("acquisition_number", "AcquisitionNumber"),
)
"""Fields of ``Acquisition`` that can tell slices at one place apart, and their DICOM keywords."""


@dataclass(frozen=True, slots=True)
class Tolerances:
    """How far slices may be from a perfect stack.

    Args:
        step_fraction: of the step between slices; the larger of this and ``step_mm`` holds for every slice's
            distance from its place in the affine, along the normal and in the plane.
        step_mm: mm; also the distance below which two slices lie at the same place.
        orientation: largest difference of a direction cosine between slices (unitless).
        pixel_spacing: largest relative difference of pixel spacing between slices.
        min_slices: fewer can't show that their steps are uniform.
        max_voxels: of a whole volume.
    """

    step_fraction: float = 0.01
    step_mm: float = 0.01
    orientation: float = 5e-4
    pixel_spacing: float = 1e-4
    min_slices: int = 3
    max_voxels: int = 1 << 31

    def of(self, step: float) -> float:
        """The tolerance in mm for a stack of that step in mm."""
        return max(self.step_fraction * step, self.step_mm)


DEFAULT_TOLERANCES = Tolerances()


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """The slices in the order of k, the grid they make, and what is odd about it."""

    instances: tuple[Instance, ...]
    geometry: Geometry
    ledger: tuple[LedgerEntry, ...]


def judge(series: Series, tolerances: Tolerances = DEFAULT_TOLERANCES) -> Stack:
    """Find the one affine that all slices of ``series`` agree on, or refuse.

    k runs along the normal (row x column direction), so the affine is right-handed whatever the order of
    files or instance numbers. Its k axis is (last - first position) / (n - 1): a constant shift in the plane,
    as a tilted gantry makes, is kept as shear. Orientation and pixel spacing are medians over the stack.

    Raises:
        InputRefused: with codes as in docs/reference/ingest-codes.md; ``series`` is filled in.

    Reference: DICOM PS3.3 C.7.6.2.1.1.
    """
    try:
        return _judge(series, tolerances)
    except InputRefused as error:
        error.series = series.digest
        raise


def _judge(series: Series, tolerances: Tolerances) -> Stack:
    instances = series.instances
    if len(instances) < tolerances.min_slices:
        files = tuple(i.name for i in instances)
        raise refusal("too_few_slices", f"{len(instances)} of at least {tolerances.min_slices}", files=files)
    _same(instances, "inconsistent_matrix", "Rows", lambda i: (i.pixels.rows, i.pixels.columns))
    _same(instances, "mixed_series", "RescaleType", lambda i: i.rescale.kind if i.rescale else None)
    rows, columns = instances[0].pixels.rows, instances[0].pixels.columns
    if rows * columns * len(instances) > tolerances.max_voxels:
        raise refusal("too_large", f"{columns} x {rows} x {len(instances)} voxels", attribute="Rows")
    spacing = _pixel_spacing(instances, tolerances)
    directions = _directions(instances, tolerances)
    normal = np.cross(directions[0], directions[1])
    ordered = tuple(sorted(instances, key=lambda i: (float(np.dot(i.position, normal)), i.sop_instance_uid)))
    positions = np.array([i.position for i in ordered])
    _check_steps(ordered, positions @ normal, tolerances)
    affine = np.eye(4)
    affine[:3, 0] = directions[0] * spacing[1]
    affine[:3, 1] = directions[1] * spacing[0]
    affine[:3, 2] = (positions[-1] - positions[0]) / (len(ordered) - 1)
    affine[:3, 3] = positions[0]
    _check_line(ordered, positions, affine, normal, tolerances)
    geometry = Geometry((columns, rows, len(ordered)), affine, series.frame_of_reference_uid)
    return Stack(ordered, geometry, _tilt(geometry))


def _same(
    instances: Sequence[Instance], code: str, keyword: str, value: Callable[[Instance], Hashable]
) -> None:
    """Refuse when a value isn't common; the files named are those that differ from most."""
    counts = Counter(value(i) for i in instances)
    if len(counts) > 1:
        usual = counts.most_common(1)[0][0]
        files = tuple(i.name for i in instances if value(i) != usual)
        raise refusal(code, f"{len(counts)} kinds in one series", files=files, attribute=keyword)


def _pixel_spacing(instances: Sequence[Instance], tolerances: Tolerances) -> NDArray[np.float64]:
    """Median Pixel Spacing: mm between rows, mm between columns."""
    each = np.array([i.pixel_spacing for i in instances])
    median: NDArray[np.float64] = np.median(each, axis=0)
    odd = np.abs(each / median - 1).max(axis=1) > tolerances.pixel_spacing
    if odd.any():
        what = "pixel spacing differs between slices"
        raise refusal("inconsistent_matrix", what, files=_named(instances, odd), attribute="PixelSpacing")
    return median


def _directions(instances: Sequence[Instance], tolerances: Tolerances) -> NDArray[np.float64]:
    """(2, 3) unit vectors along a row and down the rows: the median, made perpendicular."""
    each = np.array([i.orientation for i in instances])
    median = np.median(each, axis=0)
    odd = np.abs(each - median).max(axis=1) > tolerances.orientation
    if odd.any():
        what = "orientation differs between slices"
        files = _named(instances, odd)
        raise refusal("mixed_orientation", what, files=files, attribute="ImageOrientationPatient")
    row, column = median[:3], median[3:]
    lean = float(row @ column) / 2  # half the rounding error goes to each
    row, column = row - lean * column, column - lean * row
    return np.array([row / math.hypot(*row), column / math.hypot(*column)])


def _check_steps(instances: Sequence[Instance], depths: NDArray[np.float64], tolerances: Tolerances) -> None:
    """Refuse slices at the same place, missing slices and uneven steps; ``depths`` ascend, mm."""
    steps = np.diff(depths)
    if (steps <= tolerances.step_mm).any():
        _refuse_coincident(instances, steps <= tolerances.step_mm)
    step = float(np.sort(steps)[(len(steps) - 1) // 2])
    tolerance = tolerances.of(step)
    odd = np.abs(steps - step) > tolerance
    if not odd.any():
        return
    files = _named(instances, np.append(odd, False) | np.append(False, odd))
    multiples = np.round(steps / step)
    if (multiples[odd] >= 2).all() and (np.abs(steps - multiples * step) <= tolerance * multiples).all():
        count = int((multiples[odd] - 1).sum())
        what = f"{count} missing between slices {step:.4g} mm apart"
        raise refusal("missing_slice", what, files=files, attribute="ImagePositionPatient")
    what = f"steps from {steps.min():.4g} to {steps.max():.4g} mm"
    raise refusal("nonuniform_spacing", what, files=files, attribute="ImagePositionPatient")


def _refuse_coincident(instances: Sequence[Instance], same_as_next: NDArray[np.bool_]) -> None:
    """Say whether slices at one place are time points (or echoes, ...), or just overlap."""
    starts = [0, *(int(k) + 1 for k in np.flatnonzero(~same_as_next)), len(instances)]
    places = [instances[a:b] for a, b in pairwise(starts)]
    files = _named(instances, np.append(same_as_next, False) | np.append(False, same_as_next))
    if len({len(place) for place in places}) == 1:
        for name, keyword in ACQUISITION_KEYWORDS:
            if all(len({getattr(i.acquisition, name) for i in place}) == len(place) for place in places):
                what = f"{len(places[0])} slices at every place, told apart by {keyword}"
                raise refusal("temporal", what, files=files, attribute=keyword)
    what = "slices lie at the same place"
    raise refusal("overlapping_positions", what, files=files, attribute="ImagePositionPatient")


def _check_line(
    instances: Sequence[Instance],
    positions: NDArray[np.float64],
    affine: NDArray[np.float64],
    normal: NDArray[np.float64],
    tolerances: Tolerances,
) -> None:
    """Refuse when a slice is further from where the affine puts it than the tolerance."""
    placed = affine[:3, 3] + np.arange(len(instances))[:, None] * affine[:3, 2]
    off = positions - placed
    along = off @ normal
    across = np.linalg.norm(off - along[:, None] * normal, axis=1)
    tolerance = tolerances.of(float(affine[:3, 2] @ normal))
    for code, distance in (("nonuniform_spacing", np.abs(along)), ("bad_geometry", across)):
        odd = distance > tolerance
        if odd.any():
            what = f"slices are up to {distance.max():.4g} mm off a uniform, straight stack"
            raise refusal(code, what, files=_named(instances, odd), attribute="ImagePositionPatient")


def _tilt(geometry: Geometry) -> tuple[LedgerEntry, ...]:
    """The ledger entry of a sheared stack; none for an orthogonal one."""
    if geometry.is_orthogonal:
        return ()
    cosine = geometry.slice_step / geometry.spacing[2]
    degrees = math.degrees(math.acos(min(1.0, cosine)))
    return (LedgerEntry("gantry_tilt", f"slices lean by {degrees:.2f} degrees; kept as shear"),)


def _named(instances: Sequence[Instance], which: NDArray[np.bool_]) -> tuple[str, ...]:
    return tuple(instance.name for instance, named in zip(instances, which, strict=True) if named)

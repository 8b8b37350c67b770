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
from tomosurf.data.volume import LedgerEntry, Policy
from tomosurf.errors import InputRefused
from tomosurf.volume.steps import excess, record, regular, unevenness
from tomosurf.volume.tolerances import DEFAULT_TOLERANCES, Tolerances

ACQUISITION_KEYWORDS = (
    ("temporal_position", "TemporalPositionIdentifier"),
    ("b_value", "DiffusionBValue"),
    ("echo_time", "EchoTime"),
    ("inversion_times", "InversionTime"),
    ("trigger_time", "TriggerTime"),
    ("kernel", "ConvolutionKernel"),
    ("acquisition_number", "AcquisitionNumber"),
)
"""Fields of ``Acquisition`` that can tell slices at one place apart, and their DICOM keywords."""


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """The slices in the order of k, the grid they make, and what is odd about it.

    ``places`` are the slices' k, (n,): 0, 1, ... unless the stack is to be repaired; then a slice off the grid
    has a fraction, and whole k without a slice are to be interpolated.
    """

    instances: tuple[Instance, ...]
    geometry: Geometry
    ledger: tuple[LedgerEntry, ...]
    places: NDArray[np.float64]

    @property
    def needs_repair(self) -> bool:
        """Whether some slice of the grid wasn't acquired."""
        return len(self.places) != self.geometry.shape[2] or bool((self.places % 1 != 0).any())


def judge(series: Series, tolerances: Tolerances = DEFAULT_TOLERANCES, policy: Policy = "strict") -> Stack:
    """Find the one affine that all slices of ``series`` agree on, or refuse.

    k runs along the normal (row x column direction), so the affine is right-handed whatever the order of
    files or instance numbers. Its k axis is (last - first position) / (number of steps): a constant shift in
    the plane, as a tilted gantry makes, is kept as shear. Orientation and pixel spacing are medians over the
    stack. Policy "strict" refuses missing slices and uneven steps; "repair" lays a uniform grid through them
    (:func:`tomosurf.volume.steps.regular`), within the tolerances, and takes a series that damaged files lie
    beside; it forgives nothing else.

    Raises:
        InputRefused: with codes as in docs/reference/ingest-codes.md; ``series`` is filled in.

    Reference: DICOM PS3.3 C.7.6.2.1.1.
    """
    try:
        return _judge(series, tolerances, policy)
    except InputRefused as error:
        error.series = series.digest
        raise


def _judge(series: Series, tolerances: Tolerances, policy: Policy) -> Stack:
    doubts = _doubts(series, policy)
    instances = series.instances
    if len(instances) < tolerances.min_slices:
        files = tuple(i.name for i in instances)
        raise refusal("too_few_slices", f"{len(instances)} of at least {tolerances.min_slices}", files=files)
    _same(instances, "inconsistent_matrix", "Rows", lambda i: (i.pixels.rows, i.pixels.columns))
    _same(instances, "mixed_series", "RescaleType", lambda i: i.rescale.kind if i.rescale else None)
    spacing = _pixel_spacing(instances, tolerances)
    directions = _directions(instances, tolerances)
    normal = np.cross(directions[0], directions[1])
    ordered = tuple(sorted(instances, key=lambda i: (float(np.dot(i.position, normal)), i.sop_instance_uid)))
    positions = np.array([i.position for i in ordered])
    places, repairs = _places(ordered, positions @ normal, tolerances, policy)
    rows, columns = instances[0].pixels.rows, instances[0].pixels.columns
    shape = (columns, rows, int(places[-1]) + 1)
    if math.prod(shape) > tolerances.max_voxels:
        raise refusal("too_large", " x ".join(map(str, shape)) + " voxels", attribute="Rows")
    affine = np.eye(4)
    affine[:3, 0] = directions[0] * spacing[1]
    affine[:3, 1] = directions[1] * spacing[0]
    affine[:3, 2] = (positions[-1] - positions[0]) / places[-1]
    affine[:3, 3] = positions[0]
    _check_line(ordered, positions, affine, normal, tolerances)
    lean = math.degrees(math.acos(min(1.0, float(affine[:3, 2] @ normal / np.linalg.norm(affine[:3, 2])))))
    if lean > tolerances.lean_degrees:
        raise refusal("bad_geometry", f"slices lean by {lean:.1f} degrees", attribute="ImagePositionPatient")
    geometry = Geometry(shape, affine, series.frame_of_reference_uid)
    return Stack(ordered, geometry, _tilt(geometry, ordered, tolerances) + repairs + doubts, places)


def _doubts(series: Series, policy: Policy) -> tuple[LedgerEntry, ...]:
    """The ledger entry of a stack that lies beside damaged files; it names none, for names can name a patient.

    Raises:
        InputRefused: possibly_incomplete, under the policy "strict".
    """
    count = len(series.damaged)
    if not count:
        return ()
    whose = "a file that is damaged or out of place may hold a slice"
    if count > 1:
        whose = f"{count} files that are damaged or out of place may hold slices"
    what = f"{whose} of this series: nobody can say that it is complete, for a missing end leaves no gap"
    if policy == "strict":
        raise refusal("possibly_incomplete", what, files=series.damaged)
    return (LedgerEntry("possibly_incomplete", what),)


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


def _places(
    instances: Sequence[Instance], depths: NDArray[np.float64], tolerances: Tolerances, policy: Policy
) -> tuple[NDArray[np.float64], tuple[LedgerEntry, ...]]:
    """k of each slice, and what is repaired; ``depths`` ascend, mm.

    Raises:
        InputRefused: slices lie at the same place, are missing or uneven, or more so than may be repaired.
    """
    same = np.diff(depths) <= tolerances.step_mm
    if same.any():
        _refuse_coincident(instances, same)
    uneven = unevenness(depths, tolerances)
    if uneven is None:
        return np.arange(len(instances), dtype=np.float64), ()
    what = uneven.message
    if policy == "repair":
        places = regular(depths, uneven, tolerances)
        beyond = "; ".join(excess(depths, places, uneven, tolerances))
        if not beyond:
            return places, record(depths, places, uneven)
        what = f"{what}; more than is repaired ({beyond})"
    files = _named(instances, uneven.odd)
    raise refusal(uneven.code, what, files=files, attribute="ImagePositionPatient")


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
    """Refuse when a slice is further from the stack's line, in its plane, than the tolerance."""
    step = float(affine[:3, 2] @ normal)
    depths = (positions - affine[:3, 3]) @ normal
    off = positions - affine[:3, 3] - (depths / step)[:, None] * affine[:3, 2]
    across = np.linalg.norm(off, axis=1)
    odd = across > tolerances.of(step)
    if odd.any():
        what = f"slices are up to {across.max():.4g} mm off a uniform, straight stack"
        files = _named(instances, odd)
        raise refusal("bad_geometry", what, files=files, attribute="ImagePositionPatient")


def _tilt(
    geometry: Geometry, instances: Sequence[Instance], tolerances: Tolerances
) -> tuple[LedgerEntry, ...]:
    """The ledger entry of a sheared stack, or of one whose header speaks of a tilt that it doesn't have.

    Positions decide; where Gantry/Detector Tilt (0018,1120) says otherwise, that is told.
    """
    cosine = min(1.0, geometry.slice_step / geometry.spacing[2])
    lean = 0.0 if geometry.is_orthogonal else math.degrees(math.acos(cosine))
    told = [abs(i.gantry_tilt) for i in instances if i.gantry_tilt is not None]
    header = float(np.median(told)) if told else lean
    doubt = abs(header - lean) > tolerances.tilt_degrees
    if lean:
        what = f"slices lean by {lean:.2f} degrees; kept as shear"
        if doubt:
            what += f"; the header says {header:.2f} degrees, positions decide"
    elif doubt:
        what = (
            f"the header says a tilt of {header:.2f} degrees, positions show none and decide: "
            "whoever exported the slices may have straightened them"
        )
    else:
        return ()
    return (LedgerEntry("gantry_tilt", what),)


def _named(instances: Sequence[Instance], which: NDArray[np.bool_]) -> tuple[str, ...]:
    return tuple(instance.name for instance, named in zip(instances, which, strict=True) if named)

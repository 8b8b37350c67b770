"""The attributes by which slices of one series are told apart, and how to put it in words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.series import Instance
from tomosurf.ingest.places import DIRECTION_APART

SPACING_APART = 0.01
"""Relative difference above which pixel spacings are two; smaller ones are for the verdict to judge."""
ECHO_APART_MS = 0.05
INVERSION_APART_MS = 0.5
B_VALUE_APART = 0.5
"""Differences of Echo Time, Inversion Time (ms) and b-value (s/mm2) that are noise."""
PLAIN_TYPES = frozenset(
    {"ORIGINAL", "DERIVED", "PRIMARY", "SECONDARY", "AXIAL", "MPR", "MIP"}
    | {"M", "P", "R", "I", "W", "F", "IP", "OP", "WATER", "FAT", "IN_PHASE", "OPP_PHASE", "OUT_PHASE"}
    | {"MAGNITUDE", "PHASE", "REAL", "IMAGINARY", "ADC", "FA", "TRACEW"}
)
"""Values of Image Type that may be named; others may be anybody's words and are only counted."""

Value = Callable[[Instance], Hashable]


@dataclass(frozen=True, slots=True)
class Attribute:
    """One DICOM attribute of a slice, by its keyword.

    Args:
        keyword: as in PS3.6; also in the names of volumes.
        value: of one slice; None, "" or () where the header is silent.
        apart: numbers that differ by no more are the same; a chain of small steps counts as one value.
        relative: whether ``apart`` is a fraction of the value.
        matters: whether slices that differ in it can't be one volume, even where their places fit.
        ordered: whether it is a time, so that the earliest slices of all places are one phase.
        shown: how a value is written; None: by its rank among the values.
    """

    keyword: str
    value: Value
    apart: float = 0.0
    relative: bool = False
    matters: bool = False
    ordered: bool = False
    shown: Callable[[Any], str] | None = None


def _number(value: float) -> str:
    return f"{value:.6g}"


def _pair(value: tuple[float, ...]) -> str:
    return " x ".join(f"{v:.6g}" for v in value)


def _in_acquisition(name: str) -> Value:
    return lambda instance: getattr(instance.acquisition, name)


ALWAYS = (
    Attribute("Rows", lambda i: (i.pixels.rows, i.pixels.columns), shown=_pair),
    Attribute("PixelSpacing", lambda i: i.pixel_spacing, SPACING_APART, relative=True, shown=_pair),
    Attribute("ImageOrientationPatient", lambda i: i.orientation, DIRECTION_APART),
    Attribute("RescaleType", lambda i: i.rescale.kind if i.rescale else "", matters=True),
    Attribute("ImageType", lambda i: i.acquisition.image_type[:4], matters=True),
    Attribute("ConvolutionKernel", _in_acquisition("kernel"), matters=True),
    Attribute("EchoTime", _in_acquisition("echo_time"), ECHO_APART_MS, matters=True, shown=_number),
    Attribute(
        "InversionTime",
        lambda i: i.acquisition.inversion_times or None,
        INVERSION_APART_MS,
        matters=True,
        shown=_pair,
    ),
    Attribute("DiffusionBValue", _in_acquisition("b_value"), B_VALUE_APART, matters=True, shown=_number),
    Attribute("StackID", _in_acquisition("stack")),
)
"""A difference in one of these makes two volumes, wherever the slices lie."""

WHERE_THEY_COINCIDE = (
    Attribute("TemporalPositionIdentifier", _in_acquisition("temporal_position"), shown=_number),
    Attribute("EchoNumbers", _in_acquisition("echo_number"), shown=_number),
    Attribute("DiffusionGradientOrientation", _in_acquisition("gradient"), 1e-3),
    Attribute("FlipAngle", _in_acquisition("flip_angle"), shown=_number),
    Attribute("ImageType", _in_acquisition("image_type")),
    Attribute("NominalPercentageOfCardiacPhase", _in_acquisition("cardiac_percentage"), shown=_number),
    Attribute("TriggerTime", _in_acquisition("trigger_time"), ordered=True, shown=_number),
    Attribute("TemporalPositionTimeOffset", _in_acquisition("temporal_offset"), ordered=True, shown=_number),
    Attribute("FrameReferenceTime", _in_acquisition("reference_time"), ordered=True, shown=_number),
    Attribute("AcquisitionNumber", _in_acquisition("acquisition_number"), ordered=True, shown=_number),
    Attribute("AcquisitionTime", _in_acquisition("acquisition_time"), ordered=True),
)
"""These tell slices at one place apart, and mean nothing where every slice has a place of its own."""

Groups = dict[Hashable, list[Instance]]


def grouped_by(attribute: Attribute, instances: Sequence[Instance]) -> Groups:
    """Slices by the attribute's value, in the order of values; numbers that are close share the lowest one."""
    values = [attribute.value(instance) for instance in instances]
    distinct = set(values)
    if len(distinct) == 1:
        return {values[0]: list(instances)}
    names = _joined(attribute, sorted(distinct, key=_order))
    groups: Groups = {name: [] for name in dict.fromkeys(names.values())}
    for instance, value in zip(instances, values, strict=True):
        groups[names[value]].append(instance)
    return groups


def _joined(attribute: Attribute, values: list[Hashable]) -> dict[Hashable, Hashable]:
    """Each value to the one that stands for it: the lowest of those that no gap parts."""
    if not attribute.apart:
        return {value: value for value in values}
    by_length: defaultdict[int, list[Any]] = defaultdict(list)
    for value in values:
        by_length[len(value) if isinstance(value, tuple) else 0 if value is None else -1].append(value)
    stands: dict[Hashable, Hashable] = {}
    for length, alike in by_length.items():
        numbers = np.array(alike, float).reshape(len(alike), -1) if length else np.zeros((len(alike), 0))
        if attribute.relative:
            numbers = np.log(np.maximum(numbers, np.finfo(float).tiny))
        for cluster in _parted(numbers, attribute.apart):
            stands |= dict.fromkeys([alike[k] for k in cluster], alike[min(cluster)])
    return stands


def _parted(numbers: NDArray[np.float64], apart: float) -> list[list[int]]:
    """Rows of (n, d) ``numbers`` in groups between which some column has a gap wider than ``apart``."""
    whole, waiting = [], [np.arange(len(numbers))]
    while waiting:
        rows = waiting.pop()
        for column in numbers[rows].T:
            order = np.argsort(column, kind="stable")
            gaps = np.flatnonzero(np.diff(column[order]) > apart) + 1
            if len(gaps):
                waiting += [rows[part] for part in np.split(order, gaps)]
                break
        else:
            whole.append([int(k) for k in rows])
    return whole


def _order(value: Any) -> tuple[int, Any]:
    """A key that puts silence first."""
    return (0, 0) if value is None else (1, value)


def words_for(attribute: Attribute, groups: Sequence[Hashable]) -> list[str]:
    """How each group is called: keyword and number, or a word of ``PLAIN_TYPES``; never a header's own text."""
    shown = attribute.shown
    if shown is not None and None not in groups:
        words = [shown(value) for value in groups]
        if len(set(words)) == len(words):
            return [f"{attribute.keyword} {word}" for word in words]
    if attribute.keyword == "ImageType":
        common = set.intersection(*(set(value) for value in groups if isinstance(value, tuple)))
        words = [
            " ".join(v for v in value if v in PLAIN_TYPES and v not in common)
            for value in groups
            if isinstance(value, tuple)
        ]
        if len(set(words)) == len(groups) and all(words):
            return [f"ImageType {word}" for word in words]
    return [f"{attribute.keyword} {number}" for number in range(1, len(groups) + 1)]


def dimension(number: int) -> Attribute:
    """One of the Dimension Index Values of a multi-frame object (PS3.3 C.7.6.17)."""

    def value(instance: Instance) -> Hashable:
        indices = instance.acquisition.dimensions
        return indices[number] if number < len(indices) else None

    return Attribute("DimensionIndexValues", value, shown=_number)

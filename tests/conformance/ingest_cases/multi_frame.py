"""Multi-frame objects of every class, as the standard wants them: many volumes in one, rescaled frame by frame."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.conformance.ingest_cases.case import Bad, Good, Stack, Truth, bad, case, grid, noise
from tests.conformance.ingest_cases.orientations import PLAIN
from tomosurf.data.geometry import Geometry
from tomosurf.testing.dicom_writer import SeriesOptions
from tomosurf.testing.multi_frame import Frame, FrameOptions, write_frames

CELL = (0.8, 0.7)
"""mm between rows, mm between columns, as in ``case.SPACING``."""


def frames_of(stack: Stack, k: int, **values: Any) -> Frame:
    """Slice ``k`` of a stack as a frame."""
    geometry = stack.geometry
    position = tuple(float(v) for v in geometry.to_world([[0, 0, k]])[0])
    orientation = tuple(float(v) for v in geometry.directions[:, :2].T.ravel())
    rows = np.ascontiguousarray(stack.stored[:, :, k].T)
    return Frame(position, rows, orientation, **values)  # type: ignore[arg-type]


def written(
    folder: Path, stacks: Sequence[Stack], own: Sequence[dict[str, Any]] = ({},), **options: Any
) -> tuple[Truth, ...]:
    """All slices of ``stacks`` in one object, place after place; ``own`` is what each stack's frames say."""
    rescale: Any = options.pop("rescale", lambda k: (1.0, -1024.0))
    series = {"modality": "CT", "bits_stored": 16} | options.pop("series", {})
    frames = [
        frames_of(stack, k, rescale=rescale(k), **about)
        for k in range(stacks[0].geometry.shape[2])
        for stack, about in zip(stacks, own, strict=True)
    ]
    about = FrameOptions(SeriesOptions(**series), CELL, **options)
    write_frames(folder / "object.dcm", frames, about)
    unit = "HU" if series["modality"] == "CT" else ""
    slopes, intercepts = np.array([rescale(k) for k in range(stacks[0].geometry.shape[2])]).T
    return tuple(s.truth(unit=unit, values=s.stored * slopes + intercepts) for s in stacks)


def stacks_of(count: int, geometry: Geometry | None = None) -> list[Stack]:
    return [Stack(geometry or grid(), noise(seed=20 + n)) for n in range(count)]


def _rescaled(name: str, modality: str, legacy: bool, syntax: str = "explicit-le") -> None:
    """Every frame has a slope of its own, and in PET and CT an intercept; the stack is oblique."""

    def function(folder: Path) -> Good:
        def rescale(k: int) -> tuple[float, float]:
            return 0.25 + 0.5 * k, 0.0 if modality == "PT" else -1000.0 - k

        series = {"modality": modality, "syntax": syntax}
        truths = written(
            folder, stacks_of(1, grid(PLAIN["oblique"])), rescale=rescale, legacy=legacy, series=series
        )
        return Good(truths)

    function.__name__ = name
    case(function)


for _modality in ("CT", "MR", "PT"):
    for _legacy in (False, True):
        _rescaled(f"{'legacy_converted' if _legacy else 'enhanced'}_{_modality}_rescaled", _modality, _legacy)
for _syntax in ("implicit-le", "explicit-be", "deflated", "rle", "jpeg-lossless-any", "jpeg-ls"):
    _rescaled(f"enhanced_PT_{_syntax.replace('-', '_')}", "PT", False, _syntax)


def _several(name: str, own: Sequence[dict[str, Any]], modality: str = "MR", **options: Any) -> None:
    """As many volumes as ``own`` has entries, place after place in one object."""

    def function(folder: Path) -> Good:
        series = {"modality": modality, **options}
        return Good(written(folder, stacks_of(len(own)), own, series=series))

    function.__name__ = name
    case(function)


def group(sequence: str, **attributes: Any) -> dict[str, Any]:
    return {"groups": {sequence: attributes}}


_TIMES = [
    group("MRModifierSequence", InversionRecovery="YES", InversionTimes=times)
    for times in (300.0, 700.0, 1500.0)
]
_several("frames_of_three_inversion_times", _TIMES)
_several("frames_of_three_inversion_times_deflated", _TIMES, syntax="deflated")
_several(
    "frames_of_two_second_inversions",
    [
        group("MRModifierSequence", InversionRecovery="YES", InversionTimes=[300.0, second])
        for second in (90.0, 180.0)
    ],
)
_several(
    "frames_of_three_trigger_delays",
    [group("CardiacSynchronizationSequence", NominalCardiacTriggerDelayTime=t) for t in (0.0, 120.0, 240.0)],
)
_several(
    "frames_of_three_cardiac_phases",
    [group("CardiacSynchronizationSequence", NominalPercentageOfCardiacPhase=p) for p in (0.0, 40.0, 75.0)],
    "CT",
)
_several(
    "frames_of_three_time_offsets",
    [group("TemporalPositionSequence", TemporalPositionTimeOffset=t) for t in (0.0, 2.5, 5.0)],
    "PT",
)
_several("frames_of_three_temporal_positions", [{"temporal": n} for n in (1, 2, 3)], "PT")
_several("frames_of_three_echoes", [{"echo_time": t} for t in (2.3, 4.6, 6.9)])
_several("frames_of_three_b_values", [{"b_value": b} for b in (0.0, 500.0, 1000.0)])
_several(
    "frames_of_inversions_and_echoes",
    [
        {"echo_time": echo, **group("MRModifierSequence", InversionRecovery="YES", InversionTimes=time)}
        for echo in (2.3, 4.6)
        for time in (300.0, 700.0)
    ],
)


@case
def frames_whose_inversion_alternates(folder: Path) -> Good:
    """Every second slice has another inversion time: two stacks of twice the step, never one."""
    (stack,) = stacks_of(1)
    times = (
        group("MRModifierSequence", InversionRecovery="YES", InversionTimes=300.0),
        group("MRModifierSequence", InversionRecovery="YES", InversionTimes=900.0),
    )
    frames = [frames_of(stack, k, **times[k % 2]) for k in range(8)]
    write_frames(folder / "object.dcm", frames, FrameOptions(SeriesOptions(modality="MR"), CELL))
    halves = []
    for n in (0, 1):
        geometry = grid(shape=(24, 20, 4), spacing=(0.7, 0.8, 5.0), origin=(-63.5, 41.25, -310.0 + 2.5 * n))
        halves.append(Stack(geometry, stack.stored[:, :, n::2]).truth(unit=""))
    return Good(tuple(halves))


def _tilt(name: str, sequence: str, legacy: bool, items: Sequence[dict[str, Any]], told: bool) -> None:
    """Slices that don't lean, and a header that says they do."""

    def function(folder: Path) -> Good:
        shared = {sequence: [dict(item) for item in items]}
        (truth,) = written(folder, stacks_of(1), legacy=legacy, shared=shared)
        codes = frozenset({"gantry_tilt"} if told else ())
        return Good((Truth(truth.geometry, truth.values, codes),))

    function.__name__ = name
    case(function)


_DETAILS, _UNASSIGNED = "CTAcquisitionDetailsSequence", "UnassignedSharedConvertedAttributesSequence"
_tilt("enhanced_ct_says_it_was_tilted", _DETAILS, False, [{"GantryDetectorTilt": "15"}], True)
_tilt("enhanced_ct_says_it_was_not_tilted", _DETAILS, False, [{"GantryDetectorTilt": "0"}], False)
_tilt(
    "enhanced_ct_of_two_tubes_says_it_was_tilted",
    _DETAILS,
    False,
    [{"GantryDetectorTilt": "15", "TableHeight": "1"}, {"GantryDetectorTilt": "15", "TableHeight": "2"}],
    True,
)
_tilt(
    "enhanced_ct_of_two_tubes_that_disagree",
    _DETAILS,
    False,
    [{"GantryDetectorTilt": "15"}, {"GantryDetectorTilt": "0"}],
    False,
)
_tilt("legacy_converted_ct_says_it_was_tilted", _UNASSIGNED, True, [{"GantryDetectorTilt": "-12"}], True)


@case
def enhanced_ct_that_leans_as_it_says(folder: Path) -> Good:
    stack = Stack(grid(lean=(0, 0.6)), noise(seed=20))
    degrees = f"{np.degrees(np.arctan2(0.6, 2.5)):.4f}"
    (truth,) = written(folder, [stack], shared={_DETAILS: {"GantryDetectorTilt": degrees}})
    return Good((Truth(truth.geometry, truth.values, frozenset({"gantry_tilt"})),))


def _spoilt_stream(name: str, code: str, spoil: Any, also: str = "") -> None:
    """A deflated multi-frame object whose stream is changed."""

    def function(folder: Path) -> Bad:
        written(folder, stacks_of(1), series={"syntax": "deflated"})
        file = folder / "object.dcm"
        data = file.read_bytes()
        start = 132 + 12 + struct.unpack_from("<L", data, 140)[0]
        file.write_bytes(data[:start] + spoil(data[start:]))
        return bad(code, "" if also else "PixelData", file, also=also)

    function.__name__ = name
    case(function)


def _of_many_frames(stream: bytes) -> bytes:
    """A few kilobytes that claim, and inflate to, a hundred megabytes of frames."""
    plain = bytearray(zlib.decompress(stream, wbits=-zlib.MAX_WBITS))
    rows, columns = plain.index(b"\x28\0\x10\0US"), plain.index(b"\x28\0\x11\0US")
    struct.pack_into("<H", plain, rows + 8, 2048)
    struct.pack_into("<H", plain, columns + 8, 4096)
    pixels = plain.index(b"\xe0\x7f\x10\0OW")
    size = 8 * 2048 * 4096 * 2
    struct.pack_into("<L", plain, pixels + 8, size)
    engine = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    return engine.compress(bytes(plain[: pixels + 12]) + bytes(size)) + engine.flush()


_spoilt_stream("a_deflated_object_cut", "truncated", lambda s: s[:-150])
_spoilt_stream("a_deflated_object_damaged", "truncated", lambda s: s[:-300] + bytes(300))
_spoilt_stream("a_deflated_object_that_is_a_bomb", "too_large", _of_many_frames)


@case
def a_deflated_object_with_something_after_the_pixels(folder: Path) -> Good:
    truths = written(folder, stacks_of(1), series={"syntax": "deflated"})
    file = folder / "object.dcm"
    data = file.read_bytes()
    start = 132 + 12 + struct.unpack_from("<L", data, 140)[0]
    plain = zlib.decompress(data[start:], wbits=-zlib.MAX_WBITS)
    engine = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    more = struct.pack("<HH2sHL", 0xFFFC, 0xFFFC, b"OB", 0, 1 << 18) + bytes(1 << 18)
    file.write_bytes(data[:start] + engine.compress(plain + more) + engine.flush())
    return Good(truths)

"""What a case is, the table of them all, and the small series that they spoil."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.geometry import Geometry
from tomosurf.testing.dicom_writer import SeriesOptions, write_series

SHAPE = (24, 20, 8)
SPACING = (0.7, 0.8, 2.5)
ORIGIN = (-63.5, 41.25, -310.0)
INTERCEPT = -1024.0
UPRIGHT = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """One volume: its grid with k along the normal of the slices, its values, what its ledger says.

    ``within`` is how far values may be off: 0 unless a decoder is free to round as it likes.
    """

    geometry: Geometry
    values: NDArray[Any]
    ledger: frozenset[str] = frozenset()
    padding: NDArray[np.bool_] | None = None
    unit: str = "HU"
    within: float = 0.0

    def holds(self, values: NDArray[Any]) -> bool:
        """Whether ``values`` are these, as far as their type can say it."""
        if self.within:
            return bool(np.abs(values - self.values).max() <= self.within)
        return np.array_equal(values, self.values.astype(values.dtype))


@dataclass(frozen=True, slots=True)
class Good:
    """The volumes that must come out, and the codes of all that is said beside them."""

    volumes: tuple[Truth, ...]
    refused: frozenset[str] = frozenset()
    skipped: frozenset[str] = frozenset()
    warnings: frozenset[str] = frozenset()
    source: Path | None = None


@dataclass(frozen=True, slots=True)
class Bad:
    """The refusal that must come out: its code, the files and the attribute that it names. No volume.

    ``also`` are codes that go with it: a file that can't even say its series is refused itself. ``repaired`` are
    volumes that the policy repair must build.
    """

    code: str
    attribute: str = ""
    files: frozenset[str] = frozenset()
    source: Path | None = None
    also: frozenset[str] = frozenset()
    repaired: tuple[Truth, ...] = ()


Case = Callable[[Path], Good | Bad]
CASES: dict[str, Case] = {}


def case(function: Case) -> Case:
    """Put a case into the table."""
    if function.__name__ in CASES:
        raise ValueError(f"two cases are called {function.__name__}")
    CASES[function.__name__] = function
    return function


def grid(
    directions: Any = UPRIGHT,
    *,
    shape: tuple[int, int, int] = SHAPE,
    spacing: tuple[float, float, float] = SPACING,
    origin: tuple[float, float, float] = ORIGIN,
    lean: tuple[float, float] = (0.0, 0.0),
) -> Geometry:
    """A grid; ``lean`` is the shift in mm along i and j from one slice to the next."""
    axes = np.asarray(directions, float)
    affine = np.eye(4)
    affine[:3, :3] = axes * spacing
    affine[:3, 2] += lean[0] * axes[:, 0] + lean[1] * axes[:, 1]
    affine[:3, 3] = origin
    return Geometry(shape, affine)


def noise(
    shape: tuple[int, int, int] = SHAPE, low: int = 0, high: int = 4096, dtype: Any = np.int16, seed: int = 5
) -> NDArray[Any]:
    """Values that differ from voxel to voxel, ``low`` and ``high`` - 1 among them."""
    values = np.random.default_rng(seed).integers(low, high, shape).astype(dtype)
    values[0, 0, 0], values[-1, -1, -1] = low, high - 1
    return values


@dataclass(slots=True)
class Stack:
    """A series as it is written, and the truth about it."""

    geometry: Geometry = field(default_factory=grid)
    stored: NDArray[Any] = field(default_factory=noise)
    options: dict[str, Any] = field(default_factory=dict)
    files: tuple[Path, ...] = ()

    def write(self, folder: Path) -> Stack:
        """Write it; ``files`` are in the order of k."""
        self.files = write_series(folder, self.stored, self.geometry, SeriesOptions(**self.options))
        return self

    def truth(self, *ledger: str, unit: str = "HU", values: NDArray[Any] | None = None) -> Truth:
        """The volume that it is: values in modality units, k along the normal."""
        if values is None:
            pairs: Any = self.options.get("rescale", (1.0, INTERCEPT)) or (1.0, 0.0)
            slopes, intercepts = np.array(pairs if isinstance(pairs[0], tuple) else [pairs], float).T
            values = self.stored * slopes + intercepts
        geometry = self.geometry
        if not geometry.is_right_handed:
            affine = geometry.affine.copy()
            affine[:3, 3] = geometry.to_world([[0, 0, geometry.shape[2] - 1]])[0]
            affine[:3, 2] *= -1
            geometry, values = Geometry(geometry.shape, affine), values[:, :, ::-1]
        return Truth(geometry, values, frozenset(ledger), unit=unit)


def good(stack: Stack, *ledger: str, **more: Any) -> Good:
    """One volume, taken as it was written."""
    return Good((stack.truth(*ledger),), **{k: _codes(v) for k, v in more.items()})


def _codes(value: Any) -> Any:
    return frozenset({value}) if isinstance(value, str) else value


def bad(code: str, attribute: str = "", *files: Path, source: Path | None = None, also: str = "") -> Bad:
    """A refusal that names ``files``, whatever folder they are in."""
    return Bad(code, attribute, frozenset(f.name for f in files), source, frozenset({also} - {""}))


def plain(folder: Path, geometry: Geometry | None = None, **options: Any) -> Stack:
    """A series of ``SHAPE`` on ``geometry``, written."""
    return Stack(geometry or grid(), options=options).write(folder)


def change(file: Path, **attributes: Any) -> None:
    """Set attributes of one file; None removes one. Values may break their VR's rules."""
    import pydicom

    dataset = pydicom.dcmread(file)
    for keyword, value in attributes.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    dataset.save_as(file)


LONG = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())


def place_of(data: bytes, tag: int) -> tuple[int, int, int]:
    """Of an element of an explicit little-endian file: where it starts, its value starts and ends."""
    at = 132
    while at < len(data):
        group, element = struct.unpack_from("<HH", data, at)
        if data[at + 4 : at + 6] in LONG:
            value, length = at + 12, struct.unpack_from("<L", data, at + 8)[0]
        else:
            value, length = at + 8, struct.unpack_from("<H", data, at + 6)[0]
        if group << 16 | element == tag:
            return at, value, value + length
        at = value + length
    raise KeyError(hex(tag))


def overwrite(file: Path, tag: int, value: bytes, vr: bytes | None = None) -> None:
    """Put raw bytes, and perhaps another VR, into one element, and mend its length; nothing else is changed."""
    data = file.read_bytes()
    at, _, end = place_of(data, tag)
    vr = vr or data[at + 4 : at + 6]
    value += b" " * (len(value) % 2)
    head = data[at : at + 4] + vr
    head += struct.pack("<HL", 0, len(value)) if vr in LONG else struct.pack("<H", len(value))
    data = data[:at] + head + value + data[end:]
    if tag >> 16 == 2:  # the File Meta Information tells its own length
        length = struct.unpack_from("<L", data, 140)[0] + len(head) + len(value) - (end - at)
        data = data[:140] + struct.pack("<L", length) + data[144:]
    file.write_bytes(data)

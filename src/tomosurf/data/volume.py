"""A stack of slices as one array with its place in the patient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.arrays import frozen
from tomosurf.data.geometry import Geometry
from tomosurf.errors import DataError

Policy = Literal["strict", "repair"]
"""What happens to a stack with missing slices or uneven steps: it is refused, or the slices are interpolated."""


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One thing that was done to the slices on the way to the volume, and to which output slices (k)."""

    code: str
    message: str
    slices: tuple[int, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain values for the manifest."""
        return {"code": self.code, "message": self.message, "slices": list(self.slices)}


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """Voxel values in modality units on a :class:`Geometry`.

    Args:
        geometry: the grid; ``geometry.shape == array.shape``.
        array: (ni, nj, nk), any real dtype; usually a Fortran-ordered view, slices contiguous in memory.
        modality: DICOM Modality, "CT" or "MR".
        unit: "HU" for CT, "" for arbitrary units.
        ledger: every repair, interpolation or oddity, empty when the slices were taken as acquired.
        padding: bool (ni, nj, nk), True where the scanner wrote Pixel Padding Value (no measurement there);
            None when nowhere.
        series: digest of the Series Instance UID.
        laterality: "L", "R" or "", as the header's Laterality (0020,0060) says.
        phase: in what it differs from other stacks of the same DICOM series ("EchoTime 2.46"), else "".
        head: whether the header says that the head, or a part of it, was imaged; False where it doesn't say.

    Raises:
        DataError: shapes disagree or the dtype isn't real.
    """

    geometry: Geometry
    array: NDArray[Any]
    modality: str
    unit: str = ""
    ledger: tuple[LedgerEntry, ...] = ()
    padding: NDArray[np.bool_] | None = None
    series: str = ""
    laterality: str = ""
    phase: str = ""
    head: bool = False

    def __post_init__(self) -> None:
        if self.array.shape != self.geometry.shape:
            raise DataError(f"array {self.array.shape} doesn't fit geometry {self.geometry.shape}")
        if self.array.dtype.kind not in "iuf":
            raise DataError(f"voxels are real numbers, not {self.array.dtype}")
        if self.padding is not None and (
            self.padding.shape != self.array.shape or self.padding.dtype != bool
        ):
            raise DataError("padding is a bool array of the volume's shape")
        if self.laterality not in {"", "L", "R"}:
            raise DataError("laterality is L, R or empty")
        object.__setattr__(self, "array", frozen(self.array))
        if self.padding is not None:
            object.__setattr__(self, "padding", frozen(self.padding))

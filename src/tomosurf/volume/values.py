"""Stored cells to modality values: mask, sign, rescale, padding (PS3.3 C.7.6.3.1, C.11.1, C.7.5.1.1.2)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.series import Instance, PixelLayout, Rescale

IDENTITY = Rescale(1.0, 0.0)
INT16 = np.iinfo(np.int16)


def stored_values(cells: NDArray[Any], layout: PixelLayout) -> NDArray[Any]:
    """Cells of Bits Allocated to stored values, in place: bits beyond Bits Stored are cleared, signs extended.

    Bits outside [High Bit - Bits Stored + 1, High Bit] hold no pixel, whatever is in them. ``cells`` is
    unsigned; what comes back is a view of it, signed when Pixel Representation is 1.
    """
    unused = layout.bits_allocated - layout.bits_stored
    above = layout.bits_allocated - 1 - layout.high_bit
    if unused and not cells.flags.writeable:
        cells = cells.copy()
    if unused == above and not layout.signed:
        return np.bitwise_and(cells, (1 << layout.bits_stored) - 1, out=cells) if unused else cells
    if above:
        np.multiply(cells, 1 << above, out=cells)  # a shift, which numpy takes three times as long for
    values = cells.view(f"<i{layout.bits_allocated // 8}") if layout.signed else cells
    if unused:
        np.right_shift(values, unused, out=values)
    return values


def padded(cells: NDArray[Any], values: NDArray[Any], instance: Instance) -> NDArray[np.bool_] | None:
    """Which voxels of a slice carry a padding value; None when none does.

    Scanners write padding below Bits Stored's range, so the whole cell counts as well as the stored value.
    """
    if instance.padding is None:
        return None
    low, high = instance.padding
    found: NDArray[np.bool_] = (values >= low) & (values <= high)
    if instance.pixels.bits_stored < instance.pixels.bits_allocated:
        whole = cells.view(values.dtype)
        found |= (whole >= low) & (whole <= high)
    return found if found.any() else None


def stays_int16(instances: tuple[Instance, ...]) -> bool:
    """Whether values are whole numbers by their headers, so that int16 holds them exactly if they fit."""
    return all(
        i.pixels.bits_allocated <= 16
        and (i.rescale is None or (i.rescale.slope == 1 and i.rescale.intercept.is_integer()))
        for i in instances
    )


class Assembly:
    """The volume while it is put together slice by slice: (nk, rows, columns) C-ordered, one slice at a time.

    It starts as int16 where headers allow and turns to float32 at the first slice that doesn't fit; until
    then, what is allocated is the volume and one slice.
    """

    def __init__(self, shape: tuple[int, int, int], *, whole_numbers: bool) -> None:
        self.array: NDArray[Any] = np.empty(shape, np.int16 if whole_numbers else np.float32)
        self.padding: NDArray[np.bool_] | None = None

    def target(self, k: int, layout: PixelLayout) -> NDArray[Any] | None:
        """Where cells of slice ``k`` can be read straight into, or None when they need a slice of their own."""
        if self.array.dtype == np.int16 and layout.bits_allocated == 16:
            cells: NDArray[Any] = self.array[k].view(np.uint16)
            return cells
        return None

    def put(self, k: int, values: NDArray[Any], rescale: Rescale, bits: int = 64) -> None:
        """Rescale the stored values of slice ``k``, of so many ``bits``, into place; they may lie there already."""
        if self.array.dtype == np.int16:
            intercept = int(rescale.intercept)
            if _fits(values, intercept, bits):
                # modulo 2**16, in place where the values lie there already: the sum is known to fit
                words = values.astype(np.int16) if values.itemsize == 1 else values
                target = self.array[k].view(np.uint16)
                np.add(words.view(np.uint16), np.uint16(intercept & 0xFFFF), out=target)
                return
            wider = np.empty(self.array.shape, np.float32)
            wider[:k] = self.array[:k]
            values = values.copy()
            self.array = wider
        self.array[k] = values * np.float64(rescale.slope) + rescale.intercept

    def pad(self, k: int, mask: NDArray[np.bool_]) -> None:
        """Mark the padding of slice ``k``."""
        if self.padding is None:
            self.padding = np.zeros(self.array.shape, bool)
        self.padding[k] = mask


def _fits(values: NDArray[Any], intercept: int, bits: int) -> bool:
    """Whether every value plus ``intercept`` is an int16; values are looked at only where ``bits`` leave doubt."""
    reach = 1 << bits
    lowest = -reach // 2 if values.dtype.kind == "i" else 0
    return (lowest + intercept >= INT16.min or int(values.min()) + intercept >= INT16.min) and (
        lowest + reach - 1 + intercept <= INT16.max or int(values.max()) + intercept <= INT16.max
    )

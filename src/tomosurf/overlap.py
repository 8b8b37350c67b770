"""Several masks as one label map, without one silently covering another."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from tomosurf.errors import InputRefused


class LabelMap:
    """A label map in the making: a voxel gets one label, and a second one is remembered as an overlap.

    Args:
        shape: (ni, nj, nk).
        names: label to the name that a message may use: one made here, never a header's.
        file: name of the file that the masks come from.
    """

    def __init__(self, shape: tuple[int, int, int], names: dict[int, str], file: str) -> None:
        top = max(names, default=0)
        self._labels = np.zeros(shape, np.uint8 if top < 256 else np.uint16, order="F")
        self._names, self._file = names, file
        self._overlaps: dict[tuple[int, int], int] = {}

    def add(self, label: int, mask: NDArray[np.bool_], k: int | None = None) -> None:
        """Give ``label`` to the voxels of ``mask``: (ni, nj, nk), or (ni, nj) of slice ``k``."""
        window = self._labels if k is None else self._labels[:, :, k]
        taken = window[mask]
        for other in np.unique(taken[(taken != 0) & (taken != label)]).tolist():
            pair = (min(other, label), max(other, label))
            self._overlaps[pair] = self._overlaps.get(pair, 0) + int((taken == other).sum())
        window[mask] = label

    def finished(self) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """The label map.

        Raises:
            InputRefused: two segments claimed a voxel.
        """
        if self._overlaps:
            told = [
                f"{self._names[a]} and {self._names[b]} ({count} voxels)"
                for (a, b), count in sorted(self._overlaps.items())
            ]
            raise InputRefused(
                "overlapping_segments",
                f"segments overlap: {_first(told)}",
                advice="export overlapping segments to files of their own; a voxel has one label here",
                files=(self._file,),
            )
        return self._labels


def _first(told: Iterable[str], most: int = 5) -> str:
    words = list(told)
    return "; ".join(words[:most]) + (f"; and {len(words) - most} more pairs" if len(words) > most else "")

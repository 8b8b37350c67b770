"""The image that windows are cut from, on the device where it fits, else on the host."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from tomosurf.segment.engine.tiles import Tiling, Triple

SHARE = 0.25
"""Of the free memory, for the image; else windows are sent one batch at a time."""


class Source:
    """A padded image (channels, x, y, z) float32, padded with 0 where it is smaller than a window."""

    def __init__(self, image: NDArray[np.float32], tiling: Tiling) -> None:
        after = [
            large - before - size
            for large, before, size in zip(tiling.shape, tiling.before, tiling.image, strict=True)
        ]
        padding = [
            number for pair in zip(reversed(tiling.before), reversed(after), strict=True) for number in pair
        ]
        self._host = torch.from_numpy(np.ascontiguousarray(image))
        if any(padding):
            self._host = torch.nn.functional.pad(self._host, padding)
        self._window = tiling.window
        self._here: torch.Tensor | None = None

    @property
    def channels(self) -> int:
        """How many images there are."""
        return int(self._host.shape[0])

    def hold(self, device: torch.device, free: int) -> None:
        """Send the whole image to ``device`` when it takes no more than :data:`SHARE` of ``free`` bytes."""
        self._here = self._host.to(device) if self._host.nbytes <= SHARE * free else None

    def release(self) -> None:
        """Keep no copy on a device."""
        self._here = None

    def windows(self, origins: Sequence[Triple], count: int, device: torch.device) -> torch.Tensor:
        """The windows (count, channels, x, y, z) that begin there, on ``device``; zeros make up the count.

        A network is made ready for one number of windows at a time.
        """
        image = self._host if self._here is None else self._here
        cuts = [
            image[(slice(None), *(slice(a, a + n) for a, n in zip(origin, self._window, strict=True)))]
            for origin in origins
        ]
        cuts += [torch.zeros_like(cuts[0])] * (count - len(cuts))
        return torch.stack(cuts).to(device)

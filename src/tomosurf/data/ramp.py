"""Colours for millimetres of doubt, told apart by people with any kind of colour vision."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

STOPS_MM = (0.0, 0.5, 1.0, 2.0, 4.0)
"""Half-widths, in mm, that have a colour of their own; between them colours are mixed, beyond them they end."""

STOPS_SRGB = ((0, 34, 78), (53, 69, 108), (102, 105, 112), (187, 173, 108), (254, 232, 56))
"""Dark blue to yellow with steadily growing lightness.

Reference: Nunez, Anderton and Renslow 2018, Optimizing colormaps with consideration for color vision deficiency
to enable accurate interpretation of scientific data, PLoS ONE 13:e0199239.
"""

UNKNOWN_SRGB = (178, 60, 60)
"""Where nobody knows: a red that the ramp doesn't hold, of middle lightness."""


def confidence_colours(millimetres: ArrayLike) -> NDArray[np.uint8]:
    """(n, 3) sRGB for n half-widths in mm; NaN gives ``UNKNOWN_SRGB``.

    >>> confidence_colours([0.0, 9.0, float("nan")]).tolist()
    [[0, 34, 78], [254, 232, 56], [178, 60, 60]]
    """
    values = np.asarray(millimetres, np.float64)
    colours = np.stack([np.interp(values, STOPS_MM, channel) for channel in zip(*STOPS_SRGB, strict=True)], 1)
    colours[np.isnan(values)] = UNKNOWN_SRGB
    return np.rint(colours).astype(np.uint8)

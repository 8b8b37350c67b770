"""Freezing of arrays, so that a value object stays what it was when it was checked."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def frozen(array: NDArray[Any]) -> NDArray[Any]:
    """A read-only view of ``array``; no copy. The caller gives the array away and must not write to it."""
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view

"""Millimetres as a 16-bit grey PNG, with a JSON file beside it that says where each pixel lies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomosurf.errors import ExportError
from tomosurf.whole_file import whole_file

MM_PER_STEP = 0.02
"""One grey step; the deepest that 16 bits hold is 1310.7 mm."""

NOTHING = 0
"""The grey value where nothing is known; whatever is known is at least 1, which stands for 0 to 0.02 mm."""


def write(values: NDArray[np.float32], about: Mapping[str, Any], path: Path) -> None:
    """Write ``values`` ((rows, columns) mm, NaN where nothing is known) to ``path``, and ``about`` to its .json.

    A millimetre value is the grey value times ``MM_PER_STEP``, both written into the .json.

    Raises:
        ExportError: a value is negative or beyond what 16 bits hold, or VTK can't write.
    """
    known = np.isfinite(values)
    steps = np.rint(values[known].astype(np.float64) / MM_PER_STEP)
    if steps.size and (steps.min() < 0 or steps.max() > 65535):
        raise ExportError(f"{path.name}: a depth map holds 0 to {65535 * MM_PER_STEP:.0f} mm")
    grey = np.full(values.shape, NOTHING, np.uint16)
    grey[known] = np.maximum(steps, 1)
    with whole_file(path) as partial:
        _png(grey, partial)
    document = {**about, "unit": "mm", "mm_per_grey_step": MM_PER_STEP, "nothing": NOTHING}
    with whole_file(path.with_suffix(".json")) as partial:
        partial.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _png(grey: NDArray[np.uint16], path: Path) -> None:
    from vtkmodules.util.numpy_support import numpy_to_vtk
    from vtkmodules.vtkCommonDataModel import vtkImageData
    from vtkmodules.vtkIOImage import vtkPNGWriter

    image = vtkImageData()
    image.SetDimensions(grey.shape[1], grey.shape[0], 1)
    upright = np.ascontiguousarray(grey[::-1])  # VTK's first row is the lowest
    image.GetPointData().SetScalars(numpy_to_vtk(upright.reshape(-1), deep=True))
    writer = vtkPNGWriter()
    writer.SetInputData(image)
    writer.SetFileName(str(path))
    writer.Write()
    if writer.GetErrorCode():
        raise ExportError(f"VTK couldn't write {path.name}; is the disk full?")

"""The surface of a label map that came without margins: contour of the mask, then a low-pass filter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tomosurf.errors import ConfigError


@dataclass(frozen=True, slots=True)
class WindowedSinc:
    """How a mask's stairs are smoothed (Taubin, Zhang and Golub 1996, Optimal surface smoothing, ECCV).

    Args:
        iterations: degree of the filter; 0 leaves the stairs.
        pass_band: spatial frequency above which detail goes, in (0, 2]; smaller is smoother.

    Raises:
        ConfigError: a value is out of range.
    """

    iterations: int = 20
    pass_band: float = 0.1

    def __post_init__(self) -> None:
        if self.iterations < 0 or not 0 < self.pass_band <= 2:
            raise ConfigError("windowed sinc: iterations from 0, pass_band in (0, 2]")


def smoothed(
    points: NDArray[np.float64],
    faces: NDArray[np.int32],
    fixed: NDArray[np.bool_],
    smoothing: WindowedSinc,
) -> NDArray[np.float64]:
    """The points (n, 3) of all walls after the filter, except the ``fixed`` ones.

    The filter is linear in the coordinates, so that running it in index space and then applying the affine equals
    running it in millimetres.
    """
    if not smoothing.iterations or not len(points):
        return points
    smooth = _filtered(points, faces, smoothing)
    smooth[fixed] = points[fixed]
    return smooth


def _filtered(
    points: NDArray[np.float64], faces: NDArray[np.int32], smoothing: WindowedSinc
) -> NDArray[np.float64]:
    """The points after the filter; none is added, dropped or joined."""
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkFiltersCore import vtkWindowedSincPolyDataFilter

    from tomosurf.surface.polydata import polydata

    windowed_sinc = vtkWindowedSincPolyDataFilter()
    windowed_sinc.SetInputData(polydata(points, faces))
    windowed_sinc.SetNumberOfIterations(smoothing.iterations)
    windowed_sinc.SetPassBand(smoothing.pass_band)
    windowed_sinc.BoundarySmoothingOff()
    windowed_sinc.FeatureEdgeSmoothingOff()
    windowed_sinc.NonManifoldSmoothingOn()
    windowed_sinc.NormalizeCoordinatesOn()
    windowed_sinc.Update()
    smooth: NDArray[np.float64] = vtk_to_numpy(windowed_sinc.GetOutput().GetPoints().GetData()).copy()
    return smooth

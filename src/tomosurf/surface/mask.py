"""The surface of a label map that came without margins: contour of the mask, then a low-pass filter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomosurf.errors import ConfigError
from tomosurf.surface.border import beyond
from tomosurf.surface.contour import contour


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


def mask_surface(
    labels: NDArray[Any], label: int, box: tuple[slice, ...], smoothing: WindowedSinc
) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.uint8]]:
    """Points (n, 3) in the index space of ``labels``, faces (m, 3), and which points close the border.

    ``box`` bounds the label's voxels. Where they reach the border of the image the surface closes on their
    outer face, and its points stay in that plane. The filter is linear in the coordinates, so that running
    it in index space and then applying the affine equals running it in millimetres.
    """
    crop = labels[box]
    mask = np.zeros(tuple(n + 2 for n in crop.shape), np.uint8, order="F")
    mask[1:-1, 1:-1, 1:-1] = crop == label
    points, faces = contour(mask, 0.5)
    smooth = _filtered(points, faces, smoothing) if smoothing.iterations else points.copy()
    start = np.array([s.start for s in box], np.float32) - 1
    points = points + start
    smooth += start
    flat = (points < 0) | (points > np.array(labels.shape, np.float32) - 1)
    smooth[flat] = points[flat]
    return smooth, faces, beyond(points, labels.shape)


def _filtered(
    points: NDArray[np.float32], faces: NDArray[np.int32], smoothing: WindowedSinc
) -> NDArray[np.float32]:
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
    smooth: NDArray[np.float32] = vtk_to_numpy(windowed_sinc.GetOutput().GetPoints().GetData()).copy()
    return smooth

"""The level set of a sampled field as triangles, in the field's own index space."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomosurf.errors import DataError


def contour(field: NDArray[Any], level: float) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Points (n, 3) float32 in index coordinates and faces (m, 3) int32 of ``field == level``.

    ``field`` is (ni, nj, nk), uint8 or float32; a Fortran-ordered one is handed to VTK without a copy.
    Inside is ``field >= level``. Faces are counter-clockwise seen from outside in a right-handed index
    space. Each vertex lies on one lattice edge and is shared by all faces around it; voxels that meet in an
    edge or a corner only belong to separate surfaces (6-connected inside, 18-connected outside), and the
    case table agrees with itself across ambiguous faces, so that the surface is closed wherever the field's
    outermost layer is outside. Single precision places a vertex within 3e-5 of a voxel at index 512.

    Raises:
        DataError: more than 2^31 vertices, which int32 faces can't number.

    Reference: Schroeder, Maynard and Geveci 2015, Flying edges: a high-performance scalable isocontouring
    algorithm, LDAV 2015.
    """
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkFiltersCore import vtkFlyingEdges3D

    flying_edges = vtkFlyingEdges3D()
    flying_edges.SetInputData(_image(field))
    flying_edges.SetValue(0, level)
    flying_edges.ComputeNormalsOff()
    flying_edges.ComputeGradientsOff()
    flying_edges.ComputeScalarsOff()
    flying_edges.Update()
    surface = flying_edges.GetOutput()
    if surface.GetNumberOfPolys() == 0:
        return np.empty((0, 3), np.float32), np.empty((0, 3), np.int32)
    if surface.GetNumberOfPoints() > np.iinfo(np.int32).max:
        raise DataError("a surface has more vertices than int32 can number; crop or coarsen the field")
    points: NDArray[np.float32] = vtk_to_numpy(surface.GetPoints().GetData())
    connectivity = vtk_to_numpy(surface.GetPolys().GetConnectivityArray())
    return points, connectivity.reshape(-1, 3).astype(np.int32)


def _image(field: NDArray[Any]) -> Any:
    """``field`` as a vtkImageData with unit spacing; VTK's x runs fastest, as i does in Fortran order."""
    from vtkmodules.util.numpy_support import numpy_to_vtk
    from vtkmodules.vtkCommonDataModel import vtkImageData

    image = vtkImageData()
    image.SetDimensions(*field.shape)
    image.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(field.T).reshape(-1)))
    return image

"""Triangles as a vtkPolyData."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def polydata(points: NDArray[Any], faces: NDArray[np.int32]) -> Any:
    """A vtkPolyData of (n, 3) points and (m, 3) faces; it looks at both arrays and copies neither."""
    from vtkmodules.util.numpy_support import numpy_to_vtk
    from vtkmodules.vtkCommonCore import vtkPoints
    from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData

    offsets = np.arange(0, 3 * len(faces) + 1, 3, dtype=np.int32)
    triangles = vtkCellArray()
    triangles.SetData(numpy_to_vtk(offsets), numpy_to_vtk(np.ascontiguousarray(faces).reshape(-1)))
    vertices = vtkPoints()
    vertices.SetData(numpy_to_vtk(np.ascontiguousarray(points)))
    mesh = vtkPolyData()
    mesh.SetPoints(vertices)
    mesh.SetPolys(triangles)
    return mesh

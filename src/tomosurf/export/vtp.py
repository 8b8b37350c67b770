"""VTK's XML poly data: triangles with every vertex datum as an array, one file a segment, LPS mm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.mesh import SurfaceMesh
from tomosurf.errors import ExportError
from tomosurf.export.exporter import Exporter, refuse_empty

PATCH = "patch"
"""Cell array: 0 on the structure's own surface, 1 on the patch that closes it where the image ends."""


def write(mesh: SurfaceMesh, path: Path) -> None:
    """Write ``mesh`` to ``path``: float64 LPS mm, vertex data as point arrays, ``patch`` as a cell array.

    Field data tell unit, axes, the segment's name, label, code and colour. Arrays are compressed by zlib.

    Raises:
        ExportError: the mesh has no triangles, a vertex datum is complex or no number, or VTK can't write.
    """
    from vtkmodules.vtkIOXML import vtkXMLPolyDataWriter

    refuse_empty(mesh)
    writer = vtkXMLPolyDataWriter()
    writer.SetInputData(_poly_data(mesh))
    writer.SetDataModeToAppended()
    writer.EncodeAppendedDataOff()
    writer.SetCompressorTypeToZLib()
    writer.SetByteOrderToLittleEndian()
    writer.SetFileName(str(path))
    if not writer.Write():
        raise ExportError(f"VTK couldn't write the mesh of {mesh.segment.name!r}; is the disk full?")


def _poly_data(mesh: SurfaceMesh) -> Any:
    from vtkmodules.util.numpy_support import numpy_to_vtk
    from vtkmodules.vtkCommonCore import vtkPoints
    from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData

    points, triangles, poly_data = vtkPoints(), vtkCellArray(), vtkPolyData()
    points.SetData(numpy_to_vtk(np.ascontiguousarray(mesh.vertices), deep=True))
    offsets = np.arange(0, 3 * len(mesh.faces) + 1, 3, dtype=np.int32)
    triangles.SetData(numpy_to_vtk(offsets, deep=True), numpy_to_vtk(mesh.faces.reshape(-1), deep=True))
    poly_data.SetPoints(points)
    poly_data.SetPolys(triangles)
    for name, values in mesh.vertex_data.items():
        poly_data.GetPointData().AddArray(_named(name, values))
    poly_data.GetCellData().AddArray(_named(PATCH, mesh.cut_faces.view(np.uint8)))
    segment = mesh.segment
    code = segment.code
    words = {"units": "mm", "axes": "LPS", "segment": segment.name, "code": f"{code.scheme} {code.value}"}
    for name, text in words.items():
        poly_data.GetFieldData().AddArray(_text(name, text))
    poly_data.GetFieldData().AddArray(_named("label", np.array([segment.label], np.int32)))
    poly_data.GetFieldData().AddArray(_named("colour_srgb", np.array(segment.colour, np.uint8)))
    return poly_data


def _named(name: str, values: NDArray[Any]) -> Any:
    from vtkmodules.util.numpy_support import numpy_to_vtk

    if values.dtype.kind not in "iuf":
        raise ExportError(f"VTK can't hold the vertex data {name!r} ({values.dtype})")
    array = numpy_to_vtk(np.ascontiguousarray(values), deep=True)
    array.SetName(name)
    return array


def _text(name: str, text: str) -> Any:
    from vtkmodules.vtkCommonCore import vtkStringArray

    array = vtkStringArray()
    array.SetName(name)
    array.InsertNextValue(text)
    return array


EXPORTER = Exporter(suffix=".vtp", content="mesh", write=write)

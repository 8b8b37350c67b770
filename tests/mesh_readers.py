"""Reading our mesh files back with readers that aren't ours, into LPS mm."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkFiltersGeometry import vtkCompositeDataGeometryFilter
from vtkmodules.vtkIOGeometry import vtkGLTFReader, vtkSTLReader
from vtkmodules.vtkIOPLY import vtkPLYReader
from vtkmodules.vtkIOXML import vtkXMLPolyDataReader

from tomosurf.data.mesh import SurfaceMesh
from tomosurf.testing.segmentations import segment

READERS = ("trimesh", "vtk")
SUFFIXES = (".stl", ".ply", ".glb", ".vtp")


def glb_document(path: Path) -> dict[str, Any]:
    """The JSON part of a GLB file, after checking the frame around it."""
    content = path.read_bytes()
    magic, version, length = struct.unpack_from("<4sII", content)
    assert (magic, version, length) == (b"glTF", 2, len(content))
    size, kind = struct.unpack_from("<I4s", content, 12)
    assert kind == b"JSON" and size % 4 == 0
    document = json.loads(content[20 : 20 + size])
    binary, kind = struct.unpack_from("<I4s", content, 20 + size)
    assert kind == b"BIN\0" and 28 + size + binary == len(content)
    assert document["buffers"][0]["byteLength"] == binary
    return document


def read_back(path: Path, reader: str) -> SurfaceMesh:
    """All triangles of a file as ``reader`` sees them, equal corners merged, in LPS mm."""
    vertices, faces = _with_trimesh(path) if reader == "trimesh" else _with_vtk(path)
    vertices = np.asarray(vertices, np.float64)
    if path.suffix == ".glb":
        extras = glb_document(path)["scenes"][0]["extras"]
        to_lps = np.linalg.inv(np.reshape(extras["lps_mm_to_gltf"], (4, 4)))
        vertices = vertices @ to_lps[:3, :3].T + to_lps[:3, 3]
    return SurfaceMesh(vertices, np.ascontiguousarray(faces, np.int32), segment())


def _with_trimesh(path: Path) -> tuple[Any, Any]:
    if path.suffix == ".vtp":  # trimesh has no reader for it: VTK reads, trimesh merges
        loaded = trimesh.Trimesh(*_with_vtk(path))
        return loaded.vertices, loaded.faces
    loaded = trimesh.load(path)
    mesh = loaded.to_mesh() if isinstance(loaded, trimesh.Scene) else loaded
    return mesh.vertices, mesh.faces


def _with_vtk(path: Path) -> tuple[Any, Any]:
    reader = {
        ".stl": vtkSTLReader,
        ".ply": vtkPLYReader,
        ".glb": vtkGLTFReader,
        ".vtp": vtkXMLPolyDataReader,
    }[path.suffix]()
    reader.SetFileName(str(path))
    last = reader
    if path.suffix == ".glb":
        last = vtkCompositeDataGeometryFilter()
        last.SetInputConnection(reader.GetOutputPort())
    last.Update()
    mesh = last.GetOutput()
    faces = vtk_to_numpy(mesh.GetPolys().GetConnectivityArray()).reshape(-1, 3)
    return vtk_to_numpy(mesh.GetPoints().GetData()), faces


def encloses(mesh: trimesh.Trimesh, points: Any) -> Any:
    """Which of the (n, 3) points lie inside a closed mesh, by VTK."""
    from vtkmodules.util.numpy_support import numpy_to_vtk
    from vtkmodules.vtkCommonCore import vtkPoints
    from vtkmodules.vtkCommonDataModel import vtkPolyData
    from vtkmodules.vtkFiltersModeling import vtkSelectEnclosedPoints

    from tomosurf.surface.polydata import polydata

    coordinates = vtkPoints()
    coordinates.SetData(numpy_to_vtk(np.ascontiguousarray(points, np.float64), deep=True))
    asked = vtkPolyData()
    asked.SetPoints(coordinates)
    select = vtkSelectEnclosedPoints()
    select.SetInputData(asked)
    select.SetSurfaceData(polydata(np.asarray(mesh.vertices, np.float32), np.asarray(mesh.faces, np.int32)))
    select.SetTolerance(1e-9)
    select.Update()
    return vtk_to_numpy(select.GetOutput().GetPointData().GetArray("SelectedPoints")).astype(bool)

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkIOXML import vtkXMLPolyDataReader

from tomosurf.errors import ExportError
from tomosurf.export import vtp
from tomosurf.testing.exporter_suite import example


def test_arrays_patch_and_words_are_read_back(tmp_path: Path) -> None:
    mesh = example("mesh")
    confidence = np.array([0.1, np.nan, 2.5, 3.0, 0.0, 9.0], np.float32)
    cut = np.array([1, 1, 1, 0, 0, 0], np.uint8)
    mesh = replace(mesh, vertex_data={"fov_cut": cut, "confidence": confidence})
    vtp.write(mesh, tmp_path / "mesh.vtp")
    reader = vtkXMLPolyDataReader()
    reader.SetFileName(str(tmp_path / "mesh.vtp"))
    reader.Update()
    read = reader.GetOutput()
    assert np.array_equal(vtk_to_numpy(read.GetPoints().GetData()), mesh.vertices)
    points = read.GetPointData()
    assert np.array_equal(vtk_to_numpy(points.GetArray("confidence")), confidence, equal_nan=True)
    assert np.array_equal(vtk_to_numpy(points.GetArray("fov_cut")), cut)
    patch = vtk_to_numpy(read.GetCellData().GetArray("patch"))
    assert patch.tolist() == [
        1,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
    ]  # of the octahedron's faces only one has three cut corners
    words = read.GetFieldData()
    assert words.GetAbstractArray("segment").GetValue(0) == "shape-1"
    assert words.GetAbstractArray("code").GetValue(0) == "SCT 123037004"
    assert words.GetAbstractArray("axes").GetValue(0) == "LPS"


def test_data_that_vtk_cannot_hold_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="'odd'"):
        vtp.write(replace(example("mesh"), vertex_data={"odd": np.zeros(6, complex)}), tmp_path / "mesh.vtp")

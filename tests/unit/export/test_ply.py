from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkIOPLY import vtkPLYReader

from tomosurf.errors import ExportError
from tomosurf.export import ply
from tomosurf.testing.exporter_suite import example


def test_the_header_tells_frame_unit_and_segment(tmp_path: Path) -> None:
    ply.write(example("mesh"), tmp_path / "mesh.ply")
    lines = (tmp_path / "mesh.ply").read_bytes().split(b"end_header")[0].decode("ascii").splitlines()
    assert lines[:2] == ["ply", "format binary_little_endian 1.0"]
    comments = " ".join(line for line in lines if line.startswith("comment"))
    assert "LPS" in comments and "mm" in comments and "shape-1" in comments and "SCT 123037004" in comments
    assert "property uchar fov_cut" in lines


def test_vertex_data_is_read_back_by_name(tmp_path: Path) -> None:
    import trimesh

    mesh = example("mesh")
    depth = np.linspace(-1.5, 2.5, 6)
    data = {**mesh.vertex_data, "depth": depth, "piece": np.arange(6, dtype=np.int32)}
    ply.write(replace(mesh, vertex_data=data), tmp_path / "mesh.ply")
    read = trimesh.load(tmp_path / "mesh.ply", process=False).metadata["_ply_raw"]["vertex"]["data"]
    assert read["fov_cut"].ravel().tolist() == mesh.vertex_data["fov_cut"].tolist()
    assert read["depth"].ravel().tolist() == depth.tolist()
    assert read["piece"].ravel().tolist() == list(range(6))


def test_colours_are_the_segments(tmp_path: Path) -> None:
    mesh = example("mesh")
    ply.write(mesh, tmp_path / "mesh.ply")
    reader = vtkPLYReader()
    reader.SetFileName(str(tmp_path / "mesh.ply"))
    reader.Update()
    colours = vtk_to_numpy(reader.GetOutput().GetPointData().GetArray("RGB"))
    assert (colours == mesh.segment.colour).all()


@pytest.mark.parametrize("wrong", [np.zeros((6, 3)), np.zeros(6, np.int64), np.zeros(6, complex)])
def test_vertex_data_that_ply_cannot_hold_is_refused(wrong: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="'odd'"):
        ply.write(replace(example("mesh"), vertex_data={"odd": wrong}), tmp_path / "mesh.ply")
    assert not (tmp_path / "mesh.ply").exists()

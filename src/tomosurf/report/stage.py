"""Meshes, light and camera for the pictures; imported by the child process that draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from vtkmodules.util.numpy_support import numpy_to_vtk
from vtkmodules.vtkCommonCore import vtkPoints
from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData
from vtkmodules.vtkFiltersCore import vtkBinnedDecimation, vtkPolyDataNormals
from vtkmodules.vtkFiltersModeling import vtkSelectEnclosedPoints
from vtkmodules.vtkRenderingCore import vtkActor, vtkLightKit, vtkPolyDataMapper

from tomosurf.data.mesh import Scene, SurfaceMesh
from tomosurf.data.ramp import confidence_colours
from tomosurf.data.views import DIRECTIONS

Vector = NDArray[np.float64]

MOST_TRIANGLES = 600_000
"""Meshes with more are coarsened before drawing; a picture of this size shows little more."""

COARSE_PIXELS = 2.0
"""Edge length, in pixels, of the cubes within which a large mesh's vertices are merged."""

SEE_THROUGH = 0.34
"""Opacity of a structure that encloses another."""

ENCLOSED_SAMPLES = 64
"""Vertices of a structure that are tested for lying inside another."""

FRAME = 1.32
"""Picture width over the scene's largest extent: leaves room for marks and scale bar."""


def set_up(renderer: Any, scene: Scene, size: int, *, painted: bool = False) -> NDArray[np.float64]:
    """Fill ``renderer`` with the meshes and light; the scene's bounds (2, 3), least and largest, LPS mm.

    ``painted`` colours each vertex by its confidence instead of each mesh by its segment.
    """
    meshes = [mesh for mesh in scene.meshes if len(mesh.faces)]
    bounds = np.array(
        [
            np.min([mesh.vertices.min(axis=0) for mesh in meshes], axis=0),
            np.max([mesh.vertices.max(axis=0) for mesh in meshes], axis=0),
        ]
    )
    pixel_mm = float((bounds[1] - bounds[0]).max()) * FRAME / size
    surfaces = [_surface(mesh, pixel_mm, painted) for mesh in meshes]
    outer = _enclosing(meshes, surfaces)
    for number, (mesh, surface) in enumerate(zip(meshes, surfaces, strict=True)):
        renderer.AddViewProp(_actor(mesh, surface, number in outer, painted))
    light = vtkLightKit()
    light.SetKeyLightIntensity(0.86)
    light.SetKeyLightWarmth(0.5)
    light.SetFillLightWarmth(0.5)
    light.SetKeyToHeadRatio(2.2)
    light.SetKeyToFillRatio(2.0)
    light.AddLightsToRenderer(renderer)
    return bounds


def look(renderer: Any, bounds: NDArray[np.float64], view: str) -> float:
    """Place an orthographic camera for ``view``; returns how many mm the picture is wide and high."""
    sight, up = (np.array(direction, np.float64) for direction in DIRECTIONS[view])
    centre = bounds.mean(axis=0)
    reach = float(np.linalg.norm(bounds[1] - bounds[0])) + 1.0
    width = max(float((bounds[1] - bounds[0]).max()), 1e-3) * FRAME
    camera = renderer.GetActiveCamera()
    camera.ParallelProjectionOn()
    camera.SetFocalPoint(*centre)
    camera.SetPosition(*(centre - sight * reach * 2))
    camera.SetViewUp(*up)
    camera.SetParallelScale(width / 2)
    camera.SetClippingRange(reach * 0.5, reach * 4)
    return width


def edge_marks(view: str) -> tuple[str, str, str, str]:
    """Letters at the picture's left, right, top and bottom edge: R, L, A, P, S or I.

    >>> edge_marks("anterior")
    ('R', 'L', 'S', 'I')
    """
    sight, up = (np.array(direction, np.float64) for direction in DIRECTIONS[view])
    right: Vector = np.cross(sight, up)
    return _letter(-right), _letter(right), _letter(up), _letter(-up)


def _letter(direction: Vector) -> str:
    axis = int(np.abs(direction).argmax())
    return ("RL", "AP", "IS")[axis][int(direction[axis] > 0)]


def _surface(mesh: SurfaceMesh, pixel_mm: float, painted: bool) -> Any:
    """A mesh as VTK's poly data with normals, coarsened to the pictures' resolution when it is large."""
    points = vtkPoints()
    points.SetData(numpy_to_vtk(mesh.vertices.astype(np.float32)))
    cells = vtkCellArray()
    offsets = np.arange(0, 3 * len(mesh.faces) + 1, 3, dtype=np.int32)
    cells.SetData(numpy_to_vtk(offsets), numpy_to_vtk(mesh.faces.reshape(-1)))
    surface = vtkPolyData()
    surface.SetPoints(points)
    surface.SetPolys(cells)
    if painted:
        colours = numpy_to_vtk(_paint(mesh), deep=True)
        colours.SetName("colours")
        surface.GetPointData().SetScalars(colours)
    if len(mesh.faces) > MOST_TRIANGLES:
        surface = _coarsened(surface, np.ptp(mesh.vertices, axis=0), pixel_mm)
    normals = vtkPolyDataNormals()
    normals.SetInputData(surface)
    normals.SplittingOff()
    normals.ConsistencyOff()
    normals.Update()
    return normals.GetOutput()


def _paint(mesh: SurfaceMesh) -> NDArray[np.uint8]:
    """(n, 3) sRGB of each vertex by its confidence."""
    unknown = np.full(len(mesh.vertices), np.nan)
    return confidence_colours(mesh.vertex_data.get("confidence", unknown))


def _coarsened(surface: Any, extent: Vector, pixel_mm: float) -> Any:
    """``surface`` with the vertices of each small cube merged; takes about 140 bytes a triangle."""
    decimation = vtkBinnedDecimation()
    decimation.SetInputData(surface)
    decimation.AutoAdjustNumberOfDivisionsOff()
    cube = COARSE_PIXELS * pixel_mm
    decimation.SetNumberOfDivisions(*(max(2, int(np.ceil(length / cube))) for length in extent))
    decimation.Update()
    return decimation.GetOutput()


def _actor(mesh: SurfaceMesh, surface: Any, see_through: bool, painted: bool) -> Any:
    mapper = vtkPolyDataMapper()
    mapper.SetInputData(surface)
    if painted:
        mapper.SetScalarModeToUsePointData()
        mapper.SetColorModeToDirectScalars()
    else:
        mapper.ScalarVisibilityOff()
    actor = vtkActor()
    actor.SetMapper(mapper)
    look = actor.GetProperty()
    look.SetColor(*(channel / 255 for channel in mesh.segment.colour))
    look.SetInterpolationToPhong()
    look.SetAmbient(0.08)
    look.SetDiffuse(0.92)
    look.SetSpecular(0.12)
    look.SetSpecularPower(24)
    if see_through:
        look.SetOpacity(SEE_THROUGH)
        look.BackfaceCullingOn()  # one layer of one colour: needs no sorting
    return actor


def _enclosing(meshes: Sequence[SurfaceMesh], surfaces: Sequence[Any]) -> set[int]:
    """Numbers of the meshes inside which most of another one lies, as a skin's."""
    outer = set()
    for a, mesh in enumerate(meshes):
        low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
        for b, other in enumerate(meshes):
            picks = np.linspace(0, len(other.vertices) - 1, ENCLOSED_SAMPLES).astype(np.int64)
            sample = other.vertices[picks]
            in_box = ((sample >= low) & (sample <= high)).all(axis=1)
            if a != b and in_box.mean() > 0.5 and _share_inside(sample, surfaces[a]) > 0.5:
                outer.add(a)
                break
    return outer


def _share_inside(points: Vector, surface: Any) -> float:
    """Share of ``points`` that lie inside a closed surface."""
    probe, sample = vtkPolyData(), vtkPoints()
    sample.SetData(numpy_to_vtk(np.ascontiguousarray(points), deep=True))
    probe.SetPoints(sample)
    select = vtkSelectEnclosedPoints()
    select.SetInputData(probe)
    select.SetSurfaceData(surface)
    select.Update()
    return sum(select.IsInside(number) for number in range(len(points))) / len(points)

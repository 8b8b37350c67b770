"""The main job end to end: slices of the CT phantom to a bone surface, against the usual recipe.

The recipe is what scripts around do: SimpleITK reads and thresholds, VTK contours the mask and smooths it
with a windowed sinc, an STL is written. It is told the ideal threshold, halfway between bone and tissue, which ours
measures. Ours runs whole: every format, manifest, checks and report, without
pictures, which the recipe doesn't make.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from sample_data.make_sample_data import write_ct_phantom
from tests.benchmarks.harness import Figure, main, measure, peak_memory_mb
from tomosurf.config import load_protocol
from tomosurf.pipeline import CaseResult, RunOptions, run
from tomosurf.testing.phantoms import Structure, load_truth

IDEAL_HU = 370


def ours(slices: Path, out: Path, names: Sequence[str]) -> CaseResult:
    protocols = [load_protocol(name) for name in names]
    return run(slices, out, protocols, RunOptions("cpu", pictures=False)).cases[0]


def recipe(slices: Path, out: Path) -> Path:
    import SimpleITK
    from vtkmodules.util.numpy_support import numpy_to_vtk
    from vtkmodules.vtkCommonDataModel import vtkImageData
    from vtkmodules.vtkFiltersCore import vtkFlyingEdges3D, vtkWindowedSincPolyDataFilter
    from vtkmodules.vtkIOGeometry import vtkSTLWriter

    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(slices)))
    image = reader.Execute()
    mask = SimpleITK.GetArrayFromImage(image > IDEAL_HU)
    grid = vtkImageData()
    grid.SetDimensions(*mask.shape[::-1])
    grid.SetSpacing(*image.GetSpacing())
    grid.SetOrigin(*image.GetOrigin())
    grid.GetPointData().SetScalars(numpy_to_vtk(mask.ravel()))
    contour: Any = vtkFlyingEdges3D()
    contour.SetInputData(grid)
    contour.SetValue(0, 0.5)
    smooth = vtkWindowedSincPolyDataFilter()
    smooth.SetInputConnection(contour.GetOutputPort())
    smooth.SetNumberOfIterations(20)
    smooth.SetPassBand(0.1)
    writer = vtkSTLWriter()
    writer.SetInputConnection(smooth.GetOutputPort())
    writer.SetFileTypeToBinary()
    writer.SetFileName(str(out / "bone.stl"))
    writer.Write()
    return out / "bone.stl"


def mean_distance(path: Path, truth: Structure) -> float:
    """Mean distance of a mesh's vertices to the true surface, in mm."""
    import trimesh

    return float(np.abs(truth.signed_distance(np.asarray(trimesh.load(path).vertices, np.float64))).mean())


def figures() -> Sequence[Figure]:
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_ct_phantom(folder / "ct-phantom", folder / "ct-phantom.truth.json")
        slices, truth = folder / "ct-phantom", load_truth(folder / "ct-phantom.truth.json")
        time = measure(lambda: ours(slices, folder / "ours", ["ct-bone"]))
        peer_time = measure(lambda: recipe(slices, folder))
        bone = ours(slices, folder / "ours", ["ct-bone"])
        peer = mean_distance(recipe(slices, folder), truth["bone"])
        result = [
            Figure(
                "slices to bone surface, 256x256x160, one protocol", time, peer_time, "SimpleITK + VTK recipe"
            ),
            Figure(
                "mean distance of bone to the truth",
                mean_distance(bone.folder / bone.manifest.meshes[0].files["stl"], truth["bone"]),
                peer,
                "SimpleITK + VTK recipe",
                "mm",
                goal=1.0,
            ),
        ]
        case = ours(slices, folder / "ours", ["ct-bone", "ct-skin", "ct-lungs"])
        for mesh in case.manifest.meshes:
            distance = mean_distance(case.folder / mesh.files["stl"], truth[mesh.segment])
            result.append(
                Figure(f"mean distance of {mesh.segment} to the truth", distance, unit="mm", goal=0.15)
            )
            error = abs(mesh.volume_mm3 / truth[mesh.segment].volume - 1) * 100
            goal = None if mesh.segment == "bone" else 0.5
            result.append(Figure(f"volume error of {mesh.segment}", error, unit="%", goal=goal))
        result.append(Figure("peak memory of this process", peak_memory_mb(), unit="MB", goal=3000))
        return result


if __name__ == "__main__":
    raise SystemExit(main("main_job", figures))

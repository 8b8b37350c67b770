"""Writing files: a surface of about a million triangles, a CT-sized volume, against other writers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from tests.benchmarks.harness import Figure, main, measure
from tomosurf.data.geometry import Geometry
from tomosurf.data.mesh import Scene, SurfaceMesh
from tomosurf.data.volume import Volume
from tomosurf.export import glb, nifti, ply, stl
from tomosurf.surface.extract import extract
from tomosurf.surface.polydata import polydata
from tomosurf.testing.phantoms import Ball
from tomosurf.testing.segmentations import segmentation_of

GRID = Geometry((320, 320, 320), np.diag([0.6, 0.6, 0.6, 1.0]))
BALL = Ball((96.0, 96.0, 96.0), 92.0)


def with_trimesh(mesh: SurfaceMesh, path: Path) -> None:
    import trimesh

    peer = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    if path.suffix == ".glb":
        path.write_bytes(trimesh.Scene([peer]).export(file_type="glb", include_normals=True))
    else:
        peer.export(path)


def with_vtk(mesh: SurfaceMesh, path: Path) -> None:
    from vtkmodules.vtkIOGeometry import vtkSTLWriter
    from vtkmodules.vtkIOPLY import vtkPLYWriter

    writer = {".stl": vtkSTLWriter, ".ply": vtkPLYWriter}[path.suffix]()
    writer.SetFileName(str(path))
    writer.SetFileTypeToBinary()
    writer.SetInputData(polydata(mesh.vertices.astype(np.float32), mesh.faces))
    writer.Write()


def ct() -> Volume:
    """Smooth structure with noise below it, as 16-bit HU: compresses about as a real CT does."""
    shape = (256, 256, 128)
    i, j, k = np.meshgrid(*(np.linspace(-3, 3, n) for n in shape), indexing="ij")
    image = 400 * np.cos(i * j) * np.sin(k) + np.random.default_rng(0).normal(0, 12, shape)
    return Volume(
        Geometry(shape, np.diag([0.8, 0.8, 2.0, 1.0])), np.asfortranarray(image, np.int16), "CT", "HU"
    )


def with_nibabel(volume: Volume, path: Path) -> None:
    import nibabel

    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.geometry.affine
    nibabel.save(nibabel.Nifti1Image(volume.array, affine), path)


def with_simpleitk(volume: Volume, path: Path) -> None:
    import SimpleITK

    image = SimpleITK.GetImageFromArray(volume.array.T)
    image.SetSpacing(volume.geometry.spacing)
    SimpleITK.WriteImage(image, str(path), useCompression=True)


def figures() -> list[Figure]:
    scene = extract(segmentation_of([BALL], GRID))
    mesh = scene.meshes[0]
    size = f"{len(mesh.faces)} triangles"
    volume = ct()
    with TemporaryDirectory() as folder:

        def timed(name: str, write: Callable[[Path], None]) -> float:
            return measure(lambda: write(Path(folder) / name))

        def meshes(
            what: str, seconds: float, peers: dict[str, Callable[[SurfaceMesh, Path], None]]
        ) -> list[Figure]:
            return [
                Figure(
                    f"{what}, {size}",
                    seconds,
                    timed(f"peer.{what.lower()}", lambda path, peer=peer: peer(mesh, path)),
                    name,
                    "s",
                    1.0,
                )
                for name, peer in peers.items()
            ]

        both = {"trimesh": with_trimesh, "VTK": with_vtk}
        results = meshes("STL", timed("ours.stl", lambda path: stl.write(mesh, path)), both)
        results += meshes("PLY", timed("ours.ply", lambda path: ply.write(mesh, path)), both)
        seconds = timed("ours.glb", lambda path: glb.write(Scene((mesh,)), path))
        results += meshes("GLB", seconds, {"trimesh": with_trimesh})
        seconds = timed("ours.nii.gz", lambda path: nifti.write_volume(volume, path))
        length = (Path(folder) / "ours.nii.gz").stat().st_size / 1e6
        for name, peer in {"nibabel": with_nibabel, "SimpleITK": with_simpleitk}.items():
            other = timed("peer.nii.gz", lambda path, peer=peer: peer(volume, path))
            results.append(Figure(f"NIfTI, int16 {volume.array.shape}", seconds, other, name, "s", 1.2))
            other = (Path(folder) / "peer.nii.gz").stat().st_size / 1e6
            results.append(Figure("NIfTI, length of the file", length, other, name, "MB", 1.1))
    return results


if __name__ == "__main__":
    raise SystemExit(main("export", figures))

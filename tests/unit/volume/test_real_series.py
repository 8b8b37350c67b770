"""Real series, compared with SimpleITK voxel by voxel and corner by corner."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tomosurf.data.volume import Volume
from tomosurf.ingest.read import read
from tomosurf.volume.build import build

CASES = [
    ("ct-body-5mm", (512, 512, 174), (0.9765625, 0.9765625, 5.0), "HU"),
    ("mr-head-t1-thick", (280, 320, 22), (0.6875, 0.6875, 6.5), ""),
    ("mr-hippocampus-crop-1", (35, 51, 32), (1.0, 1.0, 1.0), ""),
    ("mr-hippocampus-crop-2", (36, 48, 35), (1.0, 1.0, 1.0), ""),
    ("mr-hippocampus-crop-3", (34, 50, 40), (1.0, 1.0, 1.0), ""),
]


def by_simpleitk(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    import SimpleITK

    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return affine, SimpleITK.GetArrayFromImage(image).T


@pytest.mark.parametrize(("name", "shape", "spacing", "unit"), CASES)
def test_a_real_series(
    shared_data: Path, name: str, shape: tuple[int, ...], spacing: tuple[float, ...], unit: str
) -> None:
    folder = shared_data / "dicom" / name
    intake = read(folder)
    assert not intake.refused
    volume: Volume = build(intake.studies[0].series[0])
    assert volume.geometry.shape == shape
    assert volume.geometry.spacing == pytest.approx(spacing, abs=1e-5)
    assert volume.unit == unit
    assert volume.array.dtype == np.int16
    affine, values = by_simpleitk(folder)
    assert np.abs(volume.geometry.affine - affine).max() < 1e-4
    assert np.array_equal(volume.array, values)

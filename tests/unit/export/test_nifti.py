from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from tomosurf.data.geometry import Geometry
from tomosurf.data.segmentation import Segmentation
from tomosurf.data.volume import Volume
from tomosurf.errors import ExportError
from tomosurf.export import nifti
from tomosurf.testing.exporter_suite import GEOMETRY
from tomosurf.testing.segmentations import segment

STRAIGHT = Geometry((4, 3, 2), np.array([[0, -0.5, 0, 10], [0.5, 0, 0, -20], [0, 0, -2, 30], [0, 0, 0, 1.0]]))


def volume(geometry: Geometry, dtype: str) -> Volume:
    array = np.arange(np.prod(geometry.shape)).reshape(geometry.shape).astype(dtype)
    return Volume(geometry, array, "CT", "HU")


@pytest.mark.parametrize("dtype", ["int16", "uint16", "uint8", "int8", "int32", "float32", "float64", ">i2"])
def test_voxels_keep_their_type(dtype: str, tmp_path: Path) -> None:
    content = volume(STRAIGHT, dtype)
    nifti.write_volume(content, tmp_path / "v.nii.gz")
    image = nibabel.load(tmp_path / "v.nii.gz")
    assert image.get_data_dtype() == np.dtype(dtype).newbyteorder("<")
    assert np.array_equal(np.asarray(image.dataobj), content.array)


def test_half_floats_become_floats_and_long_integers_are_refused(tmp_path: Path) -> None:
    nifti.write_volume(volume(STRAIGHT, "float16"), tmp_path / "v.nii.gz")
    assert nibabel.load(tmp_path / "v.nii.gz").get_data_dtype() == np.float32
    with pytest.raises(ExportError, match="int64"):
        nifti.write_volume(volume(STRAIGHT, "int64"), tmp_path / "w.nii.gz")
    assert not (tmp_path / "w.nii.gz").exists()


def test_an_orthogonal_grid_stands_in_both_forms_as_ras(tmp_path: Path) -> None:
    nifti.write_volume(volume(STRAIGHT, "int16"), tmp_path / "v.nii.gz")
    header = nibabel.load(tmp_path / "v.nii.gz").header
    ras = np.diag([-1, -1, 1, 1]) @ STRAIGHT.affine
    for form, code in (header.get_sform(coded=True), header.get_qform(coded=True)):
        assert code == 1 and np.allclose(form, ras, atol=1e-5)
    assert header.get_xyzt_units()[0] == "mm"


def test_a_sheared_grid_has_no_qform(tmp_path: Path) -> None:
    nifti.write_volume(volume(GEOMETRY, "int16"), tmp_path / "v.nii.gz")
    header = nibabel.load(tmp_path / "v.nii.gz").header
    assert header.get_qform(coded=True) == (None, 0)
    assert header.get_sform(coded=True)[1] == 1
    assert header.get_zooms() == pytest.approx(GEOMETRY.spacing, abs=1e-5)


def test_simpleitk_finds_a_voxel_in_the_same_place(tmp_path: Path) -> None:
    import SimpleITK

    nifti.write_volume(volume(STRAIGHT, "int16"), tmp_path / "v.nii.gz")
    image = SimpleITK.ReadImage(str(tmp_path / "v.nii.gz"))
    place = image.TransformIndexToPhysicalPoint((3, 1, 1))  # ITK's frame is LPS
    assert place == pytest.approx(STRAIGHT.to_world([[3, 1, 1]])[0], abs=1e-4)
    assert image[3, 1, 1] == volume(STRAIGHT, "int16").array[3, 1, 1]


def test_labels_say_that_they_are_labels(tmp_path: Path) -> None:
    labels = np.zeros(STRAIGHT.shape, np.uint16, order="F")
    labels[2, 1, 0] = 300
    nifti.write_labels(Segmentation(STRAIGHT, labels, (segment(300),)), tmp_path / "l.nii.gz")
    image = nibabel.load(tmp_path / "l.nii.gz")
    assert image.header.get_intent()[0] == "label"
    assert np.array_equal(np.asarray(image.dataobj), labels)


def test_gzip_tells_neither_name_nor_time(tmp_path: Path) -> None:
    nifti.write_volume(volume(STRAIGHT, "int16"), tmp_path / "named.nii.gz")
    content = (tmp_path / "named.nii.gz").read_bytes()
    assert content[3] == 0 and content[4:8] == b"\0\0\0\0"


def test_an_axis_too_long_for_the_format_is_refused(tmp_path: Path) -> None:
    geometry = Geometry((32768, 1, 1), np.eye(4))
    with pytest.raises(ExportError, match="32767"):
        nifti.write_volume(volume(geometry, "uint8"), tmp_path / "v.nii.gz")

"""NIfTI, NRRD and MetaImage land where they lie."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
import SimpleITK
from hypothesis import HealthCheck, given, settings

from tomosurf.data.volume import Volume
from tomosurf.errors import InputRefused
from tomosurf.image_file import read_labels, read_volume
from tomosurf.registry import EXPORTERS
from tomosurf.testing.strategies import geometries

EACH = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@EACH
@given(geometry=geometries(max_shape=6))
def test_nifti_comes_back_where_it_was_written_shear_and_all(tmp_path, geometry):
    array = np.arange(np.prod(geometry.shape), dtype=np.int16).reshape(geometry.shape, order="F")
    path = tmp_path / "v.nii.gz"
    EXPORTERS.load("nifti").write(Volume(geometry, array, "CT", "HU"), path)
    volume = read_volume(path, "CT")
    assert np.array_equal(volume.array, array)
    assert volume.unit == "HU"
    # NIfTI keeps float32: a few parts in 10 million of the distance from the origin
    assert volume.geometry.coincides(geometry, 1e-6 * np.abs(geometry.corners()).max() + 1e-4)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_itk_formats_keep_direction_and_origin(tmp_path, suffix):
    image = SimpleITK.GetImageFromArray(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
    image.SetOrigin((5, -7, 11))
    image.SetSpacing((0.5, 1.5, 3))
    image.SetDirection((0, -1, 0, 1, 0, 0, 0, 0, 1))
    SimpleITK.WriteImage(image, str(tmp_path / f"v{suffix}"))
    volume = read_volume(tmp_path / f"v{suffix}", "MR")
    assert volume.array[3, 2, 1] == 23
    assert volume.geometry.to_world([[3, 2, 1]])[0] == pytest.approx(
        image.TransformIndexToPhysicalPoint((3, 2, 1))
    )


def test_labels_are_named_by_their_numbers(tmp_path):
    array = np.zeros((3, 3, 3), np.int16)
    array[1, 1, 1], array[0, 0, 0] = 7, 300
    nibabel.save(nibabel.Nifti1Image(array, np.diag([1.0, 1, 1, 1])), tmp_path / "l.nii.gz")
    found = read_labels(tmp_path / "l.nii.gz")
    assert [segment.name for segment in found.segments] == ["label_7", "label_300"]
    assert found.labels[0, 0, 0] == 300


def nifti(path, array, affine=None):
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4) if affine is None else affine), path)


@pytest.mark.parametrize(
    ("array", "word"),
    [
        (np.full((2, 2, 2), 0.5, np.float32), "whole numbers"),
        (np.zeros((2, 2, 2), np.int16), "empty"),
        (np.zeros((2, 2, 2, 2), np.int16), "3D"),
    ],
)
def test_what_is_no_label_map_is_refused(tmp_path, array, word):
    nifti(tmp_path / "x.nii", array)
    with pytest.raises(InputRefused, match=word) as caught:
        read_labels(tmp_path / "x.nii")
    assert caught.value.files == ("x.nii",)


def test_an_image_without_a_place_is_refused(tmp_path):
    image = nibabel.Nifti1Image(np.zeros((2, 2, 2), np.int16), None)
    image.header.set_sform(None, 0)
    nibabel.save(image, tmp_path / "x.nii")
    with pytest.raises(InputRefused, match="where this image lies"):
        read_volume(tmp_path / "x.nii", "MR")


def test_text_and_unknown_suffixes_are_refused(tmp_path):
    for name in ("a.nii", "b.nrrd", "c.txt"):
        (tmp_path / name).write_text("not an image")
        with pytest.raises(InputRefused) as caught:
            read_volume(tmp_path / name, "CT")
        assert caught.value.code == "unreadable_file"

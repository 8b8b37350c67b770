"""Single image files that aren't DICOM: NIfTI, NRRD and MetaImage, read into the patient frame."""

from __future__ import annotations

import colorsys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomosurf import dicom_seg, itk_file, seg_nrrd
from tomosurf.data.geometry import Geometry
from tomosurf.data.segmentation import Code, Segment, Segmentation
from tomosurf.data.volume import Volume
from tomosurf.errors import GeometryError, InputRefused

NIFTI = (".nii", ".nii.gz")
ITK = (".nrrd", ".nhdr", ".mha", ".mhd")
UNCODED = Code("UNCODED", "Label of an imported map; its meaning isn't known here", "99TOMOSURF")


def read_volume(path: Path, modality: str) -> Volume:
    """One image file as a volume. The file doesn't say its modality, so the caller must; CT counts as HU.

    Raises:
        InputRefused: unreadable, not 3D, not real-valued, or nothing says where it lies.
    """
    array, geometry = _read(path)
    if array.dtype.kind not in "iuf":
        raise InputRefused(
            "unreadable_file", f"voxels of type {array.dtype} aren't intensities", files=(path.name,)
        )
    if not np.isfinite(array).all():
        raise InputRefused("unreadable_file", "the image holds NaN or infinity", files=(path.name,))
    return Volume(geometry, array, modality, "HU" if modality == "CT" else "")


def read_labels(path: Path) -> Segmentation:
    """One label map. Segments of a .seg.nrrd or a DICOM Segmentation keep their names, codes and colours; others
    are named ``label_<n>``, with evenly spread colours.

    Raises:
        InputRefused: unreadable, not 3D, not whole numbers from 0 to 65535, without any label, with segments that
            overlap, or with frames that can't be placed.
    """
    if path.name.endswith(seg_nrrd.SUFFIX) and path.is_file():
        return seg_nrrd.read(path)
    if path.is_file() and (path.suffix == ".dcm" or not path.suffix) and dicom_seg.is_dicom(path):
        return dicom_seg.read(path)
    labels, geometry = read_label_voxels(path)
    values = [int(value) for value in np.unique(labels) if value]
    if not values:
        raise InputRefused("no_image", "the label map is empty", files=(path.name,))
    segments = tuple(Segment(v, f"label_{v}", UNCODED, _colour(n)) for n, v in enumerate(values))
    return Segmentation(geometry, labels, segments, provenance={"method": "imported"})


def read_label_voxels(path: Path) -> tuple[NDArray[Any], Geometry]:
    """The voxels of a label map, uint8 or uint16, Fortran-ordered, and their grid; it may hold no label at all.

    Raises:
        InputRefused: unreadable, not 3D, or not whole numbers from 0 to 65535.
    """
    array, geometry = _read(path)
    rounded = np.rint(array)
    if not np.array_equal(rounded, array) or array.min() < 0 or array.max() > 65535:
        raise InputRefused(
            "unreadable_file",
            "a label map holds whole numbers from 0 to 65535",
            advice="an image or a probability map has no labels: segment it first",
            files=(path.name,),
        )
    return rounded.astype(np.uint8 if rounded.max() < 256 else np.uint16, order="F"), geometry


def _colour(number: int) -> tuple[int, int, int]:
    """Colours a golden angle apart, so that neighbours in the list differ."""
    red, green, blue = colorsys.hsv_to_rgb(number * 0.618033988749895 % 1.0, 0.55, 0.9)
    return round(red * 255), round(green * 255), round(blue * 255)


def _read(path: Path) -> tuple[NDArray[Any], Geometry]:
    """Voxels (i, j, k) and their grid in LPS."""
    if not path.is_file():
        raise InputRefused("unreadable_file", f"there is no file {path}")
    try:
        if path.name.endswith(NIFTI):
            from tomosurf.export.nifti import read

            return read(path)
        if path.suffix in ITK:
            image = itk_file.read(path)
            if len(image.layers) != 1:
                raise InputRefused("bad_geometry", "one value a voxel is needed", files=(path.name,))
            return image.layers[0], image.geometry
    except GeometryError as error:
        raise InputRefused("bad_geometry", str(error), files=(path.name,)) from error
    raise InputRefused(
        "unreadable_file",
        f"not one of {', '.join(NIFTI + ITK)}",
        advice="convert the image",
        files=(path.name,),
    )

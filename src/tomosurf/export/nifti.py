"""NIfTI-1, both ways: volumes and label maps. One of the two places where RAS exists.

Reference: nifti1.h, NIfTI-1.1 data format (2007): "+x = Right, +y = Anterior, +z = Superior", method 3
(sform) for the affine and method 2 (qform) beside it where a rotation can express it.
"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.geometry import Geometry
from tomosurf.data.segmentation import Segmentation
from tomosurf.data.volume import Volume
from tomosurf.errors import ExportError, InputRefused
from tomosurf.export.exporter import Exporter

COMPRESSION_LEVEL = 1
"""Of gzip: on a CT, level 6 takes five times as long and its files are 2 % smaller."""

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_SCANNER, _UNKNOWN = 1, 0  # codes of sform and qform
_LONGEST_AXIS = 32767
_KINDS = frozenset({"u1", "i1", "i2", "u2", "i4", "u4", "f4", "f8"})


def write_volume(volume: Volume, path: Path) -> None:
    """Write voxel values in their own dtype (16-bit floats as 32-bit), the affine as RAS in the sform.

    Raises:
        ExportError: an axis is longer than 32767, or the dtype is a 64-bit integer.
    """
    array = volume.array
    _write(array.astype(np.float32) if array.dtype == np.float16 else array, volume.geometry, path, "")


def write_labels(segmentation: Segmentation, path: Path) -> None:
    """Write the label map as uint8 or uint16, on the volume's grid.

    Raises:
        ExportError: an axis is longer than 32767.
    """
    _write(segmentation.labels, segmentation.geometry, path, "label")


def _write(array: NDArray[Any], geometry: Geometry, path: Path, intent: str) -> None:
    """Header, no extensions, then the voxels with i fastest, slice by slice; gzip without name or time."""
    if max(array.shape) > _LONGEST_AXIS:
        raise ExportError(f"NIfTI-1 ends at {_LONGEST_AXIS} voxels along an axis; this grid is {array.shape}")
    if array.dtype.str[1:] not in _KINDS:
        raise ExportError(
            f"voxels of type {array.dtype} aren't read by most NIfTI readers; convert them first"
        )
    header = _header(array, geometry, intent)
    little = array.dtype.newbyteorder("<")
    with (
        path.open("wb") as file,
        gzip.GzipFile(
            filename="", mode="wb", compresslevel=COMPRESSION_LEVEL, fileobj=file, mtime=0
        ) as stream,
    ):
        stream.write(header + b"\0\0\0\0")
        for slice_ in array.T:
            stream.write(np.ascontiguousarray(slice_, little).data)


def _header(array: NDArray[Any], geometry: Geometry, intent: str) -> bytes:
    """The 348 bytes of a header, little endian."""
    from nibabel.nifti1 import Nifti1Header

    affine = _LPS_TO_RAS @ geometry.affine
    header = Nifti1Header(endianness="<")
    header.set_data_dtype(array.dtype)
    header.set_data_shape(array.shape)
    header.set_xyzt_units("mm")
    header.set_slope_inter(1.0, 0.0)
    header["vox_offset"] = 352
    header["magic"] = b"n+1"
    header["descrip"] = b"tomosurf"
    if intent:
        header.set_intent(intent)
    header.set_sform(affine, code=_SCANNER)
    if geometry.is_orthogonal:
        header.set_qform(affine, code=_SCANNER, strip_shears=True)
    else:
        header.set_qform(None, code=_UNKNOWN)
        header["pixdim"][1:4] = geometry.spacing
    content: bytes = header.binaryblock
    return content


def read(path: Path) -> tuple[NDArray[Any], Geometry]:
    """The voxels of a NIfTI file, scaled as its header says, and their grid in LPS; shear is kept.

    Raises:
        InputRefused: unreadable, not 3D, not in mm, or nothing says where it lies.
    """
    import nibabel
    from nibabel.filebasedimages import ImageFileError
    from nibabel.nifti1 import Nifti1Image

    try:
        image = nibabel.load(path)
        if not isinstance(image, Nifti1Image):
            raise ImageFileError("another format")
        array = np.asanyarray(image.dataobj)
    except (ImageFileError, OSError, ValueError, EOFError) as error:
        raise InputRefused(
            "unreadable_file", "this is no NIfTI file that can be read", files=(path.name,)
        ) from error
    header = image.header
    if array.ndim != 3:
        raise InputRefused("bad_geometry", f"a 3D image is needed, not {array.ndim}D", files=(path.name,))
    if not (int(header["sform_code"]) or int(header["qform_code"])):
        raise InputRefused(
            "bad_geometry",
            "neither sform nor qform says where this image lies",
            advice="write the affine with the tool that made the file",
            files=(path.name,),
        )
    if header.get_xyzt_units()[0] not in {"mm", "unknown"}:
        raise InputRefused(
            "bad_geometry", "its lengths aren't in mm", files=(path.name,), attribute="xyzt_units"
        )
    return array, Geometry(array.shape, _LPS_TO_RAS @ image.affine)


EXPORTER = Exporter(suffix=".nii.gz", content="volume", write=write_volume)
LABELS_EXPORTER = Exporter(suffix=".nii.gz", content="labels", write=write_labels)

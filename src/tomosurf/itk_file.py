"""Image files that ITK reads, NRRD and MetaImage, in the patient frame."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.geometry import Geometry
from tomosurf.errors import GeometryError, InputRefused


@dataclass(frozen=True, slots=True, eq=False)
class ItkImage:
    """Layers of (ni, nj, nk), their grid in LPS (ITK's own frame), and the header's words."""

    layers: tuple[NDArray[Any], ...]
    geometry: Geometry
    words: dict[str, str]


def read(path: Path) -> ItkImage:
    """One 3D image, each component of its voxels a layer.

    Raises:
        InputRefused: unreadable, not 3D, or its grid is none.
    """
    import SimpleITK

    try:
        image = SimpleITK.ReadImage(str(path))
    except RuntimeError as error:
        raise InputRefused("unreadable_file", "ITK can't read this file", files=(path.name,)) from error
    if image.GetDimension() != 3:
        raise InputRefused("bad_geometry", "a 3D image is needed", files=(path.name,))
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    try:
        geometry = Geometry(image.GetSize(), affine)
    except GeometryError as error:
        raise InputRefused("bad_geometry", str(error), files=(path.name,)) from error
    array = SimpleITK.GetArrayFromImage(image)
    count = image.GetNumberOfComponentsPerPixel()
    layers = (array.T,) if count == 1 else tuple(array[..., n].T for n in range(count))
    return ItkImage(layers, geometry, {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()})

"""The MNI152 T1 template that nilearn ships: the average of 152 heads, symmetric, without its skull.

Reference: V. Fonov, A. C. Evans, K. Botteron et al., Unbiased average age-appropriate atlases for pediatric
studies, NeuroImage 54:313 (2011); template mni_icbm152_nlin_sym_09a.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.geometry import Geometry
from tomosurf.errors import DataError, MissingExtraError
from tomosurf.segment.localise.atlas import Atlas

FILE = "mni_icbm152_{}_tal_nlin_sym_09a_converted.nii.gz"
HIGHEST = 255.0
"""What a probability of 1 is stored as."""


def load() -> Atlas:
    """Read the template and its tissue maps from the installed nilearn; nothing is fetched.

    Raises:
        MissingExtraError: nilearn isn't installed, or without its data.
        DataError: the files aren't those of the template.
    """
    package = find_spec("nilearn")  # found, not imported: that takes seconds
    folder = Path(package.origin).parent / "datasets" / "data" if package and package.origin else None
    if folder is None or not (folder / FILE.format("t1")).is_file():
        raise MissingExtraError(
            "whole heads need the MNI152 template of the package nilearn: pip install nilearn"
        )
    t1, geometry = _read(folder / FILE.format("t1"))
    grey, white = (_read(folder / FILE.format(tissue))[0] / np.float32(HIGHEST) for tissue in ("gm", "wm"))
    if not t1.shape == grey.shape == white.shape:
        raise DataError(f"{folder}: the template's images don't share a grid; install nilearn again")
    return Atlas("mni152", "MNI152 nonlinear symmetric 2009a (nilearn)", geometry, t1, grey, white)


def _read(path: Path) -> tuple[NDArray[np.float32], Geometry]:
    """Values along L, P and S, and their grid."""
    import nibabel

    image: Any = nibabel.load(path)
    ras = np.asarray(image.affine, np.float64)
    if not np.array_equal(ras[:3, :3], np.eye(3)):
        raise DataError(f"{path}: not 1 mm along R, A and S as the template is; install nilearn again")
    values = np.ascontiguousarray(np.asarray(image.dataobj)[::-1, ::-1], np.float32)
    affine = np.eye(4)  # NIfTI says RAS: the last voxel along R and along A is the first along L and P
    affine[:3, 3] = -(ras[0, 3] + values.shape[0] - 1), -(ras[1, 3] + values.shape[1] - 1), ras[2, 3]
    ni, nj, nk = values.shape
    return values, Geometry((ni, nj, nk), affine)

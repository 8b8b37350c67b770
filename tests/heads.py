"""Heads whose pose is known: the MNI152 template, dressed in a made-up skull and scalp, laid anywhere."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
from scipy.ndimage import affine_transform, distance_transform_edt, gaussian_filter
from scipy.spatial.transform import Rotation

from tomosurf.data.geometry import Geometry
from tomosurf.data.volume import Volume
from tomosurf.segment.localise import mni152

HIPPOCAMPI = np.array([[28.0, 22.0, -15.0], [-28.0, 22.0, -15.0]])
"""LPS mm in the template: left, right."""


def dressed() -> tuple[np.ndarray, Geometry]:
    """The template with fluid, a dark skull and a bright scalp around its brain, and its grid."""
    atlas = mni152.load()
    away = distance_transform_edt(atlas.t1 == 0)
    image = np.where((away > 0) & (away <= 3), 25.0, atlas.t1)
    image = np.where((away > 8) & (away <= 14), 200.0, image)
    return gaussian_filter(image.astype(np.float32), 0.6), atlas.geometry


def pose(degrees: tuple[float, float, float], shift: tuple[float, float, float], scale: float) -> np.ndarray:
    """(4, 4): template LPS mm to the patient's."""
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix() * scale
    affine[:3, 3] = shift
    return affine


def posed(
    image: np.ndarray, grid: Geometry, to_patient: np.ndarray, spacing: float, edge_mm: float = 224.0
) -> Volume:
    """``image`` laid by ``to_patient`` and scanned on an upright cubic grid around the laid origin."""
    count = round(edge_mm / spacing)
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = to_patient[:3, 3] - (count - 1) / 2 * spacing
    back = np.linalg.inv(grid.affine) @ np.linalg.inv(to_patient) @ affine
    values = affine_transform(image, back[:3, :3], back[:3, 3], (count, count, count), order=1)
    return Volume(Geometry((count, count, count), affine), np.asfortranarray(values, np.float32), "MR")


def stored_otherwise(volume: Volume) -> list[Volume]:
    """The same voxels in the same places with their axes in all 48 orders and directions."""
    found = []
    for axes, flips in product(permutations(range(3)), product((False, True), repeat=3)):
        steps = np.zeros((4, 4))
        steps[3, 3] = 1
        for new, old in enumerate(axes):
            steps[old, new] = -1 if flips[new] else 1
            steps[old, 3] = volume.array.shape[old] - 1 if flips[new] else 0
        cut = tuple(slice(None, None, -1 if flipped else 1) for flipped in flips)
        array = volume.array.transpose(axes)[cut]
        a, b, c = array.shape
        grid = Geometry((a, b, c), volume.geometry.affine @ steps)
        found.append(Volume(grid, array, volume.modality, volume.unit))
    return found

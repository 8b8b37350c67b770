"""Complexes with known answers: balls, and label maps whose walls meet in curves and points."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.complex import SurfaceComplex
from tomosurf.data.geometry import Geometry
from tomosurf.data.segmentation import Segmentation
from tomosurf.surface.extract import extract_complexes
from tomosurf.testing.segmentations import segment


def ball(radius: float = 20.0, rings: int = 48) -> SurfaceComplex:
    """A ball of one label: vertices on the sphere, rings of them from pole to pole."""
    around = 2 * rings
    polar, turn = np.meshgrid(
        np.pi * np.arange(1, rings) / rings, 2 * np.pi * np.arange(around) / around, indexing="ij"
    )
    places = np.stack([np.sin(polar) * np.cos(turn), np.sin(polar) * np.sin(turn), np.cos(polar)], axis=-1)
    vertices = radius * np.concatenate([places.reshape(-1, 3), [[0, 0, 1.0], [0, 0, -1.0]]])
    here = np.arange((rings - 1) * around).reshape(rings - 1, around)
    beside = np.roll(here, -1, axis=1)
    faces = [
        np.stack([here[:-1], here[1:], beside[:-1]], axis=-1),
        np.stack([beside[:-1], here[1:], beside[1:]], axis=-1),
        np.stack([np.full(around, len(vertices) - 2), here[0], beside[0]], axis=-1),
        np.stack([here[-1], np.full(around, len(vertices) - 1), beside[-1]], axis=-1),
    ]
    triangles = np.concatenate([part.reshape(-1, 3) for part in faces]).astype(np.int32)
    return SurfaceComplex(vertices, triangles, np.tile(np.array([[1, 0]], np.uint16), (len(triangles), 1)))


def walls_of(labels: NDArray[np.integer]) -> SurfaceComplex:
    """The walls of a label map of 1 mm voxels, all labels contoured at once."""
    segments = tuple(segment(label) for label in range(1, int(labels.max()) + 1))
    grid = Geometry((labels.shape[0], labels.shape[1], labels.shape[2]), np.eye(4))
    (walls,) = extract_complexes(Segmentation(grid, np.asfortranarray(labels), segments))
    return walls


def three_parts(size: int = 24) -> NDArray[np.uint8]:
    """A ball of two halves with a smaller ball across their seam: walls that meet in curves and points."""
    i, j, k = np.indices((size, size, size)) - (size - 1) / 2 + 0.1
    radius = np.sqrt(i * i + j * j + k * k)
    labels = np.where(radius < size * 0.4, np.where(i > 0, 1, 2), 0).astype(np.uint8)
    labels[np.sqrt(i * i + j * j + (k - size * 0.2) ** 2) < size * 0.18] = 3
    return labels

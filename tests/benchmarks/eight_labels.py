"""Eight structures whose surfaces are known: six smooth ones, two of which share a wall, a tube and a spine.

The spine has what smoothing rubs out: thin processes, laminae, a canal, edges of end plates. Masks take each voxel
whose centre lies inside; fields are minus the signed distance, sampled on any grid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from math import pi

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.geometry import Geometry
from tomosurf.data.segmentation import Margin, Segmentation
from tomosurf.testing.phantoms import Ball, Capsule, Ellipsoid, EllipticCylinder, Placed, rotation_about
from tomosurf.testing.segmentations import margin_of, segment
from tomosurf.testing.shape import Points, Shape, Union, Vector

GRID = Geometry(
    (512, 512, 300), np.array([[0.7, 0, 0, -179], [0, 0.7, 0, -179], [0, 0, 1.0, -149.6], [0, 0, 0, 1.0]])
)
"""The grid of the masks."""

DETAILED = frozenset({"spine"})
"""Structures that aren't smooth."""


@dataclass(frozen=True, slots=True)
class Lobe(Shape):
    """The part of an ellipsoid on one side (``side`` 1: above, -1: below) of the plane x = ``plane``."""

    whole: Ellipsoid
    plane: float
    side: float

    @property
    def volume(self) -> float:
        """Of the cap: pi a b c (2/3 - t + t^3 / 3), t the plane's place in semi-axes."""
        a, b, c = self.whole.semi_axes
        t = self.side * (self.plane - self.whole.centre[0]) / a
        return pi * a * b * c * (2 / 3 - t + t**3 / 3)

    @property
    def centroid(self) -> Points:
        """Not needed here."""
        raise NotImplementedError

    @property
    def bounds(self) -> Points:
        """Those of the ellipsoid, cut."""
        bounds = self.whole.bounds.copy()
        bounds[0 if self.side > 0 else 1, 0] = self.plane
        return bounds

    def signed_distance(self, points: Points) -> NDArray[np.float64]:
        """Exact but outside of the edge, where it is too short."""
        beyond = self.side * (self.plane - points[:, 0])
        distance: NDArray[np.float64] = np.maximum(self.whole.signed_distance(points), beyond)
        return distance

    def contains(self, points: Points) -> NDArray[np.bool_]:
        """By the quadratic form and the plane."""
        return self.whole.contains(points) & (self.side * (self.plane - points[:, 0]) <= 0)


@dataclass(frozen=True, slots=True)
class Vertebra(Shape):
    """A vertebra about the origin: solids that overlap, less the canal."""

    parts: tuple[Shape, ...]
    canal: Shape

    @property
    def volume(self) -> float:
        """By quadrature; see :func:`_vertebra_volume`."""
        return _vertebra_volume(self)

    @property
    def centroid(self) -> Points:
        """Not needed here."""
        raise NotImplementedError

    @property
    def bounds(self) -> Points:
        """Box around all parts."""
        boxes = np.array([part.bounds for part in self.parts])
        return np.array([boxes[:, 0].min(axis=0), boxes[:, 1].max(axis=0)])

    def signed_distance(self, points: Points) -> NDArray[np.float64]:
        """Zero exactly on the surface; elsewhere at most the distance."""
        distance = self.parts[0].signed_distance(points)
        for part in self.parts[1:]:
            np.minimum(distance, part.signed_distance(points), out=distance)
        result: NDArray[np.float64] = np.maximum(distance, -self.canal.signed_distance(points))
        return result


@cache
def _vertebra_volume(vertebra: Vertebra, step: float = 0.5) -> float:
    """Volume in mm3: on a grid of ``step`` mm, each cell filled as far as its middle's distance says."""
    low, high = vertebra.bounds[0] - 1.0, vertebra.bounds[1] + 1.0
    axes = [np.arange(a, b, step) for a, b in zip(low, high, strict=True)]
    plane = np.stack(np.meshgrid(axes[0], axes[1], indexing="ij"), axis=-1).reshape(-1, 2)
    filled = 0.0
    for z in axes[2]:
        distance = vertebra.signed_distance(np.column_stack([plane, np.full(len(plane), z)]))
        filled += float(np.clip(0.5 - distance / step, 0, 1).sum())
    return filled * step**3


VERTEBRA = Vertebra(
    parts=(
        EllipticCylinder((0.0, 0.0, 0.0), (19.0, 14.0), 11.0),
        Capsule((0.0, 30.0, -3.0), (0.0, 46.0, -14.0), 3.2),
        *(
            part
            for side in (-1.0, 1.0)
            for part in (
                Capsule((side * 12.0, 8.0, 3.0), (side * 13.0, 20.0, 2.0), 4.2),
                Capsule((side * 13.0, 20.0, 2.0), (side * 34.0, 25.0, 5.0), 2.6),
                Capsule((side * 13.0, 20.0, 2.0), (0.0, 31.0, -3.0), 2.8),
                Ball((side * 14.0, 22.0, 9.0), 3.6),
                Ball((side * 14.0, 24.0, -9.0), 3.4),
                Capsule((side * 14.0, 22.0, 9.0), (side * 14.0, 24.0, -9.0), 2.2),
            )
        ),
    ),
    canal=Placed(EllipticCylinder((0.0, 0.0, 0.0), (8.5, 6.5), 60.0), offset=(0.0, 20.5, 0.0)),
)


def _spine(levels: int = 8, pitch: float = 32.0) -> Union:
    """Vertebrae along z, each turned a little against its neighbours."""
    places = [(level - (levels - 1) / 2) * pitch for level in range(levels)]
    return Union(
        tuple(
            Placed(VERTEBRA, rotation_about((1.0, 0.4, 0.8), 0.05 * z), (1.3 * (n % 3) - 1, 55.0, z + 0.37))
            for n, z in enumerate(places)
        )
    )


def _tilted(ellipsoid: Vector, degrees: float, place: Vector) -> Shape:
    return Placed(Ellipsoid((0.0, 0.0, 0.0), ellipsoid), rotation_about((1.0, 0.7, 0.2), degrees), place)


# the plane lies half way between voxel centres of GRID: a mask knows no better
_LIVER = Ellipsoid((-48.3, -35.2, -71.1), (78.0, 52.0, 50.0))
STRUCTURES: Mapping[str, Shape] = {
    "lung_left": _tilted((40.0, 58.0, 56.0), 7.0, (82.2, -20.4, 68.3)),
    "lung_right": _tilted((41.0, 57.0, 57.0), -8.0, (-83.1, -21.7, 67.8)),
    "liver_right": Lobe(_LIVER, -30.95, -1.0),
    "liver_left": Lobe(_LIVER, -30.95, 1.0),
    "spleen": _tilted((26.0, 42.0, 31.0), 25.0, (98.4, 20.3, -62.8)),
    "kidney": _tilted((23.0, 21.0, 44.0), 15.0, (65.2, 95.6, -77.4)),
    "aorta": Capsule((15.2, 18.1, -120.0), (-4.0, 22.3, 128.0), 10.5),
    "spine": _spine(),
}
"""Name to shape, in the order of their labels, which count from 1."""


def box_of(shape: Shape, geometry: Geometry, around: int = 2) -> tuple[slice, slice, slice]:
    """The voxels of ``geometry`` near ``shape``, ``around`` voxels wider than its bounds."""
    low, high = shape.bounds
    corners = np.array(
        [[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])]
    )
    index = geometry.to_index(corners)
    start = np.maximum(np.floor(index.min(axis=0)).astype(int) - around, 0)
    stop = np.minimum(np.ceil(index.max(axis=0)).astype(int) + around + 1, geometry.shape)
    i, j, k = (slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
    return i, j, k


def masks(geometry: Geometry = GRID) -> Segmentation:
    """The label map, without margins."""
    labels = np.zeros(geometry.shape, np.uint8, order="F")
    for label, shape in enumerate(STRUCTURES.values(), 1):
        for part in shape.parts if isinstance(shape, Union) else (shape,):
            box = box_of(part, geometry)
            i, j = np.meshgrid(*(np.arange(s.start, s.stop) for s in box[:2]), indexing="ij")
            for k in range(box[2].start, box[2].stop):
                points = geometry.to_world(np.stack([i.ravel(), j.ravel(), np.full(i.size, k)], axis=1))
                labels[box[0], box[1], k][part.contains(points).reshape(i.shape)] = label
    segments = tuple(segment(label, name) for label, name in enumerate(STRUCTURES, 1))
    return Segmentation(geometry, labels, segments)


def fields(spacing: float = 1.5) -> Segmentation:
    """The same structures on an isotropic grid of ``spacing`` mm, with margins from their signed distances."""
    extent = np.array(GRID.extent)
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = -(extent - spacing) / 2 + 0.1
    i, j, k = (int(n) for n in np.floor(extent / spacing))
    found = masks(Geometry((i, j, k), affine))
    margins: dict[int, Margin] = {}
    for label, shape in enumerate(STRUCTURES.values(), 1):
        box = box_of(shape, found.geometry)
        start = (box[0].start, box[1].start, box[2].start)
        near = found.geometry.cropped(start, tuple(s.stop - s.start for s in box))
        margins[label] = margin_of(shape, near)
    return Segmentation(found.geometry, found.labels, found.segments, margins)

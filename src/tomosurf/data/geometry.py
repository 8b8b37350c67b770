"""Where a grid of voxels lies in the patient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tomosurf.data.arrays import frozen
from tomosurf.errors import GeometryError

ORTHOGONAL_TOLERANCE = 1e-4
"""Largest cosine between two axes that still counts as a right angle (unitless)."""


@dataclass(frozen=True, slots=True, eq=False)
class Geometry:
    """A grid of voxel centres in DICOM's patient frame (LPS, mm).

    Args:
        shape: number of voxels along i (along a row of the slice), j (down the rows), k (through the stack).
        affine: 4x4 float64, index to LPS mm; integers are voxel centres. Shear is allowed: a tilted gantry
            is a fact, not an error.
        frame_of_reference_uid: the DICOM Frame of Reference, or "" when unknown.

    Raises:
        GeometryError: shape isn't three positive integers, or the affine isn't finite, affine and invertible.

    Reference: DICOM PS3.3 C.7.6.2.1.1, equation C.7.6.2.1-1.

    >>> g = Geometry((4, 3, 2), np.diag([2.0, 2.0, 5.0, 1.0]))
    >>> g.spacing
    (2.0, 2.0, 5.0)
    >>> g.to_world([[1, 1, 1]]).tolist()
    [[2.0, 2.0, 5.0]]
    """

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]
    frame_of_reference_uid: str = ""

    def __post_init__(self) -> None:
        shape = tuple(int(n) for n in self.shape)
        if len(shape) != 3 or min(shape) < 1:
            raise GeometryError(f"a grid's shape is three positive integers, not {self.shape!r}")
        affine = np.array(self.affine, dtype=np.float64)
        if affine.shape != (4, 4) or not np.isfinite(affine).all():
            raise GeometryError("an affine is 4x4 and finite")
        if not np.array_equal(affine[3], [0.0, 0.0, 0.0, 1.0]):
            raise GeometryError("an affine's last row is 0 0 0 1")
        lengths = np.linalg.norm(affine[:3, :3], axis=0)
        if lengths.min() <= 0 or abs(np.linalg.det(affine[:3, :3] / lengths)) < 1e-6:
            raise GeometryError("an affine's three axes must span space")
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "affine", frozen(affine))

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance in mm between neighbouring voxel centres along i, j and k."""
        a, b, c = np.linalg.norm(self.affine[:3, :3], axis=0).tolist()
        return (a, b, c)

    @property
    def origin(self) -> NDArray[np.float64]:
        """LPS mm of the centre of voxel (0, 0, 0)."""
        return self.affine[:3, 3]

    @property
    def directions(self) -> NDArray[np.float64]:
        """3x3; column a is the unit vector of axis a in LPS."""
        axes: NDArray[np.float64] = self.affine[:3, :3] / np.linalg.norm(self.affine[:3, :3], axis=0)
        return axes

    @property
    def slice_normal(self) -> NDArray[np.float64]:
        """Unit normal of the slice plane (i x j), LPS; the stack may run along it or against it."""
        normal = np.cross(self.affine[:3, 0], self.affine[:3, 1])
        unit: NDArray[np.float64] = normal / np.linalg.norm(normal)
        return unit

    @property
    def slice_step(self) -> float:
        """Distance in mm between neighbouring slice planes, along their normal (not along a sheared k)."""
        return float(abs(self.affine[:3, 2] @ self.slice_normal))

    @property
    def is_orthogonal(self) -> bool:
        """Whether the three axes meet at right angles, within ``ORTHOGONAL_TOLERANCE``."""
        cosines = self.directions.T @ self.directions - np.eye(3)
        return bool(np.abs(cosines).max() <= ORTHOGONAL_TOLERANCE)

    @property
    def is_right_handed(self) -> bool:
        """Whether i, j, k form a right-handed frame in LPS; else triangles get flipped."""
        return bool(np.linalg.det(self.affine[:3, :3]) > 0)

    @property
    def voxel_volume(self) -> float:
        """Volume of one voxel in mm3, shear included."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    @property
    def extent(self) -> tuple[float, float, float]:
        """Edge lengths in mm of the box that the voxels fill."""
        a, b, c = (n * s for n, s in zip(self.shape, self.spacing, strict=True))
        return (a, b, c)

    def to_world(self, index: ArrayLike) -> NDArray[np.float64]:
        """Map (n, 3) indices, fractions allowed, to (n, 3) LPS mm."""
        points: NDArray[np.float64] = np.asarray(index, np.float64) @ self.affine[:3, :3].T
        points += self.affine[:3, 3]
        return points

    def to_index(self, points: ArrayLike) -> NDArray[np.float64]:
        """Map (n, 3) LPS mm to (n, 3) fractional indices; the inverse of :meth:`to_world`."""
        offset = np.asarray(points, np.float64) - self.affine[:3, 3]
        index: NDArray[np.float64] = np.linalg.solve(self.affine[:3, :3], offset.T).T.astype(
            np.float64, copy=False
        )
        return index

    def corners(self) -> NDArray[np.float64]:
        """(8, 3) LPS mm of the centres of the eight corner voxels, i fastest."""
        ends = [(0, n - 1) for n in self.shape]
        return self.to_world([(i, j, k) for k in ends[2] for j in ends[1] for i in ends[0]])

    def cropped(self, start: tuple[int, int, int], shape: tuple[int, int, int]) -> Geometry:
        """The grid of ``array[start : start + shape]``; ``start`` may be negative (padding)."""
        affine = self.affine.copy()
        affine[:3, 3] = self.to_world([start])[0]
        return Geometry(shape, affine, self.frame_of_reference_uid)

    def coincides(self, other: Geometry, tolerance_mm: float = 1e-3) -> bool:
        """Whether both grids have the same shape and their corners lie within ``tolerance_mm``."""
        if self.shape != other.shape:
            return False
        return bool(np.abs(self.corners() - other.corners()).max() <= tolerance_mm)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for a manifest: shape, affine_lps, spacing_mm, orthogonal."""
        return {
            "shape": list(self.shape),
            "affine_lps": self.affine.tolist(),
            "spacing_mm": [round(s, 6) for s in self.spacing],
            "orthogonal": self.is_orthogonal,
        }

"""What a shape with an exact answer is, and how shapes are combined."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tomosurf.errors import DataError

Points = NDArray[np.float64]
Vector = tuple[float, float, float]
Rotation = tuple[Vector, Vector, Vector]

NO_ROTATION: Rotation = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


@dataclass(frozen=True, slots=True)
class Shape(ABC):
    """A solid in LPS mm whose volume, centroid and signed distance are known in closed form."""

    @property
    @abstractmethod
    def volume(self) -> float:
        """Volume in mm3."""

    @property
    @abstractmethod
    def centroid(self) -> Points:
        """(3,) LPS mm."""

    @property
    @abstractmethod
    def bounds(self) -> Points:
        """(2, 3) LPS mm: lowest and highest corner of a box around the shape, tight unless rotated."""

    @abstractmethod
    def signed_distance(self, points: Points) -> NDArray[np.float64]:
        """Distance in mm from (n, 3) LPS mm points to the surface, negative inside; (n,).

        Euclidean near the surface; never longer than the true distance, and 1-Lipschitz, everywhere.
        """

    def contains(self, points: Points) -> NDArray[np.bool_]:
        """Which of (n, 3) points lie inside; some shapes know it more cheaply than the distance."""
        inside: NDArray[np.bool_] = self.signed_distance(points) <= 0.0
        return inside

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; :func:`tomosurf.testing.phantoms.shape_from_dict` reverses it."""
        return {"kind": type(self).__name__} | {f.name: _plain(getattr(self, f.name)) for f in fields(self)}


def _plain(value: Any) -> Any:
    if isinstance(value, Shape):
        return value.as_dict()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


@dataclass(frozen=True, slots=True)
class Union(Shape):
    """Several solids that do not overlap; volumes add up. Disjointness is the caller's promise."""

    parts: tuple[Shape, ...]

    def __post_init__(self) -> None:
        if not self.parts:
            raise DataError("a union has at least one part")

    @property
    def volume(self) -> float:
        """Sum of the parts'."""
        return sum(part.volume for part in self.parts)

    @property
    def centroid(self) -> Points:
        """Volume-weighted mean of the parts'."""
        moment: Points = np.sum([part.volume * part.centroid for part in self.parts], axis=0)
        return moment / self.volume

    @property
    def bounds(self) -> Points:
        """Box around all parts."""
        boxes = np.array([part.bounds for part in self.parts])
        return np.array([boxes[:, 0].min(axis=0), boxes[:, 1].max(axis=0)])

    def signed_distance(self, points: Points) -> NDArray[np.float64]:
        """The least over the parts; exact, since they are disjoint."""
        return _reduced(np.minimum, [part.signed_distance for part in self.parts], points)

    def contains(self, points: Points) -> NDArray[np.bool_]:
        """In any part."""
        inside = self.parts[0].contains(points)
        for part in self.parts[1:]:
            inside |= part.contains(points)
        return inside


@dataclass(frozen=True, slots=True)
class Difference(Shape):
    """``outer`` without ``inner``, which must lie wholly inside it (a shell, a bone with its canal)."""

    outer: Shape
    inner: Shape

    @property
    def volume(self) -> float:
        """Outer less inner."""
        return self.outer.volume - self.inner.volume

    @property
    def centroid(self) -> Points:
        """From the difference of first moments."""
        moment = self.outer.volume * self.outer.centroid - self.inner.volume * self.inner.centroid
        return moment / self.volume

    @property
    def bounds(self) -> Points:
        """The outer's."""
        return self.outer.bounds

    def signed_distance(self, points: Points) -> NDArray[np.float64]:
        """Exact: the two surfaces don't meet."""
        away = self.inner.signed_distance(points)
        return np.maximum(self.outer.signed_distance(points), -away)


@dataclass(frozen=True, slots=True)
class Placed(Shape):
    """A shape rotated about the origin, then moved: ``p' = rotation @ p + offset`` (rotation by rows)."""

    shape: Shape
    rotation: Rotation = NO_ROTATION
    offset: Vector = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        R = np.array(self.rotation)
        if R.shape != (3, 3) or not np.allclose(R @ R.T, np.eye(3), atol=1e-9):
            raise DataError("a rotation's rows are three orthogonal unit vectors")

    @property
    def volume(self) -> float:
        """Unchanged."""
        return self.shape.volume

    @property
    def centroid(self) -> Points:
        """Moved along."""
        moved: Points = np.array(self.rotation) @ self.shape.centroid + self.offset
        return moved

    @property
    def bounds(self) -> Points:
        """Box around the rotated box: not tight."""
        low, high = self.shape.bounds
        ends = np.stack([low, high])
        corners = np.array(
            [[ends[a, 0], ends[b, 1], ends[c, 2]] for a in (0, 1) for b in (0, 1) for c in (0, 1)]
        )
        moved = corners @ np.array(self.rotation).T + self.offset
        return np.array([moved.min(axis=0), moved.max(axis=0)])

    def signed_distance(self, points: Points) -> NDArray[np.float64]:
        """The shape's own, at the points moved back."""
        return self.shape.signed_distance(self._back(points))

    def contains(self, points: Points) -> NDArray[np.bool_]:
        """The shape's own, at the points moved back."""
        return self.shape.contains(self._back(points))

    def _back(self, points: Points) -> Points:
        local: Points = points - self.offset
        return local if self.rotation == NO_ROTATION else local @ np.array(self.rotation)


def rotation_about(axis: ArrayLike, degrees: float) -> Rotation:
    """The right-handed rotation about ``axis`` through the origin (Rodrigues' formula)."""
    x, y, z = np.asarray(axis, np.float64) / np.linalg.norm(axis)
    K = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    angle = np.radians(degrees)
    R = np.eye(3) + np.sin(angle) * K + (1.0 - np.cos(angle)) * (K @ K)
    return as_rotation(R)


def as_rotation(matrix: ArrayLike) -> Rotation:
    """A 3x3 matrix as nested tuples of floats."""
    rows = [as_vector(row) for row in np.asarray(matrix, np.float64)]
    return (rows[0], rows[1], rows[2])


def as_vector(values: ArrayLike) -> Vector:
    """Three numbers as a tuple of floats."""
    a, b, c = (float(v) for v in np.asarray(values, np.float64))
    return (a, b, c)


def _reduced(
    join: np.ufunc, functions: list[Callable[[Points], NDArray[np.float64]]], points: Points
) -> NDArray[np.float64]:
    """Fold the functions' values one at a time: no (parts, n) array is held."""
    result = functions[0](points)
    for function in functions[1:]:
        result = join(result, function(points))
    return result

"""Round and straight-edged solids with closed forms."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi

import numpy as np
from numpy.typing import NDArray

from tomosurf.errors import DataError
from tomosurf.testing.shape import Points, Shape, Vector

Ring = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Ball(Shape):
    """A ball."""

    centre: Vector
    radius: float

    @property
    def volume(self) -> float:
        """4/3 pi r^3."""
        return 4.0 / 3.0 * pi * self.radius**3

    @property
    def centroid(self) -> Points:
        """The centre."""
        return np.array(self.centre)

    @property
    def bounds(self) -> Points:
        """Tight."""
        return _around(self.centre, (self.radius,) * 3)

    def signed_distance(self, points: Points) -> NDArray[np.float64]:
        """Exact everywhere."""
        distance: NDArray[np.float64] = np.linalg.norm(points - self.centre, axis=1) - self.radius
        return distance


@dataclass(frozen=True, slots=True)
class Ellipsoid(Shape):
    """An ellipsoid along the axes; rotate it with Placed."""

    centre: Vector
    semi_axes: Vector

    @property
    def volume(self) -> float:
        """4/3 pi a b c."""
        a, b, c = self.semi_axes
        return 4.0 / 3.0 * pi * a * b * c

    @property
    def centroid(self) -> Points:
        """The centre."""
        return np.array(self.centre)

    @property
    def bounds(self) -> Points:
        """Tight."""
        return _around(self.centre, self.semi_axes)

    def signed_distance(self, points: Points) -> NDArray[np.float64]:
        """True Euclidean distance everywhere, not the algebraic one."""
        return ellipse_distance(points - self.centre, self.semi_axes)

    def contains(self, points: Points) -> NDArray[np.bool_]:
        """By the quadratic form."""
        return _within(points - self.centre, self.semi_axes)


@dataclass(frozen=True, slots=True)
class EllipticCapsule(Shape):
    """An elliptic cylinder along z of half length h, closed by two half ellipsoids (a, b, c): a torso."""

    centre: Vector
    semi_axes: Vector
    half_length: float

    @property
    def volume(self) -> float:
        """2 pi a b h + 4/3 pi a b c."""
        a, b, c = self.semi_axes
        return 2.0 * pi * a * b * self.half_length + 4.0 / 3.0 * pi * a * b * c

    @property
    def centroid(self) -> Points:
        """The centre."""
        return np.array(self.centre)

    @property
    def bounds(self) -> Points:
        """Tight."""
        a, b, c = self.semi_axes
        return _around(self.centre, (a, b, c + self.half_length))

    def signed_distance(self, points: Points) -> NDArray[np.float64]:
        """Exact outside and beneath the surface; deep inside it may be too short, never too long.

        From the folded point no end is farther than from the point itself.
        """
        return ellipse_distance(self._folded(points), self.semi_axes)

    def contains(self, points: Points) -> NDArray[np.bool_]:
        """By the quadratic form of the folded point."""
        return _within(self._folded(points), self.semi_axes)

    def _folded(self, points: Points) -> Points:
        """Relative to the nearest point of the axis's straight part: the two ends become one ellipsoid."""
        local: Points = points - self.centre
        local[:, 2] = np.maximum(np.abs(local[:, 2]) - self.half_length, 0.0)
        return local


@dataclass(frozen=True, slots=True)
class Capsule(Shape):
    """A cylinder from ``start`` to ``end`` with round ends."""

    start: Vector
    end: Vector
    radius: float

    @property
    def volume(self) -> float:
        """pi r^2 L + 4/3 pi r^3."""
        length = float(np.linalg.norm(np.subtract(self.end, self.start)))
        return pi * self.radius**2 * length + 4.0 / 3.0 * pi * self.radius**3

    @property
    def centroid(self) -> Points:
        """Half way."""
        middle: Points = (np.array(self.start) + np.array(self.end)) / 2.0
        return middle

    @property
    def bounds(self) -> Points:
        """Tight."""
        ends = np.array([self.start, self.end])
        return np.array([ends.min(axis=0) - self.radius, ends.max(axis=0) + self.radius])

    def signed_distance(self, points: Points) -> NDArray[np.float64]:
        """Exact everywhere."""
        return segment_distance(points, self.start, self.end) - self.radius


@dataclass(frozen=True, slots=True)
class Torus(Shape):
    """A ring about z: ``ring`` is the radius of its centre line, ``tube`` that of the tube."""

    centre: Vector
    ring: float
    tube: float

    def __post_init__(self) -> None:
        if not 0.0 < self.tube < self.ring:
            raise DataError("a torus's tube is thinner than its ring")

    @property
    def volume(self) -> float:
        """2 pi^2 R r^2."""
        return 2.0 * pi**2 * self.ring * self.tube**2

    @property
    def centroid(self) -> Points:
        """The centre, which lies outside."""
        return np.array(self.centre)

    @property
    def bounds(self) -> Points:
        """Tight."""
        return _around(self.centre, (self.ring + self.tube, self.ring + self.tube, self.tube))

    def signed_distance(self, points: Points) -> NDArray[np.float64]:
        """Exact everywhere."""
        local = points - self.centre
        radial = np.hypot(local[:, 0], local[:, 1]) - self.ring
        distance: NDArray[np.float64] = np.hypot(radial, local[:, 2]) - self.tube
        return distance


@dataclass(frozen=True, slots=True)
class Box(Shape):
    """A box along the axes with edge lengths ``size``."""

    centre: Vector
    size: Vector

    @property
    def volume(self) -> float:
        """Product of the edges."""
        a, b, c = self.size
        return a * b * c

    @property
    def centroid(self) -> Points:
        """The centre."""
        return np.array(self.centre)

    @property
    def bounds(self) -> Points:
        """Tight."""
        return _around(self.centre, tuple(s / 2.0 for s in self.size))

    def signed_distance(self, points: Points) -> NDArray[np.float64]:
        """Exact everywhere, edges and corners too."""
        beyond = np.abs(points - self.centre) - np.array(self.size) / 2.0
        outside = np.linalg.norm(np.maximum(beyond, 0.0), axis=1)
        distance: NDArray[np.float64] = outside + np.minimum(beyond.max(axis=1), 0.0)
        return distance


@dataclass(frozen=True, slots=True)
class EllipticCylinder(Shape):
    """A cylinder along z with an elliptic section and flat ends."""

    centre: Vector
    semi_axes: tuple[float, float]
    half_height: float

    @property
    def volume(self) -> float:
        """2 pi a b h."""
        return 2.0 * pi * self.semi_axes[0] * self.semi_axes[1] * self.half_height

    @property
    def centroid(self) -> Points:
        """The centre."""
        return np.array(self.centre)

    @property
    def bounds(self) -> Points:
        """Tight."""
        return _around(self.centre, (*self.semi_axes, self.half_height))

    def signed_distance(self, points: Points) -> NDArray[np.float64]:
        """Exact everywhere, the edge too."""
        local = points - self.centre
        return extruded(ellipse_distance(local[:, :2], self.semi_axes), local[:, 2], self.half_height)

    def contains(self, points: Points) -> NDArray[np.bool_]:
        """By the quadratic form."""
        local = points - self.centre
        inside: NDArray[np.bool_] = _within(local[:, :2], self.semi_axes) & (
            np.abs(local[:, 2]) <= self.half_height
        )
        return inside


def extruded(
    section: NDArray[np.float64], height: NDArray[np.float64], half_height: float
) -> NDArray[np.float64]:
    """Distance to a prism about z, from the distance to its section and the height above its middle."""
    beyond = np.abs(height) - half_height
    outside = np.hypot(np.maximum(section, 0.0), np.maximum(beyond, 0.0))
    distance: NDArray[np.float64] = outside + np.minimum(np.maximum(section, beyond), 0.0)
    return distance


def segment_distance(points: Points, start: Vector, end: Vector) -> NDArray[np.float64]:
    """Distance from (n, 3) points to a straight segment."""
    along = np.subtract(end, start)
    offset = points - start
    fraction = np.clip(offset @ along / (along @ along), 0.0, 1.0)
    distance: NDArray[np.float64] = np.linalg.norm(offset - fraction[:, None] * along, axis=1)
    return distance


def ellipse_distance(points: Points, semi_axes: tuple[float, ...]) -> NDArray[np.float64]:
    """Signed Euclidean distance from (n, d) points to an ellipse or ellipsoid about the origin.

    The nearest point is ``e^2 y / (t + e^2)``, t the largest root of ``sum((e y / (t + e^2))^2) = 1``, a
    function that is convex and falls; Newton's method from the left of the root climbs to it without
    overshooting. (D. Eberly, Distance from a Point to an Ellipse, an Ellipsoid, or a Hyperellipsoid.)
    """
    e = np.array(semi_axes)
    excess_axis = e * e - e.min() ** 2
    # Off the planes of symmetry by far less than a rounding error of the result: no pole at the start.
    y = np.maximum(np.abs(points), 1e-12 * e.max())
    s = (e * y - excess_axis).max(axis=1)  # t + e_min^2: near the pole t itself would lose its digits
    for _ in range(60):
        denominator = s[:, None] + excess_axis
        squares = (e * y / denominator) ** 2
        step = (squares.sum(axis=1) - 1.0) / (2.0 * (squares / denominator).sum(axis=1))
        s += step
        if not len(s) or np.abs(step).max() <= 1e-13 * (e * e).max():
            break
    t = s - e.min() ** 2
    distance: NDArray[np.float64] = t * np.linalg.norm(y / (s[:, None] + excess_axis), axis=1)
    return distance


def _within(points: Points, semi_axes: tuple[float, ...]) -> NDArray[np.bool_]:
    """Which (n, d) points lie in an ellipse or ellipsoid about the origin."""
    scaled = points / semi_axes
    inside: NDArray[np.bool_] = np.einsum("ij,ij->i", scaled, scaled) <= 1.0
    return inside


def _around(centre: Vector, reach: tuple[float, ...]) -> Points:
    return np.array([np.subtract(centre, reach), np.add(centre, reach)])

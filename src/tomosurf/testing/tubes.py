"""Bent and branching solids with closed forms: ribs, joints, vessels, vertebrae."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi, sin, sqrt

import numpy as np
from numpy.typing import NDArray

from tomosurf.errors import DataError
from tomosurf.testing.shape import Points, Shape
from tomosurf.testing.solids import Ring, extruded, segment_distance

Arc = tuple[tuple[float, float], float, float, float]
"""Centre (x, y), radius, first and last polar angle in radians (first < last), in the plane z = 0."""


@dataclass(frozen=True, slots=True)
class ArcTube(Shape):
    """A round tube along smoothly joined circular arcs in the plane z = 0, with round ends: a rib.

    Each arc starts where the one before ends, in the same direction, and turns left. A smooth planar tube's
    volume is its section's area times the length of its centre line (Pappus).

    Raises:
        DataError: the arcs don't join smoothly, or the tube is thicker than an arc's radius.
    """

    arcs: tuple[Arc, ...]
    radius: float

    def __post_init__(self) -> None:
        for _, r, first, last in self.arcs:
            if not (self.radius < r and first < last < first + 2.0 * pi):
                raise DataError("an arc turns left, less than once, and its radius exceeds the tube's")
        for before, after in zip(self.arcs, self.arcs[1:], strict=False):
            turn = (after[2] - before[3]) % (2.0 * pi)
            if min(turn, 2.0 * pi - turn) > 1e-9 or not np.allclose(_arc_end(before), _arc_start(after)):
                raise DataError("the arcs of a tube join smoothly")

    @property
    def volume(self) -> float:
        """pi r^2 L + 4/3 pi r^3."""
        length = sum(r * (last - first) for _, r, first, last in self.arcs)
        return pi * self.radius**2 * length + 4.0 / 3.0 * pi * self.radius**3

    @property
    def centroid(self) -> Points:
        """From the first moments of the arcs' tubes and the two half balls."""
        r = self.radius
        moment = np.zeros(3)
        for (x, y), R, first, last in self.arcs:
            out = np.array([sin(last) - sin(first), cos(first) - cos(last)])
            moment[:2] += pi * r**2 * (R * (last - first) * np.array([x, y]) + (R**2 + r**2 / 4.0) * out)
        half = 2.0 / 3.0 * pi * r**3
        start, end = self.arcs[0], self.arcs[-1]
        backwards = np.array([sin(start[2]), -cos(start[2])])
        forwards = np.array([-sin(end[3]), cos(end[3])])
        moment[:2] += half * (_arc_start(start) + 0.375 * r * backwards)
        moment[:2] += half * (_arc_end(end) + 0.375 * r * forwards)
        return moment / self.volume

    @property
    def bounds(self) -> Points:
        """Around the arcs' ends and outermost points."""
        reach: list[Points] = []
        for arc in self.arcs:
            (x, y), R, first, last = arc
            quarters = [q * pi / 2.0 for q in range(-8, 9) if first <= q * pi / 2.0 <= last]
            reach += [
                _arc_start(arc),
                _arc_end(arc),
                *(np.array([x + R * cos(a), y + R * sin(a)]) for a in quarters),
            ]
        low, high = np.min(reach, axis=0), np.max(reach, axis=0)
        box: Points = np.array([[*low, 0.0], [*high, 0.0]]) + np.array([[-self.radius], [self.radius]])
        return box

    def signed_distance(self, points: Points) -> NDArray[np.float64]:
        """Exact everywhere."""
        distance = np.full(len(points), np.inf)
        for arc in self.arcs:
            distance = np.minimum(distance, _arc_distance(points, arc))
        return np.asarray(distance - self.radius)


@dataclass(frozen=True, slots=True)
class Cup(Shape):
    """A spherical shell about the origin's +z side with a round rim: a joint's socket, open towards -z.

    All points within half the thickness of the cap of the sphere of mean radius whose polar angle from +z is
    at most ``opening`` (radians, below pi).
    """

    inner: float
    outer: float
    opening: float

    def __post_init__(self) -> None:
        if not (0.0 < self.inner < self.outer and 0.0 < self.opening < pi):
            raise DataError("a cup's inner radius is below its outer, its opening between 0 and pi")
        if self._rim[0] <= self._rim[2]:
            raise DataError("a cup's rim is wider than its wall is thick")

    @property
    def _rim(self) -> tuple[float, float, float]:
        """Radius and height of the rim's centre line, and half the thickness."""
        mean = (self.inner + self.outer) / 2.0
        return mean * sin(self.opening), mean * cos(self.opening), (self.outer - self.inner) / 2.0

    @property
    def volume(self) -> float:
        """Spherical sector of the shell and half a torus (Pappus)."""
        a, _, r = self._rim
        sector = 2.0 / 3.0 * pi * (1.0 - cos(self.opening)) * (self.outer**3 - self.inner**3)
        return sector + pi**2 * r**2 * (a + 4.0 * r / (3.0 * pi) * cos(self.opening))

    @property
    def centroid(self) -> Points:
        """On the axis, from the first moments of the same two parts."""
        a, b, r = self._rim
        sector = pi / 4.0 * (self.outer**4 - self.inner**4) * sin(self.opening) ** 2
        lean = b * cos(self.opening) - a * sin(self.opening)
        rim = 2.0 * pi * (a * b * pi * r**2 / 2.0 + lean * 2.0 / 3.0 * r**3)
        return np.array([0.0, 0.0, (sector + rim) / self.volume])

    @property
    def bounds(self) -> Points:
        """Tight."""
        a, b, r = self._rim
        wide = self.outer if self.opening >= pi / 2.0 else a + r
        return np.array([[-wide, -wide, b - r], [wide, wide, self.outer]])

    def signed_distance(self, points: Points) -> NDArray[np.float64]:
        """Exact everywhere."""
        a, b, r = self._rim
        across = np.hypot(points[:, 0], points[:, 1])
        along = points[:, 2]
        facing = np.arctan2(across, along) <= self.opening
        to_sphere = np.abs(np.hypot(across, along) - (self.inner + self.outer) / 2.0)
        distance: NDArray[np.float64] = np.where(facing, to_sphere, np.hypot(across - a, along - b)) - r
        return distance


@dataclass(frozen=True, slots=True)
class BallOnStem(Shape):
    """A ball at the origin on a thinner round-ended stem along +z: a femoral head with its neck.

    ``stem`` is the stem's radius and ``length`` the distance from the ball's centre to that of its end.
    """

    radius: float
    stem: float
    length: float

    def __post_init__(self) -> None:
        if not (0.0 < self.stem < self.radius <= self.length):
            raise DataError("a stem is thinner than its ball and ends outside it")

    @property
    def _meeting(self) -> float:
        """Height of the circle where stem and ball meet."""
        return sqrt(self.radius**2 - self.stem**2)

    @property
    def volume(self) -> float:
        """Ball below the meeting circle, stem above it, half a ball at the end."""
        R, r, h = self.radius, self.stem, self._meeting
        beyond = pi * (R - h) ** 2 * (2.0 * R + h) / 3.0
        return 4.0 / 3.0 * pi * R**3 - beyond + pi * r**2 * (self.length - h) + 2.0 / 3.0 * pi * r**3

    @property
    def centroid(self) -> Points:
        """On the axis, from the first moments of the same parts."""
        R, r, h = self.radius, self.stem, self._meeting
        ball = -pi / 4.0 * (R**2 - h**2) ** 2  # the whole ball's moment is zero, less that of its cap
        stem = pi * r**2 * (self.length**2 - h**2) / 2.0
        end = 2.0 / 3.0 * pi * r**3 * (self.length + 0.375 * r)
        return np.array([0.0, 0.0, (ball + stem + end) / self.volume])

    @property
    def bounds(self) -> Points:
        """Tight."""
        R = self.radius
        return np.array([[-R, -R, -R], [R, R, max(R, self.length + self.stem)]])

    def signed_distance(self, points: Points) -> NDArray[np.float64]:
        """Exact outside; inside too, but for a sliver beneath the crease between ball and stem."""
        ball = np.linalg.norm(points, axis=1) - self.radius
        stem = segment_distance(points, (0.0, 0.0, 0.0), (0.0, 0.0, self.length)) - self.stem
        joined: NDArray[np.float64] = np.minimum(ball, stem)
        return joined


@dataclass(frozen=True, slots=True)
class Prism(Shape):
    """An upright prism about z = 0 over polygon rings: a vertebra with its canal.

    The first ring is the outline, further rings are holes inside it; none crosses itself or another.
    """

    rings: tuple[Ring, ...]
    half_height: float

    @property
    def _moments(self) -> tuple[float, Points]:
        """Area of the section and its first moments (x, y), by Green's theorem."""
        area, moment = 0.0, np.zeros(2)
        for number, ring in enumerate(self.rings):
            p = np.array(ring)
            q = np.roll(p, -1, axis=0)
            cross = p[:, 0] * q[:, 1] - q[:, 0] * p[:, 1]
            sign = np.sign(cross.sum()) * (1.0 if number == 0 else -1.0)
            area += float(sign * cross.sum() / 2.0)
            moment += sign * ((p + q) * cross[:, None]).sum(axis=0) / 6.0
        return area, moment

    @property
    def volume(self) -> float:
        """Area of the section (shoelace) times the height."""
        return self._moments[0] * 2.0 * self.half_height

    @property
    def centroid(self) -> Points:
        """That of the section."""
        area, moment = self._moments
        return np.array([*(moment / area), 0.0])

    @property
    def bounds(self) -> Points:
        """Tight."""
        outline = np.array(self.rings[0])
        h = self.half_height
        return np.array([[*outline.min(axis=0), -h], [*outline.max(axis=0), h]])

    def signed_distance(self, points: Points) -> NDArray[np.float64]:
        """Exact everywhere, edges and corners too."""
        section = np.full(len(points), np.inf)
        inside = np.zeros(len(points), bool)
        x, y = points[:, 0], points[:, 1]
        for ring in self.rings:
            for (ax, ay), (bx, by) in zip(ring, ring[1:] + ring[:1], strict=True):
                ex, ey = bx - ax, by - ay
                fraction = np.clip(((x - ax) * ex + (y - ay) * ey) / (ex * ex + ey * ey), 0.0, 1.0)
                section = np.minimum(section, np.hypot(x - ax - fraction * ex, y - ay - fraction * ey))
                if ay != by:  # crossings of the ray towards +x, counted once at shared corners
                    inside ^= ((ay <= y) != (by <= y)) & (x < ax + (y - ay) * ex / ey)
        return extruded(np.where(inside, -section, section), points[:, 2], self.half_height)

    def contains(self, points: Points) -> NDArray[np.bool_]:
        """By the parity of crossings alone."""
        inside = np.zeros(len(points), bool)
        x, y = points[:, 0], points[:, 1]
        for ring in self.rings:
            for (ax, ay), (bx, by) in zip(ring, ring[1:] + ring[:1], strict=True):
                if ay != by:
                    inside ^= ((ay <= y) != (by <= y)) & (x < ax + (y - ay) * (bx - ax) / (by - ay))
        return inside & (np.abs(points[:, 2]) <= self.half_height)


def _arc_start(arc: Arc) -> Points:
    (x, y), r, first, _ = arc
    return np.array([x + r * cos(first), y + r * sin(first)])


def _arc_end(arc: Arc) -> Points:
    (x, y), r, _, last = arc
    return np.array([x + r * cos(last), y + r * sin(last)])


def _arc_distance(points: Points, arc: Arc) -> NDArray[np.float64]:
    """Distance to a circular arc in the plane z = 0, seen from its middle: its two halves are alike."""
    (x, y), r, first, last = arc
    middle, half = (first + last) / 2.0, (last - first) / 2.0
    dx, dy, z = points[:, 0] - x, points[:, 1] - y, points[:, 2]
    along = dx * cos(middle) + dy * sin(middle)
    aside = np.abs(dy * cos(middle) - dx * sin(middle))
    facing = aside * cos(half) <= along * sin(half)
    to_circle = np.sqrt(along * along + aside * aside) - r
    to_end = (along - r * cos(half)) ** 2 + (aside - r * sin(half)) ** 2
    distance: NDArray[np.float64] = np.sqrt(np.where(facing, to_circle * to_circle, to_end) + z * z)
    return distance

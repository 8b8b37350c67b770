"""A branching tree of tubes whose volume is known exactly in spite of its forks."""

from __future__ import annotations

from dataclasses import dataclass
from math import acos, pi, sin, tan

import numpy as np
from numpy.typing import NDArray

from tomosurf.errors import DataError
from tomosurf.testing.shape import Points, Shape, Vector
from tomosurf.testing.solids import segment_distance


@dataclass(frozen=True, slots=True)
class TubeTree(Shape):
    """Straight tubes of one radius along the edges of a tree, with a ball at every node: a vessel tree.

    ``edges`` are pairs of indices into ``nodes``. The tubes that meet at a node lie in one plane, so each
    neighbouring pair is cut at the plane that bisects its angle, and what is cut away is a cylindrical wedge
    (Archimedes' hoof) of volume 2/3 r^3 cot(angle / 2); where two tubes leave more than half a turn
    free, a wedge of the node's ball fills it. Tubes that share no node must not touch: the caller's promise.

    Raises:
        DataError: an edge is shorter than its wedges, or the tubes at a node aren't in one plane.
    """

    nodes: tuple[Vector, ...]
    edges: tuple[tuple[int, int], ...]
    radius: float

    def __post_init__(self) -> None:
        used = np.zeros(len(self.edges))
        for node in range(len(self.nodes)):
            if not self._edges_at(node):
                raise DataError(f"node {node} of the tree has no edge")
            cut = max((self.radius / tan(a / 2.0) for a, *_ in self._sectors(node) if a < pi), default=0.0)
            for edge in self._edges_at(node):
                used[edge] += cut
        if (used > [self._length(edge) for edge in range(len(self.edges))]).any():
            raise DataError("an edge of the tree is shorter than its ends' wedges")

    @property
    def volume(self) -> float:
        """Cylinders less wedges, and the balls' parts that show."""
        return self._moments()[0]

    @property
    def centroid(self) -> Points:
        """From the first moments of the same parts."""
        volume, moment = self._moments()
        return moment / volume

    @property
    def bounds(self) -> Points:
        """Tight."""
        nodes = np.array(self.nodes)
        return np.array([nodes.min(axis=0) - self.radius, nodes.max(axis=0) + self.radius])

    def signed_distance(self, points: Points) -> NDArray[np.float64]:
        """Exact outside; inside too, but for slivers beneath the creases of the forks."""
        distance = np.full(len(points), np.inf)
        for a, b in self.edges:
            distance = np.minimum(distance, segment_distance(points, self.nodes[a], self.nodes[b]))
        return distance - self.radius

    def _length(self, edge: int) -> float:
        a, b = self.edges[edge]
        return float(np.linalg.norm(np.subtract(self.nodes[b], self.nodes[a])))

    def _edges_at(self, node: int) -> list[int]:
        return [number for number, edge in enumerate(self.edges) if node in edge]

    def _directions(self, node: int) -> list[Points]:
        """Unit vectors from ``node`` along its edges."""
        ways = []
        for edge in self._edges_at(node):
            a, b = self.edges[edge]
            along = np.subtract(self.nodes[b if a == node else a], self.nodes[node])
            ways.append(along / np.linalg.norm(along))
        return ways

    def _sectors(self, node: int) -> list[tuple[float, Points, Points]]:
        """Angle between neighbouring tubes around ``node``, and the two directions; none at a leaf."""
        ways = self._directions(node)
        if len(ways) < 2:
            return []
        if len(ways) == 2:
            angle = acos(float(np.clip(ways[0] @ ways[1], -1.0, 1.0)))
            return [(angle, ways[0], ways[1]), (2.0 * pi - angle, ways[1], ways[0])]
        normal = max((np.cross(ways[0], way) for way in ways[1:]), key=lambda n: float(n @ n))
        normal = normal / np.linalg.norm(normal)
        if max(abs(float(normal @ way)) for way in ways) > 1e-9:
            raise DataError(f"the tubes that meet at node {node} aren't in one plane")
        aside = np.cross(normal, ways[0])
        turns = [float(np.arctan2(way @ aside, way @ ways[0])) % (2.0 * pi) for way in ways]
        order = sorted(range(len(ways)), key=lambda n: turns[n])
        return [
            ((turns[after] - turns[before]) % (2.0 * pi), ways[before], ways[after])
            for before, after in zip(order, order[1:] + order[:1], strict=True)
        ]

    def _moments(self) -> tuple[float, Points]:
        """Volume and first moments."""
        volume, moment = 0.0, np.zeros(3)
        for edge, (a, b) in enumerate(self.edges):
            tube = pi * self.radius**2 * self._length(edge)
            volume += tube
            moment += tube * np.add(self.nodes[a], self.nodes[b]) / 2.0
        for node, centre in enumerate(self.nodes):
            more, aside = self._node_part(node)
            volume += more
            moment += more * np.array(centre) + aside
        return volume, moment

    def _node_part(self, node: int) -> tuple[float, Points]:
        """What a node adds to its flat-ended tubes: volume, and first moments about the node."""
        r = self.radius
        ways = self._directions(node)
        if len(ways) == 1:
            return 2.0 / 3.0 * pi * r**3, -pi * r**4 / 4.0 * ways[0]
        volume, moment = 0.0, np.zeros(3)
        for angle, first, last in self._sectors(node):
            if angle < pi:
                slope = 1.0 / tan(angle / 2.0)
                volume -= 4.0 / 3.0 * r**3 * slope
                for way, other in ((first, last), (last, first)):
                    inward = other - (other @ way) * way
                    inward = inward / np.linalg.norm(inward)
                    moment -= pi * r**4 / 8.0 * slope * inward + pi * r**4 / 16.0 * slope**2 * way
            elif angle > pi:
                gap = angle - pi
                volume += 2.0 / 3.0 * r**3 * gap
                middle = first + last
                if np.linalg.norm(middle) > 1e-12:
                    moment -= pi * r**4 / 4.0 * sin(gap / 2.0) * middle / np.linalg.norm(middle)
        return volume, moment

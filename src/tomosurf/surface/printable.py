"""Parts that touch, drawn apart by a controlled gap, so that they come off a printer as parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tomosurf.data.mesh import SurfaceMesh
from tomosurf.errors import ConfigError
from tomosurf.surface.distance import samples, squared_distances
from tomosurf.surface.intersections import self_intersections
from tomosurf.surface.lighter import complex_of
from tomosurf.surface.measure import measure
from tomosurf.surface.thickness import vertex_normals, wall_thickness
from tomosurf.surface.tree import tree_of


@dataclass(frozen=True, slots=True)
class PrintCheck:
    """What a printer's software would stumble over.

    ``crossings`` counts pairs of triangles that meet where they shouldn't, exactly; ``thinnest_mm`` is the least of
    the wall's thickness at all vertices; ``gap_mm`` the least distance to any other part, from vertices and from
    points spread over the area, infinity without one.
    """

    closed: bool
    manifold: bool
    crossings: int
    thinnest_mm: float
    gap_mm: float


def apart(meshes: Sequence[SurfaceMesh], clearance_mm: float) -> tuple[SurfaceMesh, ...]:
    """The same parts with every shared wall moved inwards on both sides, by half of ``clearance_mm`` each.

    A vertex on a wall moves so that it sinks by that much below each of its walls with other parts and slides along
    the part's free surface, which stays where it was. Measure what came out with :func:`print_check`.

    Raises:
        ConfigError: the clearance is below zero or no number.
    """
    if not 0 <= clearance_mm < float("inf"):
        raise ConfigError("a clearance is a number of millimetres, not below zero")
    if not meshes or clearance_mm == 0:
        return tuple(meshes)
    surfaces = complex_of(meshes)
    walls = {frozenset(face) for face in np.sort(surfaces.faces[surfaces.sides[:, 1] > 0], axis=1).tolist()}
    places = {tuple(vertex): n for n, vertex in enumerate(surfaces.vertices.tolist())}
    return tuple(_sunk(mesh, walls, places, clearance_mm / 2) for mesh in meshes)


def _sunk(
    mesh: SurfaceMesh,
    walls: set[frozenset[int]],
    places: dict[tuple[float, ...], int],
    depth: float,
) -> SurfaceMesh:
    """One part with its shared walls moved inwards by ``depth``."""
    numbers = np.array([places[tuple(vertex)] for vertex in mesh.vertices.tolist()])
    shared = np.array([frozenset(face) in walls for face in numbers[mesh.faces].tolist()], bool)
    if not shared.any():
        return mesh
    inner = vertex_normals(mesh.vertices, mesh.faces[shared])
    outer = vertex_normals(mesh.vertices, mesh.faces[~shared])
    # least displacement d with inner . d = -depth and, where there is a free surface, outer . d = 0
    along = np.einsum("ij,ij->i", inner, outer)[:, None]
    ways = inner - along * outer
    squares = np.einsum("ij,ij->i", ways, ways)[:, None]
    moved = np.divide(-depth * ways, squares, out=np.zeros_like(ways), where=squares > 0.05)
    return replace(mesh, vertices=mesh.vertices + moved)


def print_check(meshes: Sequence[SurfaceMesh]) -> tuple[PrintCheck, ...]:
    """One entry a part: soundness, self-intersections found exactly, thinnest wall and narrowest gap."""
    trees = [tree_of(mesh.vertices, mesh.faces) for mesh in meshes]
    checks = []
    for number, mesh in enumerate(meshes):
        measured = measure(mesh)
        points = np.concatenate([mesh.vertices, samples(trees[number].corners)])
        others = [tree for other, tree in enumerate(trees) if other != number]
        gaps = [float(np.sqrt(squared_distances(points, tree).min())) for tree in others]
        thickness = wall_thickness(mesh)
        checks.append(
            PrintCheck(
                measured.closed,
                measured.manifold,
                len(self_intersections(mesh.vertices, mesh.faces)),
                float(thickness.min(initial=np.inf)),
                min(gaps, default=float("inf")),
            )
        )
    return tuple(checks)

"""Parts that touch, drawn apart by a controlled gap, so that they come off a printer as parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.mesh import SurfaceMesh
from tomosurf.errors import ConfigError
from tomosurf.surface.distance import samples, squared_distances
from tomosurf.surface.intersections import self_intersections
from tomosurf.surface.lighter import complex_of
from tomosurf.surface.measure import measure
from tomosurf.surface.thickness import vertex_normals, wall_thickness
from tomosurf.surface.tree import tree_of

STEEP = 0.1
"""Squared sine of the angle between wall and free surface below which a vertex can't slide along the latter."""
THICKNESS = "thickness"
"""Vertex data of printable parts."""
TRIES = 12
"""How often walls are sunk anew where the narrowest gap isn't what was asked for."""
DEEPER = 1.5
"""By how much a vertex may sink more from one time to the next."""
WIDER = 1.05
"""The narrowest gap may be so much wider than asked for, never narrower."""


@dataclass(frozen=True, slots=True)
class PrintCheck:
    """What a printer's software would stumble over.

    ``crossings`` counts pairs of triangles that meet where they shouldn't, exactly; ``thinnest_mm`` is the least
    ``thickness`` of all vertices, infinity where none is known; ``gap_mm`` the least distance to any other part,
    from vertices and from points spread over the area, infinity without one.
    """

    closed: bool
    manifold: bool
    crossings: int
    thinnest_mm: float
    gap_mm: float


def apart(meshes: Sequence[SurfaceMesh], clearance_mm: float) -> tuple[SurfaceMesh, ...]:
    """The same parts with every shared wall moved inwards on both sides, by half of ``clearance_mm`` where flat.

    Walls sink deeper where the gap is narrower, until the narrowest one is between ``clearance_mm`` and ``WIDER``
    times that, or ``TRIES`` times.

    A vertex on a wall moves so that it sinks below each of its walls with other parts and slides along the part's
    free surface, which stays where it was; where both meet at a shallow angle, or the part would meet itself, it
    just sinks. Measure what came out with :func:`print_check`.

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
    depths = [np.full(len(mesh.vertices), clearance_mm / 2) for mesh in meshes]
    wanted = (1 + WIDER) / 2 * clearance_mm
    slides = [np.ones(len(mesh.vertices), bool) for mesh in meshes]
    for _ in range(TRIES):
        parts = tuple(
            _sunk(mesh, walls, places, own, along)
            for mesh, own, along in zip(meshes, depths, slides, strict=True)
        )
        crossing = [_crossing(mesh) & along for mesh, along in zip(parts, slides, strict=True)]
        if any(marks.any() for marks in crossing):
            slides = [along & ~marks for along, marks in zip(slides, crossing, strict=True)]
            continue
        gaps = _gaps(parts)
        narrowest = min(float(gap.min(initial=np.inf)) for gap in gaps)
        if clearance_mm <= narrowest <= WIDER * clearance_mm or narrowest == 0:
            break
        depths = [own * np.clip(wanted / gap, 1.0, DEEPER) for own, gap in zip(depths, gaps, strict=True)]
    return parts


def _crossing(mesh: SurfaceMesh) -> NDArray[np.bool_]:
    """The vertices of triangles that meet others where they shouldn't."""
    marks = np.zeros(len(mesh.vertices), bool)
    marks[mesh.faces[self_intersections(mesh.vertices, mesh.faces).reshape(-1)]] = True
    return marks


def _gaps(meshes: Sequence[SurfaceMesh]) -> list[NDArray[np.float64]]:
    """For each mesh and vertex the least distance to any other mesh, from it and from points on its triangles."""
    trees = [tree_of(mesh.vertices, mesh.faces) for mesh in meshes]
    gaps = []
    for number, (mesh, own) in enumerate(zip(meshes, trees, strict=True)):
        between, triangles = samples(own.corners)
        points = np.concatenate([mesh.vertices, between])
        squares = np.full(len(points), np.inf)
        for other, tree in enumerate(trees):
            if other != number:
                np.minimum(squares, squared_distances(points, tree), out=squares)
        found, more = np.split(np.sqrt(squares), [len(mesh.vertices)])
        for corner in range(3):
            np.minimum.at(found, mesh.faces[own.order[triangles], corner], more)
        gaps.append(found)
    return gaps


def _sunk(
    mesh: SurfaceMesh,
    walls: set[frozenset[int]],
    places: dict[tuple[float, ...], int],
    depths: NDArray[np.float64],
    slides: NDArray[np.bool_],
) -> SurfaceMesh:
    """One part with its shared walls moved inwards, at each vertex by one of ``depths``; not all may slide."""
    numbers = np.array([places[tuple(vertex)] for vertex in mesh.vertices.tolist()])
    shared = np.array([frozenset(face) in walls for face in numbers[mesh.faces].tolist()], bool)
    if not shared.any():
        return mesh
    inner = vertex_normals(mesh.vertices, mesh.faces[shared])
    outer = vertex_normals(mesh.vertices, mesh.faces[~shared])
    depth = depths[:, None]
    # least displacement d with inner . d = -depth and, where there is a free surface, outer . d = 0
    along = np.einsum("ij,ij->i", inner, outer)[:, None]
    ways = inner - along * outer
    squares = np.einsum("ij,ij->i", ways, ways)[:, None]
    moved = np.divide(-depth * ways, squares, out=-depth * inner, where=(squares > STEEP) & slides[:, None])
    return replace(mesh, vertices=mesh.vertices + moved)


def with_thickness(meshes: Sequence[SurfaceMesh]) -> tuple[SurfaceMesh, ...]:
    """The same parts with ``thickness`` (float32, mm; :func:`wall_thickness`) in their vertex data."""
    return tuple(
        replace(mesh, vertex_data={**mesh.vertex_data, THICKNESS: wall_thickness(mesh)}) for mesh in meshes
    )


def print_check(meshes: Sequence[SurfaceMesh]) -> tuple[PrintCheck, ...]:
    """One entry a part: soundness, self-intersections found exactly, thinnest wall and narrowest gap.

    ``meshes`` come from :func:`with_thickness`.
    """
    checks = []
    for mesh, gaps in zip(meshes, _gaps(meshes), strict=True):
        measured = measure(mesh)
        thickness = mesh.vertex_data[THICKNESS]
        thinnest = float(thickness.min(initial=np.inf, where=~np.isnan(thickness)))
        crossings = len(self_intersections(mesh.vertices, mesh.faces))
        gap = float(gaps.min(initial=np.inf))
        checks.append(PrintCheck(measured.closed, measured.manifold, crossings, thinnest, gap))
    return tuple(checks)

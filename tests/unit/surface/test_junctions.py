"""Walls through cubes in which three labels or more meet."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tomosurf.surface.cases import cube
from tomosurf.surface.junctions import (
    MOST_WALLS,
    cut_corners,
    draw,
    junction_count,
    touches_itself,
    wall_count,
)


def labelled_cubes() -> Iterator[NDArray[np.int64]]:
    """Every way to part a cube's corners among labels, with each of them once as background, and without any."""
    parts = [(0,)]
    for _ in range(7):
        parts = [(*part, label) for part in parts for label in range(max(part) + 2)]
    for part in parts:
        for background in range(max(part) + 2):
            labels = np.array(part) + 1
            labels[labels == background + 1] = 0
            yield labels


def test_as_many_walls_are_counted_as_drawn() -> None:
    table, walls = cube(), np.empty((MOST_WALLS, 4), np.int64)
    checked = 0
    for labels in labelled_cubes():
        assert wall_count(labels, table) == draw(labels, table, walls)
        checked += 1
    assert checked > 20_000


def test_walls_end_at_changing_edges_and_at_all_junctions() -> None:
    table, walls, cut = cube(), np.empty((MOST_WALLS, 4), np.int64), np.empty(8, np.int64)
    for labels in labelled_cubes():
        cut_corners(labels, table, cut)
        drawn = set(walls[: draw(labels, table, walls), :2].ravel())
        edges = {n for n, (low, high) in enumerate(table.ends) if labels[low] != labels[high]}
        junctions = {
            12 + 2 * face + n for face in range(6) for n in range(junction_count(labels, face, table))
        }
        assert drawn == edges | junctions


def test_a_structure_touches_itself_where_its_walls_form_several_rings() -> None:
    table, walls = cube(), np.empty((MOST_WALLS, 4), np.int64)
    for labels in labelled_cubes():
        drawn = walls[: draw(labels, table, walls)]
        expected = any(rings(drawn, label) > 1 for label in set(drawn[:, 2:].ravel()) - {0})
        assert touches_itself(drawn, len(drawn)) == expected


def rings(walls: NDArray[np.int64], label: int) -> int:
    """Into how many pieces the walls beside a label fall, by the nodes that they share."""
    pieces: list[set[int]] = []
    for start, stop, right, left in walls.tolist():
        if label in (right, left):
            touching = [piece for piece in pieces if piece & {start, stop}]
            pieces = [piece for piece in pieces if not piece & {start, stop}]
            pieces.append({start, stop}.union(*touching))
    return len(pieces)

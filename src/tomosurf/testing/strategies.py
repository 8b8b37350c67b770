"""Hypothesis strategies for grids in space and for shapes inside them."""

from __future__ import annotations

from itertools import permutations

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from tomosurf.data.geometry import Geometry
from tomosurf.testing.shape import Rotation, as_rotation, as_vector
from tomosurf.testing.solids import Ball


def _floats(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False, allow_infinity=False)


@st.composite
def rotations(draw: st.DrawFn) -> Rotation:
    """Any rotation: by a unit quaternion; shrinks to none."""
    w, x, y, z = np.array([draw(_floats(0.0, 1.0)), *(draw(_floats(-1.0, 1.0)) for _ in range(3))])
    n = w * w + x * x + y * y + z * z
    if n < 1e-3:
        return as_rotation(np.eye(3))
    s = 2.0 / n
    return as_rotation(
        [
            [1 - s * (y * y + z * z), s * (x * y - z * w), s * (x * z + y * w)],
            [s * (x * y + z * w), 1 - s * (x * x + z * z), s * (y * z - x * w)],
            [s * (x * z - y * w), s * (y * z + x * w), 1 - s * (x * x + y * y)],
        ]
    )


@st.composite
def affines(
    draw: st.DrawFn, *, oblique: bool = True, shear: bool = True, spacing: tuple[float, float] = (0.4, 4.0)
) -> NDArray[np.float64]:
    """Index to LPS mm, 4x4, as DICOM can say it: rows at right angles to columns.

    Axes permuted (axial, sagittal, coronal), flipped, of unequal spacing (mm, within ``spacing``), with an
    origin up to 2 m away; ``oblique``: turned freely; ``shear``: the stack leans by up to 30 degrees.
    """
    order = draw(st.sampled_from(list(permutations(range(3)))))
    flips = [draw(st.sampled_from([1.0, -1.0])) for _ in range(3)]
    axes = np.eye(3)[:, list(order)] * flips
    if oblique:
        axes = np.array(draw(rotations())) @ axes
    steps = [draw(_floats(*spacing)) for _ in range(3)]
    columns = axes * steps
    if shear and draw(st.booleans()):
        lean = [draw(_floats(-0.4, 0.4)) for _ in range(2)]
        columns[:, 2] += steps[2] * (lean[0] * axes[:, 0] + lean[1] * axes[:, 1])
    affine = np.eye(4)
    affine[:3, :3] = columns
    affine[:3, 3] = [draw(_floats(-2000.0, 2000.0)) for _ in range(3)]
    return affine


@st.composite
def geometries(
    draw: st.DrawFn,
    *,
    min_shape: int = 3,
    max_shape: int = 24,
    oblique: bool = True,
    shear: bool = True,
    spacing: tuple[float, float] = (0.4, 4.0),
) -> Geometry:
    """Grids of ``min_shape`` to ``max_shape`` voxels a side, not cubic, on any of :func:`affines`."""
    shape = (
        draw(st.integers(min_shape, max_shape)),
        draw(st.integers(min_shape, max_shape)),
        draw(st.integers(min_shape, max_shape)),
    )
    return Geometry(shape, draw(affines(oblique=oblique, shear=shear, spacing=spacing)))


@st.composite
def balls_in(draw: st.DrawFn, geometry: Geometry, *, margin: float = 2.0) -> Ball:
    """Balls that fit into ``geometry`` with ``margin`` voxels around them on every side.

    The grid needs room: at least ``2 * margin + 3`` voxels a side. The largest ball has the radius of the
    smallest half extent between opposite faces; the smallest drawn is half as large.
    """
    inverse = np.linalg.inv(geometry.affine[:3, :3])
    reach = np.linalg.norm(inverse, axis=1)  # voxels along each axis that a ball of radius 1 mm spans
    half = (np.array(geometry.shape) - 1) / 2.0 - margin
    radius = float((half / reach).min()) * draw(_floats(0.5, 1.0))
    room = half - radius * reach
    shift = np.array([draw(_floats(-1.0, 1.0)) for _ in range(3)]) * np.maximum(room, 0.0)
    centre = geometry.to_world([(np.array(geometry.shape) - 1) / 2.0 + shift])[0]
    return Ball(as_vector(centre), radius)


def geometry_and_ball(*, max_shape: int = 32) -> st.SearchStrategy[tuple[Geometry, Ball]]:
    """A grid on any affine, and a ball inside it with at least two voxels around."""
    return geometries(min_shape=16, max_shape=max_shape).flatmap(
        lambda geometry: st.tuples(st.just(geometry), balls_in(geometry))
    )

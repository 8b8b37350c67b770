"""An analytic torso: what the CT sample shows, every structure of which is known in closed form.

The body's frame has its origin in the body's middle, axes as LPS: +x to the patient's left, +y to the back,
+z to the head. It is no anatomy, but it has what makes surfaces hard: a joint gap of 2.4 mm, thin ribs, bone
beside contrast-filled vessels, organs that differ little, two lungs.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import cos, pi, radians, sin

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.geometry import Geometry
from tomosurf.progress import Progress, silent
from tomosurf.testing.phantoms import (
    ArcTube,
    BallOnStem,
    Cup,
    Ellipsoid,
    EllipticCapsule,
    Placed,
    Prism,
    Shape,
    Structure,
    TubeTree,
    Union,
    add,
    rasterise,
)
from tomosurf.testing.shape import NO_ROTATION, Vector, as_rotation, rotation_about

AIR, LUNG, SOFT_TISSUE, VESSEL, BONE = -1000.0, -850.0, 40.0, 230.0, 700.0
"""Hounsfield units."""

MATERIALS = ("lungs", "bone", "vessels", "liver", "spleen", "stomach")
"""The disjoint structures that fill the body's inside; the rest is soft tissue."""

JOINT_GAP = 2.4
"""Width in mm of the gap between femoral head and socket, everywhere: more than the diagonal of a voxel of
1.0 x 1.0 x 1.5 mm, so that no two voxels of bone touch across it."""


def torso(centre: Vector) -> Mapping[str, Structure]:
    """Every structure by name, the body's middle placed at ``centre`` (LPS mm).

    ``skin`` is the whole body and holds all others, which are disjoint. ``bone``, ``column``, ``ribs`` and
    ``lungs`` are unions of the fine structures named after them.
    """
    vertebrae = {f"vertebra_{n + 1}": shape for n, shape in enumerate(_vertebrae())}
    ribs = {f"rib_{side}_{n + 1}": _rib(sign, n) for side, sign in _SIDES for n in range(5)}
    heads = {f"femoral_head_{side}": _joint(sign)[0] for side, sign in _SIDES}
    sockets = {f"socket_{side}": _joint(sign)[1] for side, sign in _SIDES}
    lungs: dict[str, Shape] = {
        "lung_right": Ellipsoid((-52.0, -2.0, 48.0), (30.0, 36.0, 44.0)),
        "lung_left": Ellipsoid((52.0, 0.0, 48.0), (27.0, 36.0, 42.0)),
    }
    bones = vertebrae | ribs | heads | sockets
    unions = {"column": vertebrae, "ribs": ribs, "bone": bones}
    valued: list[tuple[Mapping[str, Shape], float | None]] = [
        ({"skin": EllipticCapsule((0.0, 0.0, 0.0), (112.0, 80.0, 45.0), 72.0)}, None),
        ({"lungs": _union(lungs)} | lungs, LUNG),
        ({name: _union(parts) for name, parts in unions.items()} | bones, BONE),
        ({"vessels": _vessels()}, VESSEL),
        ({"liver": Ellipsoid((-50.0, -8.0, -20.0), (36.0, 26.0, 18.0))}, 110.0),
        ({"spleen": Ellipsoid((58.0, 14.0, -20.0), (20.0, 22.0, 16.0))}, 90.0),
        ({"stomach": Ellipsoid((34.0, -30.0, -22.0), (24.0, 18.0, 14.0))}, 65.0),
    ]
    return {
        name: Structure(name, _moved(shape, centre), value)
        for shapes, value in valued
        for name, shape in shapes.items()
    }


def hounsfield(
    structures: Mapping[str, Structure], geometry: Geometry, progress: Progress = silent
) -> NDArray[np.float32]:
    """The CT image without noise: float32 HU, geometry's shape, Fortran-ordered.

    A voxel that a surface cuts has the mean of what it holds, weighted by volume.
    """
    image = rasterise(structures["skin"].shape, geometry)
    image *= SOFT_TISSUE - AIR
    image += AIR
    fraction = np.empty_like(image)
    for number, name in enumerate(MATERIALS):
        progress("ct-phantom: structures", (number + 1) / (len(MATERIALS) + 1))
        fraction.fill(0.0)
        add(structures[name].shape, geometry, fraction)
        fraction *= (structures[name].value or 0.0) - SOFT_TISSUE
        image += fraction
    progress("ct-phantom: structures", 1.0)
    return image


_SIDES = (("right", -1.0), ("left", 1.0))


def _union(parts: Mapping[str, Shape]) -> Union:
    return Union(tuple(parts.values()))


def _moved(shape: Shape, offset: Vector) -> Shape:
    """Moved by ``offset``; a union's parts one by one, so that it stays a union of placed shapes."""
    if isinstance(shape, Union):
        return Union(tuple(_moved(part, offset) for part in shape.parts))
    if isinstance(shape, Placed):
        x, y, z = np.add(shape.offset, offset).tolist()
        return Placed(shape.shape, shape.rotation, (x, y, z))
    return Placed(shape, NO_ROTATION, offset)


def _vertebrae() -> list[Shape]:
    """Six prisms in a slight curve, so that no end plate is parallel to the slices."""
    section = Prism((_vertebra_outline(), _ellipse((0.0, 22.0), (9.0, 6.5), 28)), half_height=10.0)
    wave = 2.0 * pi / 150.0
    shapes: list[Shape] = []
    for n in range(6):
        z = 27.0 * (n - 2.5)
        y, slope = 32.0 + 1.5 * cos(wave * z), -1.5 * wave * sin(wave * z)
        tilt = rotation_about((1.0, 0.0, 0.0), -float(np.degrees(np.arctan(slope))))
        shapes.append(Placed(section, tilt, (0.0, y, z)))
    return shapes


def _vertebra_outline() -> tuple[tuple[float, float], ...]:
    """Body, pedicles, transverse and spinous process, seen along the column; y to the back."""
    join = 13.0
    from_front = float(np.arccos(join / 20.0))
    angles = np.linspace(from_front, -pi - from_front, 41)
    body = [(20.0 * cos(a), 16.0 * sin(a)) for a in angles]
    left = [(join, 20.0), (34.0, 19.0), (34.0, 26.0), (14.0, 28.0), (4.5, 33.0), (4.5, 41.0)]
    right = [(-x, y) for x, y in left]
    return (*body, *right, *reversed(left))


def _ellipse(
    centre: tuple[float, float], semi_axes: tuple[float, float], count: int
) -> tuple[tuple[float, float], ...]:
    angles = np.linspace(0.0, 2.0 * pi, count, endpoint=False)
    return tuple(
        (centre[0] + semi_axes[0] * cos(a), centre[1] + semi_axes[1] * sin(a)) for a in angles.tolist()
    )


def _rib(side: float, level: int) -> Shape:
    """Three smoothly joined arcs around the chest, sloping down to the front.

    The wide arcs' centres (0, -64) and (0, 64) and the narrow arc's (48, 0) make 3-4-5 triangles, so the
    arcs meet at equal directions.
    """
    corner = float(np.arctan2(64.0, 48.0))
    arcs = (
        ((0.0, 64.0), 130.0, -radians(75.0), -corner),
        ((48.0, 0.0), 50.0, -corner, corner),
        ((0.0, -64.0), 130.0, corner, radians(70.0)),
    )
    mirror = np.diag([side, 1.0, side])  # a half turn about y: the arcs lie in z = 0
    slope = as_rotation(np.array(rotation_about((1.0, 0.0, 0.0), 15.0)) @ mirror)
    return Placed(ArcTube(arcs, 4.5), slope, (0.0, 0.0, 20.0 * level - 8.0))


def _joint(side: float) -> tuple[Shape, Shape]:
    """Head with neck, and the socket around it, a gap of ``JOINT_GAP`` between them."""
    radius, wall = 20.0, 6.0
    centre = (56.0 * side, 0.0, -72.0)
    neck = side * 126.87
    head = BallOnStem(radius, stem=8.0, length=30.0)
    socket = Cup(radius + JOINT_GAP, radius + JOINT_GAP + wall, opening=radians(80.0))
    return (
        Placed(head, rotation_about((0.0, 1.0, 0.0), neck), centre),
        Placed(socket, rotation_about((0.0, 1.0, 0.0), neck + 180.0), centre),
    )


def _vessels() -> TubeTree:
    """A trunk before the column, a forked branch to the front, and two bent legs below."""
    nodes = (
        (0.0, 2.0, 70.0),
        (0.0, 2.0, 20.0),
        (0.0, -34.0, 20.0),
        (18.0, -34.0, 20.0),
        (-18.0, -34.0, 20.0),
        (0.0, 2.0, -38.0),
        (14.0, 2.0, -66.0),
        (-14.0, 2.0, -66.0),
        (14.0, -22.0, -84.0),
        (-14.0, -22.0, -84.0),
    )
    edges = ((0, 1), (1, 2), (2, 3), (2, 4), (1, 5), (5, 6), (5, 7), (6, 8), (7, 9))
    return TubeTree(nodes, edges, radius=6.0)

"""Phantoms with exact answers: shapes, their partial volume, and truth files.

>>> ball = Ball((10.0, 0.0, 5.0), 3.0)
>>> ball.signed_distance(np.array([[10.0, 0.0, 5.0], [10.0, 0.0, 9.0]])).tolist()
[-3.0, 1.0]
>>> shape_from_dict(ball.as_dict()) == ball
True
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomosurf.errors import DataError
from tomosurf.testing.rasterise import add, rasterise
from tomosurf.testing.shape import Difference, Placed, Points, Shape, Union, rotation_about
from tomosurf.testing.solids import (
    Ball,
    Box,
    Capsule,
    Ellipsoid,
    EllipticCapsule,
    EllipticCylinder,
    Torus,
)
from tomosurf.testing.tubes import ArcTube, BallOnStem, Cup, Prism
from tomosurf.testing.vessels import TubeTree

__all__ = [
    "ArcTube",
    "Ball",
    "BallOnStem",
    "Box",
    "Capsule",
    "Cup",
    "Difference",
    "Ellipsoid",
    "EllipticCapsule",
    "EllipticCylinder",
    "Placed",
    "Prism",
    "Shape",
    "Structure",
    "Torus",
    "TubeTree",
    "Union",
    "add",
    "load_truth",
    "rasterise",
    "rotation_about",
    "save_truth",
    "shape_from_dict",
]

SHAPES: Mapping[str, type[Shape]] = MappingProxyType(
    {
        kind.__name__: kind
        for kind in (
            ArcTube,
            Ball,
            BallOnStem,
            Box,
            Capsule,
            Cup,
            Difference,
            Ellipsoid,
            EllipticCapsule,
            EllipticCylinder,
            Placed,
            Prism,
            Torus,
            TubeTree,
            Union,
        )
    }
)
"""Every kind of shape that a truth file may name."""


@dataclass(frozen=True, slots=True)
class Structure:
    """One structure of a phantom: its shape and the value that it has in the image (HU; None if mixed)."""

    name: str
    shape: Shape
    value: float | None = None

    @property
    def volume(self) -> float:
        """Volume in mm3, in closed form."""
        return self.shape.volume

    @property
    def centroid(self) -> Points:
        """(3,) LPS mm, in closed form."""
        return self.shape.centroid

    def signed_distance(self, points: Points) -> NDArray[np.float64]:
        """Distance in mm of (n, 3) LPS mm points to the surface, negative inside; (n,)."""
        return self.shape.signed_distance(points)


def shape_from_dict(data: Mapping[str, Any]) -> Shape:
    """Rebuild a shape from :meth:`Shape.as_dict`.

    Raises:
        DataError: an unknown kind of shape, or fields that don't fit it.
    """
    kind = SHAPES.get(data.get("kind", ""))
    if kind is None:
        raise DataError(f"no shape is of kind {data.get('kind')!r}; known: {', '.join(SHAPES)}")
    try:
        return kind(**{name: _value(value) for name, value in data.items() if name != "kind"})
    except TypeError as error:
        raise DataError(f"the fields of a {kind.__name__} don't fit: {error}") from error


def _value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return shape_from_dict(value)
    if isinstance(value, list):
        return tuple(_value(item) for item in value)
    return value


def save_truth(path: Path, structures: Mapping[str, Structure]) -> None:
    """Write what is known about a phantom as JSON: for each structure its volume, centroid and shape."""
    content = {
        name: {
            "volume_mm3": s.volume,
            "centroid_lps_mm": s.centroid.tolist(),
            "value": s.value,
            "shape": s.shape.as_dict(),
        }
        for name, s in structures.items()
    }
    text = json.dumps({"frame": "LPS mm", "structures": content}, indent=1)
    path.write_text(text + "\n", encoding="utf-8")


def load_truth(path: Path) -> Mapping[str, Structure]:
    """Name to :class:`Structure`, from a file of :func:`save_truth`.

    Raises:
        DataError: it is no truth file.
    """
    try:
        structures = json.loads(path.read_text(encoding="utf-8"))["structures"]
        return MappingProxyType(
            {n: Structure(n, shape_from_dict(s["shape"]), s["value"]) for n, s in structures.items()}
        )
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise DataError(f"{path.name} is no truth file of a phantom") from error

"""What is known of each vertex, as glTF's attributes: application-specific ones, and colours.

Reference: Khronos glTF 2.0 specification, section 3.7.2.1 (names that begin with an underscore are the
application's own; vertex colours are linear) and 3.6.2.4 (rows of four bytes).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.mesh import SurfaceMesh
from tomosurf.data.ramp import UNKNOWN_SRGB, confidence_colours
from tomosurf.errors import ExportError

UNKNOWN = -1.0
"""Stands for NaN, which glTF doesn't allow: nobody knows."""

_FLOAT, _UNSIGNED_BYTE = 5126, 5121


def linear_of(srgb: NDArray[Any]) -> NDArray[np.float64]:
    """Linear 0 to 1 of sRGB 0 to 255 (IEC 61966-2-1)."""
    values = np.asarray(srgb, np.float64) / 255
    linear: NDArray[np.float64] = np.where(
        values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4
    )
    return linear


def attributes_of(mesh: SurfaceMesh, coloured: bool) -> dict[str, NDArray[Any]]:
    """glTF's names to arrays of four bytes a row: each vertex datum as ``_NAME`` in float32, NaN as ``UNKNOWN``.

    ``coloured`` adds ``COLOR_0``: linear RGBA 0 to 255, after the ramp of :mod:`tomosurf.data.ramp`.

    Raises:
        ExportError: a vertex datum isn't one real number a vertex.
    """
    found: dict[str, NDArray[Any]] = {}
    for name, values in sorted(mesh.vertex_data.items()):
        if values.ndim != 1 or values.dtype.kind not in "iuf":
            raise ExportError(
                f"glTF can't hold the vertex data {name!r} ({values.dtype}, {values.ndim} dimensions)"
            )
        single = values.astype("<f4")
        single[~np.isfinite(single)] = UNKNOWN
        found[f"_{name.upper()}"] = single
    if coloured:
        found["COLOR_0"] = _colours(mesh.vertex_data, len(mesh.vertices))
    return found


def accessor_of(name: str, values: NDArray[Any], view: int) -> dict[str, Any]:
    """The accessor of one attribute on buffer view ``view``."""
    if name == "COLOR_0":
        kind = {"componentType": _UNSIGNED_BYTE, "normalized": True, "type": "VEC4"}
    else:
        kind = {"componentType": _FLOAT, "type": "SCALAR"}
    return {**kind, "bufferView": view, "count": len(values)}


def _colours(data: Mapping[str, NDArray[Any]], count: int) -> NDArray[np.uint8]:
    srgb = (
        confidence_colours(data["confidence"]) if "confidence" in data else np.tile(UNKNOWN_SRGB, (count, 1))
    )
    rgba = np.full((count, 4), 255, np.uint8)
    rgba[:, :3] = np.rint(linear_of(srgb) * 255)
    return rgba

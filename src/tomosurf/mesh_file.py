"""Reading back the PLY files that tomosurf writes, with all that they say of each vertex."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tomosurf.data.mesh import SurfaceMesh
from tomosurf.data.segmentation import Segment
from tomosurf.errors import CaseFolderError, DataError

_TYPES = {
    "uchar": "u1",
    "short": "<i2",
    "ushort": "<u2",
    "int": "<i4",
    "uint": "<u4",
    "float": "<f4",
    "double": "<f8",
}
_NOT_DATA = frozenset({"x", "y", "z", "red", "green", "blue"})
_LONGEST_HEADER = 1 << 16


def read_ply(path: Path, segment: Segment) -> SurfaceMesh:
    """The mesh of ``segment`` in a PLY file that :mod:`tomosurf.export.ply` wrote.

    Raises:
        CaseFolderError: another kind of PLY, or a damaged one.
    """
    content = path.read_bytes()
    end = content.find(b"end_header\n", 0, _LONGEST_HEADER)
    lines = content[: max(end, 0)].decode("ascii", "replace").splitlines()
    if end < 0 or lines[:3] != ["ply", "format binary_little_endian 1.0", "comment tomosurf"]:
        raise CaseFolderError(f"{path.name} is no PLY file of tomosurf's")
    try:
        counts = {line.split()[1]: int(line.split()[2]) for line in lines if line.startswith("element ")}
        columns = [line.split()[1:] for line in lines if line.startswith("property ") and "list" not in line]
        records = np.dtype([(name, _TYPES[kind]) for kind, name in columns])
        start = end + len(b"end_header\n")
        vertices = np.frombuffer(content, records, counts["vertex"], start)
        triangles = np.dtype([("count", "u1"), ("corners", "<i4", 3)])
        faces = np.frombuffer(content, triangles, counts["face"], start + vertices.nbytes)
        data = {name: vertices[name].copy() for name in records.names or () if name not in _NOT_DATA}
        places = np.stack([vertices[axis] for axis in "xyz"], axis=1).astype(np.float64)
        return SurfaceMesh(places, np.ascontiguousarray(faces["corners"]), segment, data)
    except (ValueError, KeyError, IndexError, DataError) as error:
        raise CaseFolderError(f"{path.name} is damaged") from error

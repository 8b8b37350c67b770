"""Binary glTF 2.0: one scene with all surfaces, in glTF's own axes and units (metres, Y up).

Reference: Khronos glTF 2.0 specification (ISO/IEC 12113:2022), sections 3.4 (coordinates and units), 3.6
(accessors) and 4 (GLB). The patient's frame maps so that a viewer's default view is the patient's front:
+X left, +Y superior, +Z anterior. That is a rotation, so nothing is mirrored.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.mesh import Scene, SurfaceMesh
from tomosurf.data.segmentation import Segment
from tomosurf.errors import ExportError
from tomosurf.export.exporter import Exporter, refuse_empty_scene
from tomosurf.export.glb_attributes import accessor_of, attributes_of, linear_of
from tomosurf.surface.normals import vertex_normals

LPS_MM_TO_GLTF = np.array(
    [[0.001, 0.0, 0.0, 0.0], [0.0, 0.0, 0.001, 0.0], [0.0, -0.001, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
)
"""x, y, z LPS mm to glTF metres: (x, z, -y) / 1000; acts on columns."""

_WORDS = (
    "lps_mm_to_gltf, 4x4 and row by row, maps patient coordinates (DICOM LPS, mm) to this scene's (metres; "
    "+X left, +Y superior, +Z anterior). Each node's translation is the middle of its mesh, so that single "
    "precision isn't spent on the distance to the scanner's origin: scene = translation + vertex."
)
_ROUGHNESS = 0.6
_FLOAT, _UNSIGNED_INT = 5126, 5125
_VERTEX_TARGET, _INDEX_TARGET = 34962, 34963
_GLB_LIMIT = 2**32 - 1


def write(scene: Scene, path: Path, *, coloured: bool = False) -> None:
    """Write ``scene`` to ``path``: a node, a mesh and a material a segment, smooth normals, uint32 indices.

    The transform stands in the scene's extras, label and code of a segment in its node's extras. Vertex data
    are attributes of the application (``_CONFIDENCE``), float32; ``coloured`` paints by confidence instead of by
    segment.

    Raises:
        ExportError: the scene or one of its meshes is empty, or the file would pass GLB's 4 GiB.
    """
    refuse_empty_scene(scene)
    attributes = [attributes_of(mesh, coloured) for mesh in scene.meshes]
    document, length = _document(scene, attributes)
    if coloured:
        for material in document["materials"]:
            material["pbrMetallicRoughness"]["baseColorFactor"] = [1.0, 1.0, 1.0, 1.0]
    text = json.dumps(document, separators=(",", ":"), sort_keys=True, allow_nan=False).encode("utf-8")
    text += b" " * (-len(text) % 4)
    total = 12 + 8 + len(text) + 8 + length
    if total > _GLB_LIMIT:
        raise ExportError("a GLB file ends at 4 GiB; write fewer or coarser meshes into one scene")
    with path.open("wb") as file:
        file.write(struct.pack("<4sII", b"glTF", 2, total))
        file.write(struct.pack("<I4s", len(text), b"JSON"))
        file.write(text)
        file.write(struct.pack("<I4s", length, b"BIN\0"))
        for mesh in scene.meshes:
            _write_arrays(mesh, file)
        for data in attributes:
            for values in data.values():
                file.write(values.tobytes())


def _document(scene: Scene, attributes: Sequence[Mapping[str, NDArray[Any]]]) -> tuple[dict[str, Any], int]:
    """The JSON part, and the length in bytes of the binary part that it describes."""
    nodes, meshes, materials = [], [], []
    named: list[dict[str, int]] = []
    accessors: list[dict[str, Any]] = []
    views: list[dict[str, Any]] = []
    offset = 0
    for number, mesh in enumerate(scene.meshes):
        nodes.append(_node(mesh, number))
        first = len(accessors)
        own = {"POSITION": first, "NORMAL": first + 1}
        named.append(own)
        primitive = {"attributes": own, "indices": first + 2, "material": number, "mode": 4}
        meshes.append({"name": mesh.segment.name, "primitives": [primitive]})
        materials.append(_material(mesh.segment))
        accessors += _accessors(mesh, len(views))
        lengths = (12 * len(mesh.vertices), 12 * len(mesh.vertices), 12 * len(mesh.faces))
        for length, target in zip(lengths, (_VERTEX_TARGET, _VERTEX_TARGET, _INDEX_TARGET), strict=True):
            views.append({"buffer": 0, "byteOffset": offset, "byteLength": length, "target": target})
            offset += length
    for owners, data in zip(named, attributes, strict=True):
        for name, values in data.items():
            owners[name] = len(accessors)
            accessors.append(accessor_of(name, values, len(views)))
            views.append(
                {"buffer": 0, "byteOffset": offset, "byteLength": values.nbytes, "target": _VERTEX_TARGET}
            )
            offset += values.nbytes
    extras = {
        "lps_mm_to_gltf": LPS_MM_TO_GLTF.reshape(-1).tolist(),
        "coordinates": _WORDS,
    }
    document = {
        "asset": {"version": "2.0", "generator": "tomosurf"},
        "scene": 0,
        "scenes": [{"name": "tomosurf", "nodes": list(range(len(nodes))), "extras": extras}],
        "nodes": nodes,
        "meshes": meshes,
        "materials": materials,
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": offset}],
    }
    return document, offset


def _node(mesh: SurfaceMesh, number: int) -> dict[str, Any]:
    """The node of one segment, placed in the middle of its mesh."""
    segment = mesh.segment
    code = {"scheme": segment.code.scheme, "value": segment.code.value, "meaning": segment.code.meaning}
    return {
        "name": segment.name,
        "mesh": number,
        "translation": _middle(mesh).tolist(),
        "extras": {"label": segment.label, "code": code},
    }


def _material(segment: Segment) -> dict[str, Any]:
    """A dull material in the segment's colour; glTF's factors are linear, colours of segments are sRGB."""
    colour = [*linear_of(np.array(segment.colour)).round(6).tolist(), 1.0]
    surface = {"baseColorFactor": colour, "metallicFactor": 0.0, "roughnessFactor": _ROUGHNESS}
    return {"name": segment.name, "pbrMetallicRoughness": surface, "doubleSided": False}


def _accessors(mesh: SurfaceMesh, view: int) -> list[dict[str, Any]]:
    """Position, normal and index accessors on buffer views ``view``, ``view + 1`` and ``view + 2``."""
    positions = _positions(mesh)
    low, high = positions.min(axis=0), positions.max(axis=0)
    vertex = {"componentType": _FLOAT, "count": len(positions), "type": "VEC3"}
    return [
        {**vertex, "bufferView": view, "min": low.tolist(), "max": high.tolist()},
        {**vertex, "bufferView": view + 1},
        {"bufferView": view + 2, "componentType": _UNSIGNED_INT, "count": mesh.faces.size, "type": "SCALAR"},
    ]


def _write_arrays(mesh: SurfaceMesh, file: BinaryIO) -> None:
    """The arrays of one mesh, in the order of :func:`_accessors`; each is a multiple of four bytes long."""
    file.write(_positions(mesh).tobytes())
    file.write(_normals(mesh).tobytes())
    file.write(mesh.faces.astype("<u4").tobytes())


def _middle(mesh: SurfaceMesh) -> NDArray[np.float64]:
    """The middle of the mesh's box, in glTF metres."""
    middle = (mesh.vertices.min(axis=0) + mesh.vertices.max(axis=0)) / 2
    placed: NDArray[np.float64] = LPS_MM_TO_GLTF[:3, :3] @ middle + LPS_MM_TO_GLTF[:3, 3]
    return placed


def _positions(mesh: SurfaceMesh) -> NDArray[np.float32]:
    """Vertices in glTF metres from the mesh's middle, little-endian float32."""
    middle = (mesh.vertices.min(axis=0) + mesh.vertices.max(axis=0)) / 2
    positions: NDArray[np.float32] = ((mesh.vertices - middle) @ LPS_MM_TO_GLTF[:3, :3].T).astype("<f4")
    return positions


def _normals(mesh: SurfaceMesh) -> NDArray[np.float32]:
    """Unit vertex normals in glTF axes, little-endian float32."""
    normals: NDArray[np.float32] = (vertex_normals(mesh) @ (LPS_MM_TO_GLTF[:3, :3].T * 1000.0)).astype("<f4")
    return normals


EXPORTER = Exporter(suffix=".glb", content="scene", write=write)

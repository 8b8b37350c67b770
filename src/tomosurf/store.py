"""Value objects on disk between two steps of a flow: one uncompressed .npz each, exact, no pickle.

A case without Prefect never needs this; a flow's tasks exchange the paths of these files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.adjacency import Adjacency
from tomosurf.data.budget import ErrorBudget
from tomosurf.data.face import Face
from tomosurf.data.geometry import Geometry
from tomosurf.data.mesh import Scene, SurfaceMesh
from tomosurf.data.segmentation import Code, Doubt, Margin, Segment, Segmentation
from tomosurf.data.survival import Loss
from tomosurf.data.volume import LedgerEntry, Volume
from tomosurf.whole_file import whole_file

Arrays = dict[str, NDArray[Any]]


def save_volume(volume: Volume, path: Path) -> Path:
    """Write ``volume`` to ``path``, atomically; returns ``path``."""
    meta = {
        "modality": volume.modality,
        "unit": volume.unit,
        "ledger": [entry.as_dict() for entry in volume.ledger],
        "series": volume.series,
        "laterality": volume.laterality,
        "phase": volume.phase,
        "head": volume.head,
        **_geometry_meta(volume.geometry),
    }
    arrays = {"array": volume.array, "affine": volume.geometry.affine}
    if volume.padding is not None:
        arrays["padding"] = volume.padding
    return _write(path, meta, arrays)


def load_volume(path: Path) -> Volume:
    """The volume that :func:`save_volume` wrote."""
    meta, arrays = _read(path)
    ledger = tuple(LedgerEntry(e["code"], e["message"], tuple(e["slices"])) for e in meta["ledger"])
    return Volume(
        _geometry(meta, arrays["array"].shape, arrays["affine"]),
        arrays["array"],
        meta["modality"],
        meta["unit"],
        ledger,
        arrays.get("padding"),
        meta["series"],
        meta["laterality"],
        meta["phase"],
        meta["head"],
    )


def save_segmentation(segmentation: Segmentation, path: Path) -> Path:
    """Write ``segmentation``, margins and doubt along, to ``path``, atomically; returns ``path``."""
    meta: dict[str, Any] = {
        "segments": [_segment_meta(segment) for segment in segmentation.segments],
        "margins": sorted(segmentation.margins),
        "protocol": segmentation.protocol,
        "series": segmentation.series,
        "provenance": dict(segmentation.provenance),
        **_geometry_meta(segmentation.geometry),
    }
    arrays: Arrays = {"labels": segmentation.labels, "affine": segmentation.geometry.affine}
    for label, margin in segmentation.margins.items():
        arrays[f"margin_{label}"] = margin.values
        arrays[f"margin_{label}_affine"] = margin.geometry.affine
    if (doubt := segmentation.doubt) is not None:
        meta["doubt"] = {"calibrated": doubt.calibrated, "sources": list(doubt.sources)}
        arrays["doubt"], arrays["doubt_affine"] = doubt.values, doubt.geometry.affine
    return _write(path, meta, arrays)


def load_segmentation(path: Path) -> Segmentation:
    """The segmentation that :func:`save_segmentation` wrote."""
    meta, arrays = _read(path)
    margins = {}
    for label in meta["margins"]:
        values = arrays[f"margin_{label}"]
        margins[label] = Margin(_geometry(meta, values.shape, arrays[f"margin_{label}_affine"]), values)
    return Segmentation(
        _geometry(meta, arrays["labels"].shape, arrays["affine"]),
        arrays["labels"],
        tuple(_segment(entry) for entry in meta["segments"]),
        margins,
        meta["protocol"],
        meta["series"],
        meta["provenance"],
        _doubt(meta, arrays),
    )


def _doubt(meta: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Doubt | None:
    if "doubt" not in meta:
        return None
    geometry = _geometry(meta, arrays["doubt"].shape, arrays["doubt_affine"])
    return Doubt(geometry, arrays["doubt"], meta["doubt"]["calibrated"], tuple(meta["doubt"]["sources"]))


def save_scene(scene: Scene, path: Path) -> Path:
    """Write the meshes of ``scene`` to ``path``, atomically; returns ``path``."""
    arrays: Arrays = {}
    entries = []
    for number, mesh in enumerate(scene.meshes):
        arrays[f"{number}_vertices"], arrays[f"{number}_faces"] = mesh.vertices, mesh.faces
        arrays.update({f"{number}_data_{name}": data for name, data in mesh.vertex_data.items()})
        error = None if mesh.error is None else mesh.error.as_dict()
        about = {"segment": _segment_meta(mesh.segment), "vertex_data": sorted(mesh.vertex_data)}
        entries.append({**about, "error": error})
    losses = [loss.as_dict() for loss in scene.losses]
    meta: dict[str, Any] = {"meshes": entries, "geometry": None, "losses": losses}
    meta["faces"] = [face.as_dict() for face in scene.faces]
    meta["adjacency"] = [pair.as_dict() for pair in scene.adjacency]
    if scene.geometry is not None:
        meta["geometry"] = {"shape": list(scene.geometry.shape), **_geometry_meta(scene.geometry)}
        arrays["affine"] = scene.geometry.affine
    return _write(path, meta, arrays)


def load_scene(path: Path) -> Scene:
    """The scene that :func:`save_scene` wrote."""
    meta, arrays = _read(path)
    meshes = tuple(
        SurfaceMesh(
            arrays[f"{number}_vertices"],
            arrays[f"{number}_faces"],
            _segment(entry["segment"]),
            {name: arrays[f"{number}_data_{name}"] for name in entry["vertex_data"]},
            None if entry["error"] is None else ErrorBudget.from_dict(entry["error"]),
        )
        for number, entry in enumerate(meta["meshes"])
    )
    grid = meta["geometry"]
    geometry = None if grid is None else _geometry(grid, tuple(grid["shape"]), arrays["affine"])
    losses = tuple(Loss.from_dict(loss) for loss in meta["losses"])
    faces = tuple(Face(**face) for face in meta["faces"])
    return Scene(meshes, geometry, losses, faces, tuple(Adjacency(**pair) for pair in meta["adjacency"]))


def _geometry_meta(geometry: Geometry) -> dict[str, str]:
    return {"frame_of_reference_uid": geometry.frame_of_reference_uid}


def _geometry(meta: Mapping[str, Any], shape: tuple[int, ...], affine: NDArray[Any]) -> Geometry:
    return Geometry((shape[0], shape[1], shape[2]), affine, meta["frame_of_reference_uid"])


def _segment_meta(segment: Segment) -> dict[str, Any]:
    code = segment.code
    return {
        "label": segment.label,
        "name": segment.name,
        "code": {"value": code.value, "meaning": code.meaning, "scheme": code.scheme},
        "colour": list(segment.colour),
        "role": segment.role,
    }


def _segment(meta: Mapping[str, Any]) -> Segment:
    red, green, blue = meta["colour"]
    return Segment(meta["label"], meta["name"], Code(**meta["code"]), (red, green, blue), meta["role"])


def _write(path: Path, meta: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Path:
    text = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    with whole_file(path) as partial:
        np.savez(partial, meta=text, **arrays)  # type: ignore[arg-type]
    return path


def _read(path: Path) -> tuple[dict[str, Any], Arrays]:
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    meta: dict[str, Any] = json.loads(arrays.pop("meta").tobytes())
    return meta, arrays

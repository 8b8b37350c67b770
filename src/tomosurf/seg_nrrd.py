"""3D Slicer's .seg.nrrd: a label map, or several layers of one, with names, colours and codes of its segments.

Reference: 3D Slicer, Developer guide, Segmentations, "Segmentation file (.seg.nrrd)".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomosurf import itk_file
from tomosurf.data.segmentation import Code, Segment, Segmentation
from tomosurf.errors import InputRefused
from tomosurf.overlap import LabelMap
from tomosurf.segment.model.naming import named_segments

SUFFIX = ".seg.nrrd"


@dataclass(frozen=True, slots=True)
class _Entry:
    """One segment as the header describes it."""

    name: str
    value: int
    layer: int
    colour: tuple[int, int, int] | None
    code: Code | None


def read(path: Path) -> Segmentation:
    """The segments of a .seg.nrrd file; those in several layers are put into one label map when none overlap.

    Names become file names; values that no segment describes are named ``label_<n>``.

    Raises:
        InputRefused: unreadable, no grid in space, or segments overlap.
    """
    image = itk_file.read(path)
    for layer in image.layers:
        if layer.dtype.kind not in "iu" or layer.min() < 0 or layer.max() > 65535:
            raise InputRefused("unreadable_file", "its voxels are no labels", files=(path.name,))
    return _segmentation(_entries(image.words, image.layers), image, path.name)


def _entries(words: dict[str, str], layers: Sequence[NDArray[Any]]) -> list[_Entry]:
    """The header's segments in their order, and one for each value that it doesn't describe."""
    numbers = sorted({int(found[1]) for key in words if (found := re.match(r"Segment(\d+)_", key))})
    entries = []
    for number in numbers:
        about = {key.split("_", 1)[1]: words[key] for key in words if key.startswith(f"Segment{number}_")}
        layer = _whole(about.get("Layer"), number if len(layers) > 1 else 0)
        value = _whole(about.get("LabelValue"), 1 if len(layers) > 1 else number + 1)
        name = about.get("Name") or about.get("ID", "")
        entries.append(_Entry(name, value, layer, _colour(about.get("Color")), _code(about.get("Tags", ""))))
    known = {(entry.layer, entry.value) for entry in entries}
    for layer, values in enumerate(layers):
        for value in np.unique(values).tolist():
            if value and (layer, value) not in known:
                entries.append(_Entry(f"label_{value}", int(value), layer, None, None))
    return entries


def _segmentation(entries: list[_Entry], image: itk_file.ItkImage, file: str) -> Segmentation:
    values = [entry.value for entry in entries]
    unique = len(set(values)) == len(values) and min(values, default=1) >= 1
    labels = values if unique else list(range(1, len(entries) + 1))
    named = named_segments((label, entry.name) for label, entry in zip(labels, entries, strict=True))
    segments = tuple(_told(spec.segment(), entry) for spec, entry in zip(named, entries, strict=True))
    layers, geometry = image.layers, image.geometry
    whole = LabelMap(geometry.shape, {s.label: s.name for s in segments}, file)
    for segment, entry in zip(segments, entries, strict=True):
        if not 0 <= entry.layer < len(layers):
            raise InputRefused("unreadable_file", "a segment lies in a layer that isn't there", files=(file,))
        whole.add(segment.label, layers[entry.layer] == entry.value)
    array = whole.finished()
    if not array.any():
        raise InputRefused("no_image", "the label map is empty", files=(file,))
    return Segmentation(geometry, array, segments, provenance={"method": "imported", "format": "seg.nrrd"})


def _told(segment: Segment, entry: _Entry) -> Segment:
    """``segment`` with the colour and code that the file gives."""
    colour = entry.colour or segment.colour
    return replace(segment, colour=colour, code=entry.code or segment.code)


def _whole(text: str | None, otherwise: int) -> int:
    return int(text) if text is not None and re.fullmatch(r"\d{1,5}", text.strip()) else otherwise


def _colour(text: str | None) -> tuple[int, int, int] | None:
    """ "0.5 0.2 1" as sRGB 0 to 255."""
    parts = [float(part) for part in (text or "").split() if re.fullmatch(r"[0-9.]+(e-?\d+)?", part)]
    if len(parts) != 3 or not all(0 <= part <= 1 for part in parts):
        return None
    red, green, blue = (round(part * 255) for part in parts)
    return red, green, blue


def _code(tags: str) -> Code | None:
    """The type's code among the tags: ``TerminologyEntry:context~category~SCT^39607008^Lung~...``."""
    found = re.search(r"TerminologyEntry:[^~|]*~[^~|]*~SCT\^(\d{4,18})\^([\x20-\x7b\x7d]{1,64}?)~", tags)
    return Code(found[1], found[2]) if found and "^" not in found[2] else None

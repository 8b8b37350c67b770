"""3D Slicer's segmentations, written as Slicer writes them: header by hand, voxels raw."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from tomosurf.errors import InputRefused
from tomosurf.image_file import read_labels

TAGS = (
    "Segmentation.Status:inprogress|TerminologyEntry:Segmentation category and type - General Anatomy list"
    "~SCT^123037004^Anatomical Structure~SCT^10200004^Liver~^^~Anatomic codes - DICOM master list~^^~^^|"
)


def write(path: Path, layers: list[np.ndarray], words: dict[str, str]) -> Path:
    """Layers of (ni, nj, nk) uint8 as NRRD; several of them are interleaved, as kinds "list" says."""
    array = np.stack(layers) if len(layers) > 1 else layers[0]
    several = len(layers) > 1
    sizes = " ".join(map(str, array.shape))
    header = [
        "NRRD0004",
        "type: unsigned char",
        f"dimension: {array.ndim}",
        "space: left-posterior-superior",
        f"sizes: {sizes}",
        f"space directions: {'none ' if several else ''}(0,0.8,0) (-0.5,0,0) (0,0,2.5)",
        f"kinds: {'list ' if several else ''}domain domain domain",
        "endian: little",
        "encoding: gzip",
        "space origin: (10,-20,300)",
        *(f"{key}:={value}" for key, value in words.items()),
        "",
        "",
    ]
    path.write_bytes("\n".join(header).encode() + gzip.compress(array.tobytes(order="F")))
    return path


def about(number: int, name: str, value: int, layer: int, **more: str) -> dict[str, str]:
    start = f"Segment{number}_"
    words = {"ID": f"Segment_{number}", "Name": name, "LabelValue": str(value), "Layer": str(layer), **more}
    return {start + key: text for key, text in words.items()}


def box(low: int, high: int, value: int = 1) -> np.ndarray:
    array = np.zeros((7, 6, 5), np.uint8)
    array[low:high, 1:4, 1:4] = value
    return array


def test_names_colours_codes_and_place(tmp_path: Path) -> None:
    words = {
        **about(0, "Liver lobe (left)", 3, 0, Color="1 0.5 0", Tags=TAGS),
        **about(1, "Größe", 7, 0),
    }
    found = read_labels(write(tmp_path / "a.seg.nrrd", [box(1, 3, 3) + box(4, 6, 7)], words))
    first, second = found.segments
    assert (first.label, first.name, first.colour) == (3, "liver_lobe_left", (255, 128, 0))
    assert (first.code.scheme, first.code.value, first.code.meaning) == ("SCT", "10200004", "Liver")
    assert (second.label, second.name) == (7, "grosse") or second.name.startswith("gr")
    assert found.geometry.to_world([[2, 1, 1]])[0] == pytest.approx([9.5, -18.4, 302.5])
    assert np.array_equal(found.labels == 3, box(1, 3) == 1)


def test_layers_that_do_not_overlap_become_one_label_map(tmp_path: Path) -> None:
    words = {**about(0, "a", 1, 0), **about(1, "b", 1, 1)}
    found = read_labels(write(tmp_path / "a.seg.nrrd", [box(1, 3), box(4, 6)], words))
    assert [(s.name, s.label) for s in found.segments] == [("a", 1), ("b", 2)]
    assert np.array_equal(found.labels, box(1, 3) + 2 * box(4, 6))


def test_overlapping_layers_are_refused(tmp_path: Path) -> None:
    words = {**about(0, "a", 1, 0), **about(1, "b", 2, 1)}
    with pytest.raises(InputRefused, match=r"a and b \(9 voxels\)") as refused:
        read_labels(write(tmp_path / "a.seg.nrrd", [box(1, 4), box(3, 6, 2)], words))
    assert refused.value.code == "overlapping_segments"


def test_a_value_that_no_segment_describes_keeps_its_number(tmp_path: Path) -> None:
    found = read_labels(write(tmp_path / "a.seg.nrrd", [box(1, 3, 1) + box(4, 6, 9)], about(0, "a", 1, 0)))
    assert [(s.name, s.label) for s in found.segments] == [("a", 1), ("label_9", 9)]


def test_a_layer_that_is_not_there_is_refused(tmp_path: Path) -> None:
    words = {**about(0, "a", 1, 0), **about(1, "b", 1, 4)}
    with pytest.raises(InputRefused, match="layer"):
        read_labels(write(tmp_path / "a.seg.nrrd", [box(1, 3)], words))


def test_an_empty_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match="empty"):
        read_labels(write(tmp_path / "a.seg.nrrd", [np.zeros((7, 6, 5), np.uint8)], about(0, "a", 1, 0)))

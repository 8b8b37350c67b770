"""Small labelled data sets of two balls, written in each registered form; what is true of them is known."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from tomosurf.data.geometry import Geometry
from tomosurf.data.segmentation import Code, Segment, Segmentation
from tomosurf.data.volume import Volume
from tomosurf.export.nifti import write_labels, write_volume
from tomosurf.testing.phantoms import Ball

NAMES = ("case_1", "case_2", "case_3")
STRUCTURES = {"large": 1, "small": 2}
CODE = Code("ball", "Ball", "99TEST")


def grid(number: int = 1) -> Geometry:
    """An oblique grid with unequal steps, another for each case."""
    angle = 0.1 * number
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn * (1.0, 1.25, 1.5)
    affine[:3, 3] = turn @ (-12.0, -12.0, -12.0)
    return Geometry((25, 20, 17), affine)


def labels(geometry: Geometry, shift: float = 0.0) -> np.ndarray:
    """A ball of 6 mm and one of 4 mm, both ``shift`` mm farther to the left."""
    index = np.argwhere(np.ones(geometry.shape, bool))
    points = geometry.to_world(index)
    drawn = np.zeros(geometry.shape, np.uint8, order="F")
    for label, ball in ((1, Ball((-4.0 + shift, -2.0, 0.0), 6.0)), (2, Ball((6.0 + shift, 4.0, 2.0), 4.0))):
        drawn[(ball.signed_distance(points) < 0).reshape(geometry.shape)] = label
    return drawn


def write_map(path: Path, drawn: np.ndarray, geometry: Geometry) -> Path:
    """A label map file; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    segments = tuple(Segment(n, name, CODE, (200, 200, 200)) for name, n in STRUCTURES.items())
    write_labels(Segmentation(geometry, drawn, segments), path)
    return path


def write_image(path: Path, number: int = 1) -> Path:
    """The image of a case: balls and noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(number).normal(0, 5, grid(number).shape)
    values = np.asfortranarray(noise + 100 * (labels(grid(number)) > 0), np.float32)
    write_volume(Volume(grid(number), values, "MR"), path)
    return path


def decathlon(folder: Path) -> Path:
    """imagesTr, labelsTr and the decathlon's dataset.json."""
    entries = []
    for number, name in enumerate(NAMES, 1):
        write_image(folder / "imagesTr" / f"{name}.nii.gz", number)
        write_map(folder / "labelsTr" / f"{name}.nii.gz", labels(grid(number)), grid(number))
        entries.append({"image": f"./imagesTr/{name}.nii.gz", "label": f"./labelsTr/{name}.nii.gz"})
    content = {"name": "Balls", "modality": {"0": "MRI"}, "training": entries}
    told = {"0": "background", **{str(n): name for name, n in STRUCTURES.items()}}
    (folder / "dataset.json").write_text(json.dumps({**content, "labels": told}))
    return folder


def nnunet_raw(folder: Path) -> Path:
    """Images with _0000, labels by name to number."""
    for number, name in enumerate(NAMES, 1):
        write_image(folder / "imagesTr" / f"{name}_0000.nii.gz", number)
        write_map(folder / "labelsTr" / f"{name}.nii.gz", labels(grid(number)), grid(number))
    content = {"channel_names": {"0": "T1"}, "file_ending": ".nii.gz", "numTraining": 3}
    (folder / "dataset.json").write_text(json.dumps({**content, "labels": {"background": 0, **STRUCTURES}}))
    return folder


def folder_pair(folder: Path) -> Path:
    """images/ and labels/, names in labels.json."""
    for number, name in enumerate(NAMES, 1):
        write_image(folder / "images" / f"{name}.nii.gz", number)
        write_map(folder / "labels" / f"{name}.nii.gz", labels(grid(number)), grid(number))
    (folder / "labels.json").write_text(json.dumps({str(n): name for name, n in STRUCTURES.items()}))
    (folder / "dataset.json").write_text(json.dumps({"modality": "MR"}))
    return folder


def totalsegmentator(folder: Path) -> Path:
    """A folder a case, a mask a structure."""
    for number, name in enumerate(NAMES, 1):
        write_image(folder / name / "mri.nii.gz", number)
        drawn = labels(grid(number))
        for structure, label in STRUCTURES.items():
            mask = np.asfortranarray(drawn == label, np.uint8)
            write_map(folder / name / "segmentations" / f"{structure}.nii.gz", mask, grid(number))
    return folder


def monai_datalist(folder: Path) -> Path:
    """A JSON file that lists training and validation."""
    entries = []
    for number, name in enumerate(NAMES, 1):
        write_image(folder / "data" / f"{name}.nii.gz", number)
        write_map(folder / "data" / f"{name}_label.nii.gz", labels(grid(number)), grid(number))
        entries.append({"image": f"data/{name}.nii.gz", "label": f"data/{name}_label.nii.gz", "fold": number})
    told = {str(n): name for name, n in STRUCTURES.items()}
    content = {"modality": "MR", "labels": told, "training": entries[:2], "validation": entries[2:]}
    (folder / "datalist.json").write_text(json.dumps(content))
    return folder


WRITERS: Mapping[str, Callable[[Path], Path]] = {
    "decathlon": decathlon,
    "nnunet-raw": nnunet_raw,
    "folder-pair": folder_pair,
    "totalsegmentator": totalsegmentator,
    "monai-datalist": monai_datalist,
}


def predictions(folder: Path, shift: float = 0.0, names: tuple[str, ...] = NAMES) -> Path:
    """Label maps named like the cases, ``shift`` mm beside the truth."""
    for number, name in enumerate(NAMES, 1):
        if name in names:
            write_map(folder / f"{name}.nii.gz", labels(grid(number), shift), grid(number))
    (folder / "labels.json").write_text(json.dumps({str(n): name for name, n in STRUCTURES.items()}))
    return folder

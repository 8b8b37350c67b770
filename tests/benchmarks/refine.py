"""Clean-up: largest component of each label and its cavities, against what people use instead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.harness import Figure, main, measure
from tomosurf.config import RefineRule
from tomosurf.data.geometry import Geometry
from tomosurf.data.segmentation import Code, Segment, Segmentation
from tomosurf.refine.refine import refine

SHAPE = (384, 384, 192)
RULES = {f"s{label}": RefineRule(keep=1, fill_holes="volume") for label in (1, 2, 3, 4)}


def label_map() -> NDArray[np.uint8]:
    """Four balls, each with a cavity and a hundred crumbs around it."""
    rng = np.random.default_rng(5)
    labels = np.zeros(SHAPE, np.uint8, order="F")
    centres = [(100, 100, 96), (280, 100, 96), (100, 280, 96), (280, 280, 96)]
    grid = np.ogrid[tuple(slice(0, n) for n in SHAPE)]
    for label, centre in enumerate(centres, 1):
        squared = sum((axis - c) ** 2 for axis, c in zip(grid, centre, strict=True))
        labels[(squared < 70**2) & (squared > 20**2)] = label
        for i, j, k in rng.integers((-85, -85, -85), (85, 85, 85), (100, 3)) + centre:
            labels[i : i + 2, j : j + 2, k : k + 2] = label
    return labels


def with_simpleitk(labels: NDArray[np.uint8]) -> None:
    import SimpleITK

    image = SimpleITK.GetImageFromArray(labels.T)
    for label in range(1, 5):
        components = SimpleITK.RelabelComponent(
            SimpleITK.ConnectedComponent(image == label), sortByObjectSize=True
        )
        SimpleITK.GetArrayFromImage(SimpleITK.BinaryFillhole(components == 1))


def with_scipy(labels: NDArray[np.uint8]) -> None:
    from scipy import ndimage

    for label in range(1, 5):
        numbered, _ = ndimage.label(labels == label)
        ndimage.binary_fill_holes(numbered == np.bincount(numbered.ravel())[1:].argmax() + 1)


def with_monai(labels: NDArray[np.uint8]) -> None:
    from monai.transforms import FillHoles, KeepLargestConnectedComponent

    kept: Any = KeepLargestConnectedComponent(applied_labels=[1, 2, 3, 4])(labels[None])
    FillHoles(applied_labels=[1, 2, 3, 4])(kept)


def figures() -> Sequence[Figure]:
    labels = label_map()
    segments = tuple(Segment(n, f"s{n}", Code("1", "x"), (0, 0, 0)) for n in range(1, 5))
    segmentation = Segmentation(Geometry(SHAPE, np.eye(4)), labels, segments)
    ours = measure(lambda: refine(segmentation, RULES))
    what = "largest component and cavities of 4 labels, 384x384x192"
    peers = {"SimpleITK": with_simpleitk, "SciPy": with_scipy, "MONAI": with_monai}
    return [
        Figure(what, ours, measure(lambda run=run: run(labels), repeats=1, warmup=0), name, goal=1.0)
        for name, run in peers.items()
    ]


if __name__ == "__main__":
    raise SystemExit(main("refine", figures))

"""How well an atlas lies over a head, and whether the head looks as T1 does: numbers, no judgement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomosurf.segment.localise.atlas import Atlas
from tomosurf.segment.localise.head import Head
from tomosurf.segment.localise.register import FINE_MM, Placement

CERTAIN = 0.8
"""Probability from which a block of the atlas counts as one tissue."""

LITTLE = 0.25
"""Probability of grey and white matter together below which a block of the brain counts as fluid."""


@dataclass(frozen=True, slots=True)
class Quality:
    """Numbers that gates are held against.

    Args:
        information: mutual information of atlas and head near the brain, nats.
        coverage: share of the atlas' brain and rim that lies in the image.
        agreement: share of the starts that ended at the same place.
        tilt_degrees: angle by which the head is turned against the patient's frame.
        scales: the three principal scales from atlas to head.
        shear: largest cosine between two of the atlas' axes in the head.
        white_over_grey, grey_over_fluid: differences of the tissues' mean intensities, in standard deviations of
            all brain. Both are above 0 in T1 alone.
        overlap: Dice of what is bright enough for brain matter near the brain, and the atlas' brain matter.
    """

    information: float
    coverage: float
    agreement: float
    tilt_degrees: float
    scales: tuple[float, float, float]
    shear: float
    white_over_grey: float
    grey_over_fluid: float
    overlap: float

    def as_dict(self) -> dict[str, Any]:
        """Plain values, rounded for a manifest."""
        plain = {name: round(getattr(self, name), 4) for name in self.__slots__ if name != "scales"}
        return plain | {"scales": [round(scale, 4) for scale in self.scales]}


def quality_of(atlas: Atlas, head: Head, placement: Placement) -> Quality:
    """Measure ``placement``; tissues that the image doesn't show give contrasts and an overlap of 0."""
    level = atlas.at(round(FINE_MM / atlas.geometry.spacing[0]))
    image = head.coarser(round(FINE_MM / head.geometry.spacing[0]))
    places = placement.to_head(level.geometry.to_world(np.argwhere(level.near)))
    values, measured = _read(image, places)
    grey, white, brain = level.grey[level.near], level.white[level.near], level.brain[level.near]
    tissues = (white > CERTAIN, grey > CERTAIN, brain & (grey + white < LITTLE))
    means = [
        float(values[tissue & measured].mean()) if (tissue & measured).any() else None for tissue in tissues
    ]
    spread = float(values[brain & measured].std()) if (brain & measured).any() else 0.0
    white_mean, grey_mean, fluid_mean = means
    if white_mean is None or grey_mean is None or fluid_mean is None or not spread > 0:
        white_over_grey = grey_over_fluid = overlap = 0.0
    else:
        white_over_grey = (white_mean - grey_mean) / spread
        grey_over_fluid = (grey_mean - fluid_mean) / spread
        bright = values[measured] > (grey_mean + fluid_mean) / 2
        overlap = _dice(bright, (grey + white)[measured] > 1 / 2)
    scales = np.linalg.svd(placement.matrix)[1]
    axes = placement.matrix / np.linalg.norm(placement.matrix, axis=0)
    cosine = (np.trace(placement.rotation) - 1) / 2
    return Quality(
        information=placement.information,
        coverage=placement.coverage,
        agreement=placement.agreeing / placement.starts if placement.starts else 0.0,
        tilt_degrees=float(np.rad2deg(np.arccos(np.clip(cosine, -1, 1)))),
        scales=(float(scales[0]), float(scales[1]), float(scales[2])),
        shear=float(np.abs(axes.T @ axes - np.eye(3)).max()),
        white_over_grey=white_over_grey,
        grey_over_fluid=grey_over_fluid,
        overlap=overlap,
    )


def _read(head: Head, places: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(n,) values, trilinear, and whether the head was measured there."""
    from scipy.ndimage import map_coordinates

    index = head.geometry.to_index(places).T
    values = map_coordinates(head.values.astype(np.float64), index, order=1)
    return values, map_coordinates(head.measured.astype(np.float64), index, order=1) > 1 - 1e-6


def _dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    total = int(one.sum()) + int(other.sum())
    return 2 * int((one & other).sum()) / total if total else 0.0

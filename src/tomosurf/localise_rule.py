"""How a network's boxes are found in a whole head, and what a plausible answer looks like: numbers with units."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tomosurf.frozen import Frozen

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class Gates(Frozen):
    """Bounds of what is believed.

    The first group is held against the atlas as it lies over the head; where one fails the series is refused. The
    second is held against what was found, which is shown and marked as not for use.

    Args:
        largest_voxel_mm: longest edge of a voxel; thicker slices don't show the structure.
        least_information_nats: mutual information of atlas and head near the brain.
        least_coverage: share of the atlas' brain that lies in the image.
        least_box_coverage: share of each side's box that lies in the image.
        least_agreement: share of the starts that end where the best one does.
        most_tilt_degrees: turn of the head against the patient's frame.
        scale: least and largest of the three principal scales from atlas to head.
        most_shear: cosine between two of the atlas' axes in the head.
        least_white_over_grey, least_grey_over_fluid: contrast of tissues, in standard deviations of all brain.
        least_overlap: Dice of the head's and the atlas' brain matter.
        volume_mm3: of all structures of a side together.
        least_symmetry: the smaller side's volume over the larger one's.
        most_shift_mm: from where the atlas expects a side's middle to where it was found.
    """

    largest_voxel_mm: Positive = 3.0
    least_information_nats: float = 0.3
    least_coverage: Share = 0.5
    least_box_coverage: Share = 0.95
    least_agreement: Share = 0.1
    most_tilt_degrees: float = Field(default=45.0, gt=0, lt=90)
    scale: tuple[Positive, Positive] = (0.7, 1.4)
    most_shear: Share = 0.15
    least_white_over_grey: float = 0.5
    least_grey_over_fluid: float = 0.4
    least_overlap: Share = 0.8
    volume_mm3: tuple[Positive, Positive] = (1500.0, 7000.0)
    least_symmetry: Share = 0.5
    most_shift_mm: Positive = 10.0


class LocaliseRule(Frozen):
    """Find both sides' boxes in a whole head with an atlas, and run the network in each.

    ``atlas`` is registered in ``tomosurf.registry.ATLASES``. ``centre_mm`` is the middle of the left structure in
    the atlas' own LPS mm; the right one lies at its mirror image. ``size_mm`` is the box's, along left-right,
    front-back and foot-head. A volume no longer than ``crop_mm`` along any edge is such a box already, and goes
    to the network as it is. ``nod_degrees`` is how far the boxes that the model was trained on look down against
    the atlas: by so much boxes are turned about the axis from left to right, their front downwards.
    """

    atlas: str
    centre_mm: tuple[Positive, float, float]
    size_mm: tuple[Positive, Positive, Positive]
    nod_degrees: float = Field(default=0.0, ge=-45, le=45)
    crop_mm: Positive = 80.0
    gates: Gates = Gates()

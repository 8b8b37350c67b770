"""Slabs of a network's outputs, one after the other, to labels, margins and doubt."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray

from tomosurf.data.geometry import Geometry
from tomosurf.data.segmentation import Doubt, Margin
from tomosurf.data.volume import Volume
from tomosurf.errors import ModelError
from tomosurf.segment.grids import thick_axis
from tomosurf.segment.model.spec import ModelDescription
from tomosurf.segment.model.steps import Resample
from tomosurf.segment.outputs.decision import decision_of
from tomosurf.segment.outputs.doubt import DoubtField, Trust, trust_of
from tomosurf.segment.outputs.label_map import LabelMap
from tomosurf.segment.outputs.margins import (
    MarginFields,
    labels_from_margins,
    on_axes_of,
    on_voxels_of,
    sharing,
)
from tomosurf.segment.outputs.part import measured_nodes, part_of
from tomosurf.segment.outputs.reading import parallel_axes
from tomosurf.segment.outputs.slab import Slab
from tomosurf.segment.prepare.prepare import Prepared


@dataclass(frozen=True, slots=True, eq=False)
class Collected:
    """What a network found: a label map on the volume's grid, margins and doubt on the network's.

    ``doubtful_mm3``: label to the volume that may or may not be its, see
    :attr:`~tomosurf.segment.outputs.doubt.DoubtField.doubtful_mm3`.
    """

    labels: NDArray[Any]
    margins: dict[int, Margin]
    doubt: Doubt
    doubtful_mm3: dict[int, float]


def collect(
    slabs: Iterable[Slab],
    seen: Prepared,
    volume: Volume,
    spec: ModelDescription,
    trust: Trust | None = None,
) -> Collected:
    """Labels, margins and doubt of all slabs; each slab is used, changed and dropped before the next is asked for.

    Where the grids share their voxel centres a voxel has a label exactly where that margin is above zero, and
    margins and doubt have the volume's axes. Elsewhere outputs are interpolated at the volume's voxels, then
    decided. What was not measured, or lies outside the network's grid, has no label. ``trust`` says how
    outputs become doubt; None: as the description does.

    Memory, whatever the number of channels: the labels, the margins' boxes, the doubt's; on the slabs' device
    the slab, 30 to 90 bytes a node of it (the denser its boundaries, the more), and bounded pieces.

    Raises:
        ModelError: the slabs don't make up the grid.
    """
    decision = decision_of(spec)
    label_map: LabelMap | None = None
    if sharing(seen.grid, volume.geometry) is None:
        nearest = _nearest(spec, seen.grid, volume.geometry)
        label_map = LabelMap(volume.geometry, seen.grid, decision, nearest)
    doubts = DoubtField(seen.grid, decision, trust or trust_of(spec))
    fields: MarginFields | None = None
    measured, planes = measured_nodes(seen, volume.geometry), 0
    for slab in slabs:
        if slab.start != planes:
            raise ModelError(f"the network's outputs come out of order: plane {slab.start} after {planes}")
        planes, axis = slab.stop, slab.axis
        part = part_of(slab, decision, measured)
        fields = fields or MarginFields(seen.grid, axis, decision)
        fields.add(part)
        doubts.add(part)
        if label_map is not None:
            label_map.add(part)
        del slab, part
    if fields is None or planes != seen.grid.shape[axis]:
        raise ModelError("the network's outputs end before the image does")
    if label_map is None:
        return _on_the_volume(fields.margins(), doubts, volume, decision.top)
    labels = label_map.labels
    if volume.padding is not None:
        labels[volume.padding] = 0
    return Collected(labels, fields.margins(), doubts.doubt(), doubts.doubtful_mm3)


def _on_the_volume(margins: dict[int, Margin], doubts: DoubtField, volume: Volume, top: int) -> Collected:
    """Everything with the volume's own axes."""
    margins = {label: on_voxels_of(volume.geometry, margin) for label, margin in margins.items()}
    doubt = doubts.doubt()
    grid, values = on_axes_of(volume.geometry, doubt.geometry, doubt.values)
    doubt = replace(doubt, geometry=grid, values=values)
    labels = labels_from_margins(margins, volume.geometry, top)
    return Collected(labels, margins, doubt, doubts.doubtful_mm3)


def _nearest(spec: ModelDescription, nodes: Geometry, image: Geometry) -> int | None:
    """The axis of the nodes along which the model takes the nearest slice on the way back, too."""
    resampled = [step for step in spec.input.steps if isinstance(step, Resample)]
    axes = parallel_axes(nodes, image)
    if axes is None or not resampled or resampled[-1].separate_axis == "never":
        return None
    # the model's spacing, not that of the nodes: a whole number of them fills the image, and ties are lost
    a, b, c = (
        own if wanted is None else wanted
        for own, wanted in zip(nodes.spacing, resampled[-1].spacing_mm, strict=True)
    )
    x, y, z = (image.spacing[axis] for axis in axes)
    return thick_axis((a, b, c), (x, y, z))

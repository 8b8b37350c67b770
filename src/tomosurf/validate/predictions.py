"""Where predictions come from: a model that is run as users run it, or a folder of files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomosurf.config import NetworkMethod
from tomosurf.data.geometry import Geometry
from tomosurf.data.mesh import SurfaceMesh
from tomosurf.data.segmentation import Segmentation
from tomosurf.data.volume import Volume
from tomosurf.datasets.inside import held, peek
from tomosurf.datasets.listing import SUFFIXES, stem, structure_name, structures_of
from tomosurf.errors import ConfigError, DataError, InputRefused
from tomosurf.image_file import read_label_voxels
from tomosurf.segment.resident import Engine
from tomosurf.validate.mesh_distance import surface_of_mask
from tomosurf.validate.metrics import mask_of


@dataclass(frozen=True, slots=True, eq=False)
class Predicted:
    """What was predicted for one case, by segment name.

    Either ``masks`` (files, read when asked for) or ``labels`` with ``values``; ``meshes`` are those of the model's
    own surfaces, and without them a mask's surface is made. ``segmentation`` is the model's own, with its doubt.
    """

    geometry: Geometry
    labels: NDArray[Any] | None = None
    values: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    masks: Mapping[str, Path] = field(default_factory=dict)
    meshes: Mapping[str, SurfaceMesh] | None = None
    segmentation: Segmentation | None = None

    def mask(self, name: str) -> NDArray[np.bool_]:
        """Where the segment is.

        Raises:
            InputRefused: its file can't be read, or lies on another grid than the others.
            DataError: there is none for this case.
        """
        if self.labels is not None:
            return mask_of(self.labels, self.values[name])
        if name not in self.masks:
            raise DataError(f"nothing was predicted for {name}; write an empty mask when it isn't there")
        voxels, geometry = read_label_voxels(self.masks[name])
        if not geometry.coincides(self.geometry):
            raise InputRefused("bad_geometry", f"the mask of {name} lies on a grid of its own")
        return voxels > 0

    def mesh(self, name: str, mask: NDArray[np.bool_]) -> SurfaceMesh | None:
        """The segment's surface: the one that would be exported; None where there is none."""
        return surface_of_mask(mask, self.geometry) if self.meshes is None else self.meshes.get(name)


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A model, loaded once and run on every case; made anew in each process."""

    model: str
    device: str
    engine: Engine = field(default_factory=Engine)

    def predict(self, volumes: tuple[Volume, ...]) -> Predicted:
        """Segment, clean up and contour, as ``tomosurf segment`` and ``tomosurf run`` do.

        Raises:
            ModelError: the model is for other images, or can't run.
            DataError: the images can't be used.
        """
        from tomosurf.pipeline import clean_up
        from tomosurf.refine.refine import refine
        from tomosurf.registry import SEGMENTERS
        from tomosurf.segment.options import SegmentOptions
        from tomosurf.surface.extract import extract

        method = NetworkMethod(method="network", model=self.model)
        options = SegmentOptions(self.device, engine=self.engine)
        found: Segmentation = SEGMENTERS.load("network")(volumes[0], method, options, others=volumes[1:])
        found = refine(found, clean_up(method, {}))
        meshes = {mesh.segment.name: mesh for mesh in extract(found).meshes}
        values = {segment.name: (segment.label,) for segment in found.segments}
        return Predicted(
            found.geometry, found.labels, values, meshes=meshes, segmentation=found.without_margins()
        )


def read_predicted(files: tuple[Path, ...], segments: Mapping[str, tuple[int, ...]]) -> Predicted:
    """One label map, or one mask a segment, as they lie in a folder of predictions.

    Raises:
        InputRefused: unreadable, or no label map.
    """
    if any(not values for values in segments.values()):
        masks = {structure_name(stem(file)): file for file in files}
        return Predicted(read_label_voxels(files[0])[1], masks=masks)
    labels, geometry = read_label_voxels(files[0])
    return Predicted(geometry, labels, segments)


def predicted_files(folder: Path, case: str) -> tuple[Path, ...]:
    """The prediction for a case: ``CASE.nii.gz`` (or another format), or the masks in ``CASE/``; () for none.

    Raises:
        ConfigError: several files fit, or one is a link out of the folder.
    """
    single = [folder / f"{case}{suffix}" for suffix in SUFFIXES if (folder / f"{case}{suffix}").is_file()]
    if len(single) > 1:
        raise ConfigError(
            f"{folder.name} holds several predictions for {case}: {', '.join(p.name for p in single)}"
        )
    if single:
        return (held(folder, single[0]),)
    for inner in (folder / case / "segmentations", folder / case):
        masks = sorted(path for path in inner.glob("*") if path.name.endswith(SUFFIXES) and path.is_file())
        if masks:
            return tuple(held(folder, path) for path in masks)
    return ()


def offered_by_folder(
    folder: Path, files: Sequence[Path], structures: Mapping[str, tuple[int, ...]]
) -> dict[str, tuple[int, ...]]:
    """What a folder of predictions calls its segments; ``files`` are those of all cases.

    A folder a case: the masks' names. Label maps: the names in dataset.json or labels.json beside them, else those
    of the data set, whose numbers they then have.

    Raises:
        ConfigError: label maps without any names for a data set that has no numbers.
    """
    if files[0].parent != folder:
        return dict.fromkeys(sorted({structure_name(stem(file)) for file in files}), ())
    for name in ("labels.json", "dataset.json"):
        content = peek(folder / name)
        labels = content.get("labels", content) if content else None
        if isinstance(labels, dict):
            labels = {key: value for key, value in labels.items() if key != "ignore"}
            return structures_of(labels, str(folder / name))
    if all(structures.values()):
        return dict(structures)
    raise ConfigError(
        f'{folder}: label maps need names; put a labels.json beside them: {{"1": "liver", ...}}'
    )

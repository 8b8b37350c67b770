"""One case: read, check, predict, compare."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.finding import Finding
from tomosurf.data.geometry import Geometry
from tomosurf.data.volume import Volume
from tomosurf.datasets.listing import about
from tomosurf.errors import DataError, GeometryError, InputRefused
from tomosurf.image_file import read_label_voxels, read_volume
from tomosurf.registry import EXPORTERS
from tomosurf.validate.calibration import Bins, calibration_bins
from tomosurf.validate.mesh_distance import mesh_distances, surface_of_mask
from tomosurf.validate.metrics import mask_of, score
from tomosurf.validate.plan import Plan, PlannedCase
from tomosurf.validate.predictions import ModelSource, Predicted, read_predicted
from tomosurf.validate.record import DECIMALS, Picture, Record, Row, load_record, save_record
from tomosurf.validate.slice_picture import slice_picture
from tomosurf.whole_file import whole_file

PREDICTIONS = "predictions"


class Scorer:
    """Scores the cases of a plan, one after the other; holds the model between them. One a process."""

    def __init__(self, plan: Plan, output: Path) -> None:
        self._plan, self._output = plan, output
        self._source = ModelSource(plan.model, plan.options.device) if plan.model_sha256 else None
        self._keeps = plan.options.keep and self._source is not None

    def score(self, case: PlannedCase) -> tuple[Record, bool]:
        """The record of a case, from its file where it was finished before; whether it was.

        A case whose files can't be used gives a record without rows that says why.

        Raises:
            ModelError: the model can't run here.
        """
        key = self._plan.key(case)
        earlier = load_record(self._output, key)
        if earlier is not None and (not self._keeps or self._kept(case).is_file()):
            return earlier, True
        digest = self._plan.reference_digest(case)
        try:
            told = self._scored(case)
        except (InputRefused, DataError, GeometryError) as error:
            why = about("unusable_case", "error", case.name, str(error).rstrip("."))
            told = {"findings": (why.as_dict(),)}
        record = Record(case=case.name, key=key, reference_sha256=digest, **told)
        save_record(record, self._output)
        return record, False

    def _scored(self, case: PlannedCase) -> dict[str, Any]:
        plan = self._plan
        volumes = tuple(read_volume(path, plan.modality) for path in case.images)
        reference = _Reference(plan, case, volumes[0].geometry)
        for path, volume in zip(case.images, volumes, strict=True):
            reference.check(volume.geometry, path.name)
        predicted = self._predict(case, volumes)
        reference.check(predicted.geometry, "the prediction")
        rows, findings, worst = [], reference.findings(), (2.0, "")
        for structure, segment in plan.pairs.items():
            if not reference.has(structure):
                continue
            row = _row(plan, reference.mask(structure), predicted, structure, segment, volumes[0].geometry)
            rows.append(row)
            worst = min(worst, (row.figures.get("dice", 2.0), structure))
            if row.outcome in ("absent", "invented"):
                findings.append(
                    about(
                        "empty_reference",
                        "warning",
                        case.name,
                        "the reference doesn't hold this structure",
                        structure,
                    )
                )
        self._keep(case, predicted)
        picture = _picture(volumes[0], reference, predicted, worst[1], plan.pairs) if worst[1] else None
        bins = _bins(plan, reference, predicted)
        return {"rows": rows, "findings": [f.as_dict() for f in findings], "bins": bins, "picture": picture}

    def _predict(self, case: PlannedCase, volumes: tuple[Volume, ...]) -> Predicted:
        if self._source is not None:
            return self._source.predict(volumes)
        return read_predicted(case.prediction, self._plan.segments)

    def _kept(self, case: PlannedCase) -> Path:
        return self._output / PREDICTIONS / f"{case.name}.nii.gz"

    def _keep(self, case: PlannedCase, predicted: Predicted) -> None:
        """Write what the model found, for looking at."""
        if not self._keeps or predicted.segmentation is None:
            return
        path = self._kept(case)
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as partial:
            EXPORTERS.load("nifti-labels").write(predicted.segmentation, partial)


class _Reference:
    """What people drew for one case, on the image's grid."""

    def __init__(self, plan: Plan, case: PlannedCase, geometry: Geometry) -> None:
        self._plan, self._case, self._geometry = plan, case, geometry
        self.labels: NDArray[Any] | None = None
        if case.labels is not None:
            self.labels, own = read_label_voxels(case.labels)
            self.check(own, f"the label map {case.labels.name}")
            if plan.ignored is not None and (self.labels == plan.ignored).any():
                raise DataError(
                    f"{case.labels.name} holds voxels to ignore (label {plan.ignored}); figures would count them"
                )

    def check(self, other: Geometry, what: str) -> None:
        """Refuse a grid that isn't the image's.

        Raises:
            DataError: another shape, or corners farther apart than the tolerance.
        """
        mine, tolerance = self._geometry, self._plan.options.geometry_tolerance_mm
        if other.shape != mine.shape:
            raise DataError(
                f"geometry mismatch: {what} has {_times(other.shape)} voxels, the image {_times(mine.shape)}"
            )
        apart = float(np.linalg.norm(other.corners() - mine.corners(), axis=1).max())
        if apart > tolerance:
            raise DataError(
                f"geometry mismatch: {what} lies {apart:.3g} mm off the image's grid (tolerance {tolerance:g} mm)"
            )

    def has(self, structure: str) -> bool:
        """Whether this case says where the structure is, or that it is nowhere."""
        return self.labels is not None or structure in self._case.masks

    def mask(self, structure: str) -> NDArray[np.bool_]:
        """bool, (ni, nj, nk)."""
        if self.labels is not None:
            return mask_of(self.labels, self._plan.structures[structure])
        voxels, geometry = read_label_voxels(self._case.masks[structure])
        self.check(geometry, f"the mask of {structure}")
        return voxels > 0

    def findings(self) -> list[Finding]:
        """Labels that the data set doesn't name."""
        if self.labels is None:
            return []
        known = {0, *(value for values in self._plan.structures.values() for value in values)}
        unknown = sorted(set(np.unique(self.labels).tolist()) - known)
        if not unknown:
            return []
        count = int(np.isin(self.labels, unknown).sum())
        numbers = ", ".join(map(str, unknown))
        words = f"{count} voxels have labels without a name ({numbers}) and count as background"
        return [about("unknown_label", "warning", self._case.name, words)]


def _row(
    plan: Plan,
    reference: NDArray[np.bool_],
    predicted: Predicted,
    structure: str,
    segment: str,
    geometry: Geometry,
) -> Row:
    options = plan.options
    ours = predicted.mask(segment)
    told = score(ours, reference, geometry, options.tolerances_mm, options.component_overlap)
    what = told.pop("outcome")
    if what == "found":
        mesh, drawn = predicted.mesh(segment, ours), surface_of_mask(reference, geometry)
        if mesh is not None and drawn is not None:
            told |= mesh_distances(mesh, drawn)
    figures = {name: round(float(value), DECIMALS) for name, value in told.items()}
    return Row(structure=structure, outcome=what, figures=figures)


def _picture(
    volume: Volume, reference: _Reference, predicted: Predicted, structure: str, pairs: dict[str, str]
) -> Picture:
    mask = predicted.mask(pairs[structure])
    mesh = predicted.mesh(pairs[structure], mask)
    return Picture(structure=structure, svg=slice_picture(volume, mask, reference.mask(structure), mesh))


def _bins(plan: Plan, reference: _Reference, predicted: Predicted) -> Bins | None:
    """Counts for the calibration curve; None where the model has no doubt, or the labels don't correspond.

    Nor for a sheared grid, in which distances along the axes aren't those of the patient.
    """
    found = predicted.segmentation
    complete = set(plan.pairs) == set(plan.structures) and set(plan.pairs.values()) == set(plan.segments)
    if (
        found is None
        or found.doubt is None
        or reference.labels is None
        or not complete
        or not found.geometry.is_orthogonal
    ):
        return None
    theirs = np.zeros_like(found.labels)
    for structure, segment in plan.pairs.items():
        theirs[reference.mask(structure)] = plan.segments[segment][0]
    return calibration_bins(found.labels, theirs, found.geometry, found.doubt)


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))

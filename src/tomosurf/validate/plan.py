"""What a validation will do, settled before the first case: written to plan.json, read by every worker."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from tomosurf import __version__
from tomosurf.case_folder import digest_of
from tomosurf.config import parse
from tomosurf.data.finding import Finding
from tomosurf.datasets.dataset import DataSet, ListedCase
from tomosurf.datasets.find import open_data_set
from tomosurf.datasets.listing import about
from tomosurf.errors import ConfigError, InputRefused, UnknownNameError
from tomosurf.frozen import Frozen
from tomosurf.image_file import read_label_voxels
from tomosurf.progress import Progress, silent
from tomosurf.validate.matching import match
from tomosurf.validate.options import ValidateOptions
from tomosurf.validate.predictions import offered_by_folder, predicted_files

FIGURES = 1
"""Version of what the figures mean; a case scored under another one is scored again."""


class PlannedCase(Frozen):
    """One case: its files, and those of its prediction where these exist already."""

    name: str
    images: tuple[Path, ...]
    labels: Path | None
    masks: dict[str, Path]
    prediction: tuple[Path, ...] = ()

    @property
    def references(self) -> tuple[Path, ...]:
        """The files that hold the reference, in a fixed order."""
        return (self.labels,) if self.labels else tuple(self.masks[name] for name in sorted(self.masks))


class Plan(Frozen):
    """A data set, what predicts, which segment is which structure, and how they are compared.

    ``segments`` are what is predicted, by name, and ``pairs`` maps structures to them. ``model`` is a name or a
    folder; ``model_sha256`` the digest of its description, or "" for a folder of predictions.
    """

    form: str
    title: str
    modality: str
    ignored: int | None
    structures: dict[str, tuple[int, ...]]
    segments: dict[str, tuple[int, ...]]
    pairs: dict[str, str]
    cases: tuple[PlannedCase, ...]
    findings: tuple[dict[str, Any], ...]
    model: str
    model_title: str
    model_sha256: str
    options: ValidateOptions

    def key(self, case: PlannedCase) -> str:
        """SHA-256 of all that a case's figures depend on: its files, the model, the names, the options."""
        said = {
            "tomosurf": __version__,
            "figures": FIGURES,
            "images": [digest_of(path) for path in case.images],
            "references": self.reference_digest(case),
            "names": [case.name, *sorted(case.masks)],
            "prediction": [digest_of(path) for path in case.prediction],
            "model": self.model_sha256,
            "structures": [self.structures, self.segments, self.pairs, self.ignored],
            "modality": self.modality,
            "options": self.options.meaning(),
        }
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()

    def reference_digest(self, case: PlannedCase) -> str:
        """SHA-256 over the files of a case's reference."""
        digests = [digest_of(path) for path in case.references]
        return hashlib.sha256(" ".join(digests).encode()).hexdigest()


def load_plan(path: Path) -> Plan:
    """The plan in a file.

    Raises:
        ConfigError: it is none.
    """
    try:
        return parse(Plan, json.loads(path.read_text(encoding="utf-8")), str(path))
    except (OSError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{path} is no plan of a validation") from error


def make_plan(
    source: Path,
    model: str,
    options: ValidateOptions = ValidateOptions(),  # noqa: B008  (frozen)
    progress: Progress = silent,
) -> Plan:
    """Open the data set, find what predicts, and match their names; no image is opened yet.

    Only a data set that doesn't name its labels has its label maps read, for the values in them.

    Raises:
        ConfigError: no such data set, no such predictions, or names that don't meet.
        UnknownNameError: no model of that name, or no form.
    """
    data = open_data_set(source.absolute(), options.form)
    structures, unread = (data.structures, ()) if data.structures else _values(data, progress)
    folder = _predictions(model)
    if folder is None:
        title, digest, segments, modality = _model(model)
        cases, findings = [_planned(case) for case in data.cases], list(unread)
    else:
        title, digest, modality = folder.name, "", data.modality
        cases, findings = _with_predictions(data, folder)
        findings += unread
        files = [file for case in cases for file in case.prediction]
        segments = offered_by_folder(folder.absolute(), files, structures)
    pairs, told = match(structures, segments, options.names, bool(data.structures))
    return Plan(
        form=data.form,
        title=data.title,
        modality=data.modality or modality,
        ignored=data.ignored,
        structures=dict(structures),
        segments=segments,
        pairs=pairs,
        cases=tuple(cases),
        findings=tuple(finding.as_dict() for finding in (*data.findings, *findings, *told)),
        model=str(folder.absolute()) if folder else _whole(model),
        model_title=title,
        model_sha256=digest,
        options=options,
    )


def _predictions(model: str) -> Path | None:
    """The folder of predictions, or None when ``model`` is a model."""
    from tomosurf.segment.model.catalogue import find_model

    try:
        find_model(model)
        return None
    except UnknownNameError:
        if Path(model).is_dir():
            return Path(model)
        raise


def _whole(model: str) -> str:
    """A model's name as it is; its folder as an absolute path, since workers may run elsewhere."""
    from tomosurf.segment.model.catalogue import model_names

    return model if model in model_names() else str(Path(model).absolute())


def _model(model: str) -> tuple[str, str, dict[str, tuple[int, ...]], str]:
    from tomosurf.segment.model.catalogue import find_model
    from tomosurf.segment.model.spec import load_spec

    spec = load_spec(find_model(model))
    segments: dict[str, tuple[int, ...]] = {segment.name: (segment.label,) for segment in spec.segments}
    modality: str = "" if spec.modality == "any" else spec.modality
    return f"{spec.name} {spec.version}", spec.digest(), segments, modality


def _planned(case: ListedCase, prediction: tuple[Path, ...] = ()) -> PlannedCase:
    return PlannedCase(
        name=case.name, images=case.images, labels=case.labels, masks=dict(case.masks), prediction=prediction
    )


def _with_predictions(data: DataSet, folder: Path) -> tuple[list[PlannedCase], list[Finding]]:
    """The cases that have a prediction, and those that have none."""
    cases, findings = [], []
    for case in data.cases:
        files = predicted_files(folder, case.name)
        if files:
            cases.append(_planned(case, tuple(file.absolute() for file in files)))
        else:
            findings.append(about("no_prediction", "error", case.name, "nothing was predicted for it"))
    if not cases:
        raise ConfigError(
            f"{folder} is no model and holds no prediction: {data.cases[0].name}.nii.gz, say, isn't there"
        )
    if (
        len({len(case.prediction) > 1 or case.prediction[0].parent != folder.absolute() for case in cases})
        > 1
    ):
        raise ConfigError(f"{folder} holds label maps and folders of masks; make them one or the other")
    return cases, findings


def _values(data: DataSet, progress: Progress) -> tuple[dict[str, tuple[int, ...]], list[Finding]]:
    """``label_<n>`` for every value in the label maps of a data set that doesn't name them."""
    found: set[int] = set()
    findings: list[Finding] = []
    for done, case in enumerate(data.cases):
        progress("labels", done / len(data.cases))
        if case.labels is not None:
            try:
                found |= set(np.unique(read_label_voxels(case.labels)[0]).tolist())
            except InputRefused:
                continue  # told when the case is scored
    if not found - {0}:
        raise ConfigError(f"{data.root}: no label map holds a label")
    findings.append(
        Finding("unnamed_labels", "info", "The data set doesn't name its labels; they are called by number.")
    )
    return {f"label_{value}": (value,) for value in sorted(found - {0})}, findings

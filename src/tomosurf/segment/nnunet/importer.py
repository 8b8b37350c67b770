"""nnU-Net v2 results folders to models of ours."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from tomosurf.errors import ConfigError, ModelError
from tomosurf.segment.architectures.convolutional_unets import PlainConvUNet, ResidualEncoderUNet
from tomosurf.segment.model.imported import ImportChoices, Imported
from tomosurf.segment.model.naming import named_segments
from tomosurf.segment.model.spec import InputSpec, ModelDescription, Window
from tomosurf.segment.model.steps import Orient
from tomosurf.segment.nnunet.folder import DATASET, PLANS, Results, read_results, read_stage, trained_folders
from tomosurf.segment.nnunet.labels import Dataset, Meaning, meaning_of, modality_of
from tomosurf.segment.nnunet.planned_input import check_labels_rule, planned_steps, reads_as_stored
from tomosurf.segment.nnunet.planned_network import planned_network
from tomosurf.segment.nnunet.plans import Configuration, Plans, configuration_values, told
from tomosurf.segment.nnunet.trainers import builds_with_batch_norm, is_nnunets_own

if TYPE_CHECKING:
    from tomosurf.segment.nnunet.checkpoint import Checkpoint

OVERLAP = 0.5
"""nnU-Net's tile_step_size of 0.5, its default and what its published figures were made with."""

TOTAL_SEGMENTATOR = "totalsegmentator"
"""Its own program turns every image to RAS before nnU-Net reads it."""


class NnUNet:
    """The importer of nnU-Net v2 results folders: Trainer__Plans__configuration, or a folder that holds some."""

    title = "nnU-Net v2 results folder"

    def recognises(self, folder: Path) -> bool:
        """Whether there is a plans.json in the folder, or in a trainer's folder below it."""
        return bool(trained_folders(folder))

    def read(self, folder: Path, choices: ImportChoices) -> Imported:
        """See :class:`~tomosurf.segment.model.imported.Importer`; checkpoints are read as data, never run."""
        if choices.order:
            raise ConfigError("dataset.json gives the order of overlapping regions itself; leave --order out")
        return self._read(folder, read_results(folder, choices), choices)

    def _read(
        self, folder: Path, results: Results, choices: ImportChoices, is_first: bool = False
    ) -> Imported:
        from tomosurf.segment.nnunet.checkpoint import network_tensors, read_checkpoint

        folds = tuple(read_checkpoint(path) for path in results.checkpoints)
        _agree(folds)
        plans = told(Plans, results.plans, PLANS)
        name = _configuration(results, folds[0], choices)
        values = configuration_values(plans, name)
        where = f"{PLANS}: configuration {name}"
        planned = _Planned(
            plans,
            name,
            told(Configuration, values, where),
            planned_network(values, where, builds_with_batch_norm(folds[0].trainer)),
            told(Dataset, results.dataset, DATASET),
        )
        earlier = None
        if planned.configuration.previous_stage is not None:
            if is_first:
                raise ModelError(f"{where} is a first stage and has one itself, which isn't known here")
            check_labels_rule(planned.configuration)
            first = read_stage(folder, results, planned.configuration.previous_stage, choices)
            alone = replace(choices, configuration=None, name=None)
            earlier = self._read(folder, first, alone, is_first=True)
        orientation, note = _orientation(results.folder, plans, choices)
        meaning = meaning_of(planned.dataset)
        try:
            description = _description(planned, meaning, folds[0], replace(choices, orientation=orientation))
        except ValidationError as error:
            faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:5])
            raise ModelError(f"{where} makes no model: {faults}") from error
        levels = len(planned.network.arguments.features)
        return Imported(
            description,
            tuple(network_tensors(fold.weights, levels) for fold in folds),
            (*note, *_notes(planned.network, folds, meaning), *_of_stage(earlier)),
            earlier,
        )


@dataclass(frozen=True, slots=True)
class _Planned:
    """What the two descriptions say of one configuration."""

    plans: Plans
    name: str
    configuration: Configuration
    network: PlainConvUNet | ResidualEncoderUNet
    dataset: Dataset


def _description(
    planned: _Planned, meaning: Meaning, fold: Checkpoint, choices: ImportChoices
) -> ModelDescription:
    configuration, dataset = planned.configuration, planned.dataset
    names = tuple(dataset.channel_names.values())
    steps = planned_steps(planned.plans, configuration, len(names), choices.orientation)
    x, y, z = configuration.patch_size
    return ModelDescription(
        name=choices.name or _slug(f"{planned.plans.dataset_name}-{planned.name}"),
        version="1.0.0",
        title=f"{planned.plans.dataset_name}, nnU-Net {planned.name}",
        licence=choices.licence or dataset.licence or "not stated in the folder",
        source=dataset.reference or "",
        modality=modality_of(dataset, configuration.normalization_schemes, choices.modality),
        architecture=planned.network,
        channels=meaning.channels,
        activation=meaning.activation,
        regions=meaning.regions,
        input=InputSpec(channels=len(names), channel_names=names, steps=steps),
        window=Window(roi=(x, y, z), overlap=OVERLAP, mode="gaussian", placement="nnunet"),
        mirror_axes=fold.mirror_axes,
        segments=named_segments(meaning.names),
        earlier=() if configuration.previous_stage is None else dataset.foreground,
    )


def _agree(folds: tuple[Checkpoint, ...]) -> None:
    for fold in folds[1:]:
        for what in ("configuration", "trainer", "mirror_axes"):
            if getattr(fold, what) != getattr(folds[0], what):
                raise ModelError(f"the folds' checkpoints differ in {what}; they are no ensemble")


def _configuration(results: Results, fold: Checkpoint, choices: ImportChoices) -> str:
    """The checkpoint's own word goes first: the folder may have been renamed."""
    parts = results.folder.name.split("__")
    wanted = choices.configuration
    name = fold.configuration or (parts[2] if len(parts) == 3 else "") or wanted
    if not name:
        raise ConfigError(
            "neither checkpoint nor folder says which configuration this is; choose --configuration"
        )
    if wanted is not None and wanted.rsplit("__", 1)[-1] != name:
        raise ConfigError(f"{results.folder} was trained as {name}, not as {wanted}")
    return name


def _orientation(folder: Path, plans: Plans, choices: ImportChoices) -> tuple[str | None, tuple[str, ...]]:
    """How the training images lay, for a reader that doesn't look, and what is to be said of it."""
    if not reads_as_stored(plans):
        if choices.orientation:
            raise ConfigError(
                f"{plans.image_reader_writer} turns every image to RAS; leave --orientation out"
            )
        return None, ()
    if choices.orientation:
        try:
            turn = Orient(axes=choices.orientation.upper()).axes
        except ValidationError as error:
            raise ConfigError(
                "an orientation is three letters, one each of R/L, A/P and S/I, such as RAS"
            ) from error
        return turn, (f"images are turned to {turn} first, as you chose",)
    names = [plans.dataset_name, *(part.name for part in (folder.absolute(), *folder.absolute().parents))]
    if any(TOTAL_SEGMENTATOR in name.lower().replace("_", "") for name in names):
        return "RAS", ("images are turned to RAS first, as TotalSegmentator itself does",)
    return None, (
        "the network takes images as they are stored and was trained on images stored in one way, which the folder"
        " doesn't name: hold its labels against known anatomy, left and right included, or import it again with"
        " --orientation (such as RAS or LPS)",
    )


def _notes(
    network: PlainConvUNet | ResidualEncoderUNet, folds: tuple[Checkpoint, ...], meaning: Meaning
) -> tuple[str, ...]:
    notes = [f"{network.name}, trained by {folds[0].trainer or 'an unnamed trainer'}"]
    if not is_nnunets_own(folds[0].trainer):
        notes.append(
            "this trainer isn't one of nnU-Net's own: names and shapes of the weights fit the plan, what it may"
            " have changed beside them can't be seen"
        )
    if len(folds) > 1:
        notes.append(f"an ensemble of {len(folds)} folds: their outputs are averaged")
    if meaning.regions:
        notes.append("regions overlap; where they do, the later one in regions_class_order gives the label")
    if folds[0].mirror_axes:
        notes.append(
            "nnU-Net averages over mirrored images unless told not to, tomosurf only when asked to mirror"
        )
    return tuple(notes)


def _of_stage(earlier: Imported | None) -> tuple[str, ...]:
    if earlier is None:
        return ()
    name = earlier.description.name
    return (
        f"the second stage of a cascade: {name} runs first on each case, and this network sees its labels",
    )


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9.-]+", "-", text.lower()).strip("-.") or "nnunet"

"""From a bundle's folder to a description and tensors of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tomosurf.config import RefineRule, SegmentSpec, parse
from tomosurf.errors import ConfigError, ModelError
from tomosurf.segment.bundle.component import Component
from tomosurf.segment.bundle.config import Config, Value
from tomosurf.segment.bundle.files_of_weights import weights_of
from tomosurf.segment.bundle.folder import BundleFolder, inference_configs
from tomosurf.segment.bundle.inferer import padding_of, window_of
from tomosurf.segment.bundle.meanings import (
    Meaning,
    channel_names,
    input_names,
    meaning_of,
    modality_of,
    source_of,
    version_of,
)
from tomosurf.segment.bundle.networks import NetworkDef, network_of
from tomosurf.segment.bundle.postprocessing import Postprocessing, postprocessing_of
from tomosurf.segment.bundle.preprocessing import Preprocessing
from tomosurf.segment.bundle.tensors import fitted, reordered
from tomosurf.segment.model.imported import ImportChoices, Imported
from tomosurf.segment.model.naming import named_segments, slug
from tomosurf.segment.model.spec import InputSpec, ModelDescription, Window

PLACES = {
    "network_def": ("network_def", "network", "net", "model"),
    "preprocessing": ("preprocessing", "pre_transforms", "pre_processing"),
    "inferer": ("inferer",),
    "postprocessing": ("postprocessing", "post_transforms", "post_processing"),
}
"""Names under which bundles keep the four parts that matter; the first is the usual one."""


class BundleImporter:
    """Reads MONAI bundles (bundle specification of MONAI, old and new layout)."""

    title = "MONAI bundle"

    def recognises(self, folder: Path) -> bool:
        """Whether there is a configuration for inference, and no plan of nnU-Net's."""
        return bool(inference_configs(folder)) and not (folder / "plans.json").exists()

    def read(self, folder: Path, choices: ImportChoices) -> Imported:
        """The model.

        Raises:
            ModelError: something in it isn't understood, is missing, contradicts itself or is no data.
            ConfigError: a choice is missing or doesn't fit.
        """
        where = BundleFolder(folder)
        name, config = where.config(choices.configuration)
        try:
            return _read(where, config, choices)
        except ModelError as error:
            raise ModelError(f"{folder.name}/{name}: {error}") from error
        except ConfigError as error:
            raise ConfigError(f"{folder.name}/{name}: {error}") from error


def _read(folder: BundleFolder, config: Config, choices: ImportChoices) -> Imported:
    notes: list[str] = []
    metadata = folder.metadata()
    network = network_of(Component(_part(config, "network_def")))
    steps = Preprocessing(network.inputs)
    wanted = steps.read(_part(config, "preprocessing"))
    wanted = wanted.model_copy(update={"channel_names": input_names(metadata, network.inputs)})
    notes += steps.notes
    inferer = Component(_part(config, "inferer"))
    padding = padding_of(inferer, window := window_of(inferer))
    if padding:
        wanted = wanted.model_copy(update={"steps": (*wanted.steps, padding)})
    post_at = _part(config, "postprocessing")
    post = postprocessing_of(post_at)
    names = channel_names(metadata, network.outputs)
    if names is None:
        notes.append("it doesn't name what its channels mean; the structures are numbered")
    meaning = meaning_of(names, network.outputs, post.activation(post_at), choices, post.painted)
    file, given = weights_of(folder, config)
    channels = (network.inputs, network.outputs)
    tensors = fitted(network.architecture, channels, given, file)
    if meaning.order and meaning.order != tuple(range(network.outputs)):
        tensors = reordered(network.architecture, channels, tensors, list(meaning.order))
        notes.append("its outputs were put in painting order")
    if post.nearest:
        notes.append(
            "MONAI would bring its labels back to the image by the nearest voxel; here its outputs are interpolated"
            " first, so that boundaries may differ by half a voxel of the network's"
        )
    if post.largest:
        notes.append("largest components are counted by shared faces here; MONAI joins at corners, too")
    description = _described(folder, metadata, _Parts(network, wanted, window, post, meaning), choices, notes)
    return Imported(description, (tensors,), tuple(notes))


def _part(config: Config, kind: str) -> Value:
    for name in PLACES[kind]:
        if name not in config:
            continue
        here = config.at(name)
        if kind != "network_def" or (isinstance(here.written, dict) and "_target_" in here.written):
            return here
    raise ModelError(f"it has no {kind}; what isn't there can't be guessed")


class _Parts:
    """What was understood, part by part."""

    def __init__(
        self,
        network: NetworkDef,
        wanted: InputSpec,
        window: Window | None,
        post: Postprocessing,
        meaning: Meaning,
    ) -> None:
        self.network = network
        self.wanted = wanted
        self.window = window
        self.post = post
        self.meaning = meaning


def _described(
    folder: BundleFolder,
    metadata: dict[str, Any],
    parts: _Parts,
    choices: ImportChoices,
    notes: list[str],
) -> ModelDescription:
    segments = named_segments(parts.meaning.names)
    told = [metadata[key] for key in ("name", "task") if isinstance(metadata.get(key), str)]
    title = told[0] if told else folder.path.name
    licence = choices.licence or folder.licence(metadata)
    if licence == "not stated":
        notes.append("no licence is stated in the folder; find out before you use it")
    name = choices.name or slug(folder.path.resolve().name) or slug(str(title)) or "bundle"
    values = {
        "name": name,
        "version": version_of(metadata),
        "title": " ".join(str(title).split())[:120],
        "licence": licence,
        "source": source_of(metadata),
        "modality": choices.modality or modality_of(metadata, notes),
        "architecture": parts.network.architecture,
        "channels": parts.network.outputs,
        "activation": parts.meaning.activation,
        "regions": parts.meaning.regions,
        "input": parts.wanted,
        "window": parts.window,
        "segments": segments,
        "refine": _refine(parts.post, segments, parts.meaning),
    }
    return parse(ModelDescription, values, "the bundle as a model")


def _refine(
    post: Postprocessing, segments: tuple[SegmentSpec, ...], meaning: Meaning
) -> dict[str, RefineRule]:
    """How many components of each segment stay; 0 among the labels stands for all."""
    if not post.largest:
        return {}
    labels = {segment.label: segment.name for segment in segments}
    if meaning.activation == "sigmoid" and len(labels) > 1 and set(post.largest) != {0}:
        raise ModelError("the largest components of some of several overlapping channels aren't understood")
    everywhere = post.largest.get(0)
    rules = {} if everywhere is None else {name: RefineRule(keep=everywhere) for name in labels.values()}
    for label, count in post.largest.items():
        if label and label not in labels:
            raise ModelError(f"it keeps the largest component of label {label}, which no channel has")
        if label:
            rules[labels[label]] = RefineRule(keep=count)
    return rules

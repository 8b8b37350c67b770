"""nnU-Net results folders are read as data: what is understood is exact, the rest is refused and never run."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.nnunet_results import CASCADE, LOWRES, Task, make_results, plans_of
from tomosurf.errors import ConfigError, ModelError, TomosurfError
from tomosurf.segment.architectures import build
from tomosurf.segment.model.imported import ImportChoices
from tomosurf.segment.model.library import write
from tomosurf.segment.model.spec import load_earlier
from tomosurf.segment.model.steps import AsStored, CropForeground, Orient, Resample, Standardise
from tomosurf.segment.nnunet import IMPORTER
from tomosurf.segment.nnunet.checkpoint import network_tensors, read_checkpoint
from tomosurf.segment.nnunet.opcodes import described
from tomosurf.segment.nnunet.planned_network import planned_network

CHECKPOINT = "fold_0/checkpoint_final.pth"
PLAIN, RESIDUAL = Task(steps=0), Task(steps=0, network="ResidualEncoderUNet", mirror_axes=None)
CASCADED = Task(steps=0, lowres=(3.0, 3.0, 3.0))
TRAINER = "nnUNetTrainer__nnUNetPlans__3d_fullres"


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return make_results(tmp_path_factory.mktemp("plain"), PLAIN)


@pytest.fixture
def folder(plain, tmp_path):
    """A copy to damage."""
    return Path(shutil.copytree(plain, tmp_path / TRAINER))


def read(folder: Path, **choices: Any) -> Any:
    return IMPORTER.read(folder, ImportChoices(**choices))


def change(folder: Path, name: str, alter: Callable[[dict[str, Any]], Any]) -> None:
    content = json.loads((folder / name).read_text())
    alter(content)
    (folder / name).write_text(json.dumps(content))


def configuration(content: dict[str, Any]) -> dict[str, Any]:
    return content["configurations"]["3d_fullres"]


def network_kwargs(content: dict[str, Any]) -> dict[str, Any]:
    return configuration(content)["architecture"]["arch_kwargs"]


def save(folder: Path, alter: Callable[[dict[str, Any]], Any]) -> None:
    """The checkpoint again, altered."""
    path = folder / CHECKPOINT
    content = torch.load(path, weights_only=False)  # our own file, written a moment ago
    alter(content)
    torch.save(content, path)


def test_the_description_says_what_the_folder_says(plain):
    model = read(plain).description
    assert (model.name, model.modality, model.licence) == ("dataset901-balls-3d-fullres", "CT", "CC0-1.0")
    assert [(s.label, s.name) for s in model.segments] == [(1, "bright"), (2, "dark")]
    assert model.window.roi == (20, 20, 20)
    assert (model.window.overlap, model.window.placement) == (0.5, "nnunet")
    assert (model.channels, model.activation, model.mirror_axes) == (3, "softmax", (0, 1, 2))
    assert model.input.steps == (
        AsStored(axes="kji"),
        CropForeground(where="nonzero"),
        Standardise(mean=40, deviation=130, lower=-200, upper=280),
        Resample(spacing_mm=(2, 2, 2), grid="nnunet", order="cubic", separate_axis="auto"),
    )


@pytest.mark.parametrize("task", [PLAIN, RESIDUAL], ids=lambda task: task.network)
def test_the_network_is_theirs_to_the_last_bit(task, tmp_path):
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

    results = make_results(tmp_path, task)
    model = read(tmp_path)
    (tmp_path / "model").mkdir()
    write(tmp_path / "model", model)
    plan = configuration(plans_of(task))["architecture"]
    theirs = get_network_from_plans(
        plan["network_class_name"],
        plan["arch_kwargs"],
        plan["_kw_requires_import"],
        1,
        3,
        deep_supervision=False,
    )
    theirs.load_state_dict(torch.load(results / CHECKPOINT, weights_only=False)["network_weights"])
    ours = build(model.description.architecture, 1, 3)
    ours.load_state_dict(dict(model.state_dicts[0]))
    image = torch.randn(1, 1, 20, 24, 28)
    with torch.no_grad():
        assert torch.equal(ours.eval()(image), theirs.eval()(image))


KINDS: dict[str, tuple[Task, dict[str, Any]]] = {
    "batch": (PLAIN, {"norm_op": "torch.nn.BatchNorm3d", "norm_op_kwargs": {"eps": 1e-3, "affine": True}}),
    "not affine": (PLAIN, {"norm_op_kwargs": None}),
    "no norm": (PLAIN, {"norm_op": None, "norm_op_kwargs": None, "conv_bias": False}),
    "nonlinearity first": (PLAIN, {"nonlin_first": True}),
    "steep": (PLAIN, {"nonlin_kwargs": {"negative_slope": 0.2}}),
    "ReLU, dropout": (
        PLAIN,
        {"nonlin": "torch.nn.ReLU", "dropout_op": "torch.nn.Dropout3d", "dropout_op_kwargs": {"p": 0.5}},
    ),
    "single numbers": (PLAIN, {"features_per_stage": 6, "kernel_sizes": 3, "n_conv_per_stage": 2}),
    "flat kernels": (PLAIN, {"kernel_sizes": [[1, 3, 3], [3, 3, 3], [5, 3, 1]]}),
    "narrow stem": (RESIDUAL, {"stem_channels": 4, "n_blocks_per_stage": [1, 3, 2]}),
    "residual batch": (RESIDUAL, {"norm_op": "torch.nn.BatchNorm3d", "features_per_stage": [6, 6, 6]}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_layer_is_theirs(kind):
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

    task, changes = KINDS[kind]
    values = configuration(plans_of(task))
    plan = values["architecture"]
    plan["arch_kwargs"].update(changes)
    theirs = get_network_from_plans(
        plan["network_class_name"],
        plan["arch_kwargs"],
        plan["_kw_requires_import"],
        2,
        4,
        deep_supervision=True,
    )
    theirs.decoder.deep_supervision = False
    for tensor in theirs.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.05, 0.2)
    architecture = planned_network(values, "plans.json")
    ours = build(architecture, 2, 4)
    ours.load_state_dict(network_tensors(theirs.state_dict(), 3))
    image = torch.randn(2, 2, 12, 16, 20)
    with torch.no_grad():
        assert torch.equal(ours.eval()(image), theirs.eval()(image))
    assert architecture.divisor == (4, 4, 4)


@pytest.mark.filterwarnings("ignore:Detected old nnU-Net plans")
def test_plans_of_the_older_form_give_the_same_network():
    from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager

    old = {
        "UNet_class_name": "PlainConvUNet",
        "UNet_base_num_features": 32,
        "unet_max_num_features": 100,
        "n_conv_per_stage_encoder": [2, 2, 3],
        "n_conv_per_stage_decoder": [2, 1],
        "num_pool_per_axis": [1, 2, 2],
        "pool_op_kernel_sizes": [[1, 1, 1], [1, 2, 2], [2, 2, 2]],
        "conv_kernel_sizes": [[1, 3, 3], [3, 3, 3], [3, 3, 3]],
        "patch_size": [20, 20, 20],
    }
    ours = planned_network(dict(old), "plans.json")
    new = ConfigurationManager(dict(old)).configuration
    assert ours == planned_network(new, "plans.json")
    assert ours.arguments.features == (32, 64, 100)


def test_a_trainer_with_batch_normalisation_is_understood(folder):
    save(folder, lambda content: content.update(trainer_name="nnUNetTrainerBN"))
    assert read(folder).description.architecture.arguments.norm == "batch"


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
def test_prefixes_of_compiled_and_parallel_networks_are_taken_off(folder, prefix, plain):
    def renamed(content: dict[str, Any]) -> None:
        content["network_weights"] = {f"{prefix}{n}": t for n, t in content["network_weights"].items()}

    save(folder, renamed)
    for name, tensor in read(folder).state_dicts[0].items():
        assert torch.equal(tensor, read(plain).state_dicts[0][name])


def test_half_precision_and_parameters_are_read(folder):
    def halved(content: dict[str, Any]) -> None:
        content["network_weights"] = {
            name: torch.nn.Parameter(tensor.to(torch.bfloat16))
            for name, tensor in content["network_weights"].items()
        }

    expected = read(folder).state_dicts[0]
    save(folder, halved)
    for name, tensor in read(folder).state_dicts[0].items():
        assert tensor.dtype == torch.float32
        assert torch.allclose(tensor, expected[name], rtol=0.01)


def test_folds_are_an_ensemble_and_may_be_chosen(folder):
    for fold in ("1", "all"):
        shutil.copytree(folder / "fold_0", folder / f"fold_{fold}")
    assert len(read(folder).state_dicts) == 2
    assert len(read(folder, folds=("all",)).state_dicts) == 1
    with pytest.raises(ConfigError, match="no fold 7"):
        read(folder, folds=("7",))


def test_only_all_is_taken_when_there_is_no_other(folder):
    (folder / "fold_0").rename(folder / "fold_all")
    assert len(read(folder).state_dicts) == 1


def test_of_several_trained_folders_one_must_be_chosen(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "nnUNetTrainer__nnUNetPlans__3d_lowres")
    assert IMPORTER.recognises(tmp_path)
    with pytest.raises(ConfigError, match="3d_lowres"):
        read(tmp_path)
    assert read(tmp_path, configuration="3d_fullres").description.window.roi == (20, 20, 20)


def test_totalsegmentators_layout_is_found_and_turned_as_it_does(folder, tmp_path):
    deep = tmp_path / "nnunet" / "results" / "Dataset291_TotalSegmentator_part1_organs" / TRAINER
    shutil.copytree(folder, deep)
    change(
        deep, "plans.json", lambda content: content.update(dataset_name="Dataset291_TotalSegmentator_part1")
    )
    model = read(tmp_path / "nnunet")
    assert model.description.input.steps[:2] == (Orient(axes="RAS"), AsStored(axes="kji"))
    assert "TotalSegmentator" in " ".join(model.notes)


def test_an_orientation_may_be_chosen_where_the_folder_has_none(folder):
    assert "--orientation" in " ".join(read(folder).notes)
    assert read(folder, orientation="lps").description.input.steps[0] == Orient(axes="LPS")
    with pytest.raises(ConfigError, match="three letters"):
        read(folder, orientation="LLS")
    with pytest.raises(ConfigError, match="--order"):
        read(folder, order=("bright", "dark"))
    change(folder, "plans.json", lambda content: content.update(image_reader_writer="NibabelIOWithReorient"))
    assert read(folder).description.input.steps[0] == Orient(axes="RAS")
    with pytest.raises(ConfigError, match="orientation"):
        read(folder, orientation="LPS")


def test_a_folder_of_something_else_is_not_recognised(tmp_path):
    (tmp_path / "configs").mkdir()
    assert not IMPORTER.recognises(tmp_path)
    with pytest.raises(ModelError, match="no results of nnU-Net"):
        read(tmp_path)


PLANS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "no configurations": (lambda c: c.pop("configurations"), "configurations"),
    "no such configuration": (lambda c: c.update(configurations={}), "no configuration '3d_fullres'"),
    "inherits from itself": (lambda c: configuration(c).update(inherits_from="3d_fullres"), "from itself"),
    "no spacing": (lambda c: configuration(c).pop("spacing"), "spacing"),
    "spacing of no size": (lambda c: configuration(c).update(spacing=[0, 1, 1]), "spacing"),
    "two dimensions": (lambda c: configuration(c).update(spacing=[1, 1], patch_size=[9, 9]), "2d"),
    "patch that can't be halved": (lambda c: configuration(c).update(patch_size=[20, 21, 20]), "divisible"),
    "cascade without its first stage": (
        lambda c: configuration(c).update(previous_stage="3d_lowres"),
        "needs its first, nnUNetTrainer__nnUNetPlans__3d_lowres",
    ),
    "cascade with itself": (
        lambda c: configuration(c).update(previous_stage="3d_fullres"),
        "needs its first",
    ),
    "cascade out of its folder": (
        lambda c: configuration(c).update(previous_stage="../3d"),
        "needs its first",
    ),
    "labels of a cascade": (
        lambda c: configuration(c).update(previous_stage="3d_lowres", resampling_fn_seg="os.system"),
        "os.system",
    ),
    "labels of a cascade by their nearest": (
        lambda c: (
            configuration(c).update(previous_stage="3d_lowres"),
            configuration(c)["resampling_fn_seg_kwargs"].update(order=0),
        ),
        "resampling_fn_seg: is_seg True, order 0",
    ),
    "preprocessor": (lambda c: configuration(c).update(preprocessor_name="os.system"), "os.system"),
    "reader": (lambda c: c.update(image_reader_writer="os.system"), "os.system"),
    "scheme": (lambda c: configuration(c).update(normalization_schemes=["os.system"]), "os.system"),
    "schemes": (lambda c: configuration(c).update(normalization_schemes=[]), "0 normalization_schemes"),
    "no intensities": (
        lambda c: c.pop("foreground_intensity_properties_per_channel"),
        "intensities of channel 0",
    ),
    "resampling": (lambda c: configuration(c).update(resampling_fn_data="os.system"), "os.system"),
    "resampling's order": (
        lambda c: configuration(c)["resampling_fn_data_kwargs"].update(order=5),
        "order 5",
    ),
    "resampling's argument": (
        lambda c: configuration(c)["resampling_fn_data_kwargs"].update(os="system"),
        "resampling_fn_data: os",
    ),
    "back in another way": (
        lambda c: configuration(c)["resampling_fn_probabilities_kwargs"].update(order=0),
        "probabilities",
    ),
    "transposed wrongly": (lambda c: c.update(transpose_backward=[2, 0, 1]), "undo"),
    "network": (
        lambda c: configuration(c)["architecture"].update(network_class_name="os.system"),
        "network os.system",
    ),
    "other network": (
        lambda c: configuration(c)["architecture"].update(
            network_class_name="dynamic_network_architectures.architectures.primus.Primus"
        ),
        "Primus",
    ),
    "layer": (lambda c: network_kwargs(c).update(conv_op="os.system"), "conv_op os.system"),
    "flat layer": (lambda c: network_kwargs(c).update(conv_op="torch.nn.modules.conv.Conv2d"), "Conv2d"),
    "norm": (lambda c: network_kwargs(c).update(norm_op="os.system"), "norm_op os.system"),
    "nonlinearity": (lambda c: network_kwargs(c).update(nonlin="torch.nn.GELU"), "nonlin torch.nn.GELU"),
    "dropout": (lambda c: network_kwargs(c).update(dropout_op="os.system"), "dropout_op os.system"),
    "block": (lambda c: network_kwargs(c).update(block="os.system"), "block os.system"),
    "unknown argument": (lambda c: network_kwargs(c).update(cmd="touch"), "cmd"),
    "levels": (lambda c: network_kwargs(c).update(n_stages=2), "one entry a level"),
    "even kernels": (lambda c: network_kwargs(c).update(kernel_sizes=[2, 2, 2]), "odd"),
    "too wide": (lambda c: network_kwargs(c).update(features_per_stage=[6, 10, 10**9]), "4096"),
    "not a number": (lambda c: configuration(c).update(spacing=[float("nan")] * 3), "finite"),
}


@pytest.mark.parametrize("name", PLANS)
def test_plans_that_are_not_understood_are_refused_by_name(folder, name):
    alter, message = PLANS[name]
    change(folder, "plans.json", alter)
    with pytest.raises((ModelError, ConfigError), match=message):
        read(folder)


def test_a_cascade_is_sealed_with_its_first_stage(tmp_path):
    for name in (LOWRES, CASCADE):
        make_results(tmp_path, CASCADED, name)
    found = read(tmp_path, configuration=CASCADE)
    assert found.description.earlier == (1, 2)
    assert found.earlier is not None
    assert found.earlier.description.input.steps[-1].spacing_mm == (3.0, 3.0, 3.0)
    assert any("first on each case" in note for note in found.notes)
    model = tmp_path / "model"
    model.mkdir()
    spec = write(model, found)
    folder, first = load_earlier(model, spec)
    assert first.digest() == spec.earlier_sha256
    assert first.inputs == 1
    assert spec.inputs == 3
    text = (folder / "model.yaml").read_text().replace("3.0, 3.0, 3.0", "3.0, 3.0, 2.0")
    (folder / "model.yaml").write_text(text)
    with pytest.raises(ModelError, match="isn't the first stage that it was made with"):
        load_earlier(model, spec)


def test_a_cascade_has_two_stages(tmp_path):
    for name in (LOWRES, CASCADE):
        out = make_results(tmp_path, CASCADED, name)
        change(out, "plans.json", lambda c: c["configurations"][LOWRES].update(previous_stage=CASCADE))
    with pytest.raises(ModelError, match="is a first stage and has one itself"):
        read(tmp_path, configuration=CASCADE)


DATASETS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "no labels": (lambda c: c.pop("labels"), "labels"),
    "no channels": (lambda c: c.pop("channel_names"), "channel_names"),
    "no background": (lambda c: c["labels"].pop("background"), "background"),
    "gaps": (lambda c: c["labels"].update(dark=5), "gaps"),
    "only background": (lambda c: c.update(labels={"background": 0}), "labels"),
    "regions without order": (lambda c: c["labels"].update(all=[1, 2]), "regions_class_order"),
    "more channels": (lambda c: c.update(channel_names={"0": "CT", "1": "CT"}), "2 channels"),
}


@pytest.mark.parametrize("name", DATASETS)
def test_data_sets_that_contradict_themselves_are_refused(folder, name):
    alter, message = DATASETS[name]
    change(folder, "dataset.json", alter)
    with pytest.raises(ModelError, match=message):
        read(folder)


def test_an_ignored_label_has_no_channel(folder):
    change(folder, "dataset.json", lambda content: content["labels"].update(ignore=3))
    assert read(folder).description.channels == 3


class Payload:
    """What a pickle would run when it is loaded."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.canary}",)


PLACES: dict[str, Callable[[dict[str, Any], Any], Any]] = {
    "beside": lambda content, payload: content.update(logging=payload),
    "in the weights": lambda content, payload: content["network_weights"].update(extra=payload),
    "deep": lambda content, payload: content["init_args"]["plans"].update(x=[{"y": (payload,)}]),
    "instead of the name": lambda content, payload: content.update(trainer_name=payload),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_payload_is_refused_and_never_run(folder, place, tmp_path):
    path, canary = folder / CHECKPOINT, tmp_path / "canary"
    content = torch.load(path, weights_only=False)
    PLACES[place](content, Payload(canary))
    torch.save(content, path)
    with pytest.raises(ModelError, match=r"system.*nothing was run"):
        read(folder)
    assert not canary.exists()


def test_a_whole_pickled_network_is_refused(folder):
    torch.save(torch.nn.Conv3d(1, 1, 1), folder / CHECKPOINT)
    with pytest.raises(ModelError, match="Conv3d"):
        read(folder)


CHECKPOINTS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "no weights": (lambda c: c.pop("network_weights"), "network_weights"),
    "weights of nothing": (lambda c: c.update(network_weights={}), "no tensors"),
    "no tensor": (lambda c: c["network_weights"].update(extra=3), "no tensor"),
    "axes": (lambda c: c.update(inference_allowed_mirroring_axes=(0, 7)), "axes 0 to 2"),
    "trainer of another network": (lambda c: c.update(trainer_name="nnUNet_Primus_M_Trainer"), "Primus"),
    "trainer": (lambda c: c.update(trainer_name=3), "trainer_name"),
    "another configuration": (lambda c: c["init_args"].update(configuration="2d"), "no configuration '2d'"),
}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_checkpoints_that_do_not_fit_are_refused(folder, name):
    alter, message = CHECKPOINTS[name]
    save(folder, alter)
    with pytest.raises(ModelError, match=message):
        read(folder)


@pytest.mark.parametrize("alter", ["missing", "shape", "unknown"])
def test_weights_that_do_not_fit_the_plan_are_never_installed(folder, alter, tmp_path):
    name = "decoder.transpconvs.0.weight"

    def changed(content: dict[str, Any]) -> None:
        weights = content["network_weights"]
        if alter == "missing":
            del weights[name]
        elif alter == "shape":
            weights[name] = weights[name][:1].clone()
        else:
            weights["more"] = torch.zeros(3)

    save(folder, changed)
    (tmp_path / "model").mkdir()
    with pytest.raises(ModelError):
        write(tmp_path / "model", read(folder))


def test_two_names_of_one_layer_must_agree():
    name = "encoder.stages.0.0.convs.0"
    weights = {f"{name}.conv.weight": torch.zeros(2), f"{name}.all_modules.0.weight": torch.ones(2)}
    with pytest.raises(ModelError, match="two different"):
        network_tensors(weights, 3)


@pytest.mark.parametrize("file", ["plans.json", "dataset.json", CHECKPOINT])
def test_a_link_out_of_the_folder_is_refused(folder, file, tmp_path):
    moved = tmp_path / "elsewhere"
    (folder / file).rename(moved)
    (folder / file).symlink_to(moved)
    with pytest.raises(ModelError, match="leads out"):
        read(folder)


@pytest.mark.parametrize("content", ["", "[1]", "{", "[" * 100_000, '{"a": NaN}'])
@pytest.mark.parametrize("file", ["plans.json", "dataset.json"])
def test_what_is_no_description_is_refused(folder, file, content):
    (folder / file).write_text(content)
    with pytest.raises(ModelError, match=file):
        read(folder)


@pytest.mark.parametrize("content", [b"", b"PK", b"\x80\x02cposix\nsystem\n."])
def test_what_is_no_checkpoint_is_refused(folder, content):
    (folder / CHECKPOINT).write_bytes(content)
    with pytest.raises(ModelError, match="checkpoint"):
        read(folder)


def test_a_checkpoint_cut_short_is_refused(folder):
    path = folder / CHECKPOINT
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    lost = next(name for name in entries if "/data/" in name)
    for kept in ({lost: None}, {lost: entries[lost][:-4]}):
        with zipfile.ZipFile(path, "w") as archive:
            for name, bytes_ in {**entries, **kept}.items():
                if bytes_ is not None:
                    archive.writestr(name, bytes_)
        with pytest.raises(ModelError, match="numbers"):
            read(folder)


@pytest.fixture(scope="module")
def contents(plain):
    with zipfile.ZipFile(plain / CHECKPOINT) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_damage_to_the_table_of_contents_is_told_as_such(contents, tmp_path_factory, data):
    """Whatever is flipped, cut or doubled: a model, or one of our errors; never another."""
    name = next(name for name in contents if name.endswith("data.pkl"))
    content = bytearray(contents[name])
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    path = tmp_path_factory.mktemp("damaged") / "fold_0" / "checkpoint_final.pth"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        for entry, own in {**contents, name: bytes(content)}.items():
            archive.writestr(entry, own)
    try:
        found = read_checkpoint(path)
    except TomosurfError:
        return
    assert all(isinstance(tensor, torch.Tensor) for tensor in found.weights.values())


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_read_without_harm(content):
    try:
        described(content)
    except ModelError:
        return


def test_a_tensor_outside_its_numbers_is_refused(folder):
    def shared(content: dict[str, Any]) -> None:
        content["network_weights"]["extra"] = torch.as_strided(torch.zeros(4), (2, 2), (2, 1), 0)

    save(folder, shared)
    path = folder / CHECKPOINT
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    name = next(name for name in entries if name.endswith("data.pkl"))
    # the shape (2, 2) of the last tensor becomes (2, 9): K is an integer of one byte, \x86 a pair
    assert entries[name].count(b"K\x02K\x02\x86") == 1
    entries[name] = entries[name].replace(b"K\x02K\x02\x86", b"K\x02K\x09\x86")
    with zipfile.ZipFile(path, "w") as archive:
        for entry, own in entries.items():
            archive.writestr(entry, own)
    with pytest.raises(ModelError, match="larger than its numbers"):
        read(folder)


def test_numbers_of_the_trainer_are_no_weights(plain):
    found = read_checkpoint(plain / CHECKPOINT)
    assert found.trainer == "nnUNetTrainer"
    assert found.configuration == "3d_fullres"
    assert np.isfinite(sum(float(tensor.double().sum()) for tensor in found.weights.values()))

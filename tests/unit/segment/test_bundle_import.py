"""What of a bundle is understood, and that nothing in a hostile one is ever run."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests import zoo_bundles
from tests.zoo_bundles import ZOO, Zoo
from tomosurf.errors import ConfigError, ModelError, TomosurfError
from tomosurf.segment.architectures import build
from tomosurf.segment.bundle import IMPORTER
from tomosurf.segment.bundle.expressions import Above, recognised
from tomosurf.segment.model.imported import ImportChoices
from tomosurf.segment.model.steps import CropForeground, FixedRange, Orient, Pad, Resample

UNET, WHOLE_BODY, REGIONS = ZOO[0], ZOO[1], ZOO[4]
NO_CHOICES = ImportChoices()


def network_of(zoo: Zoo) -> Any:
    """As MONAI builds it."""
    from monai.networks import nets

    arguments = {key: value for key, value in zoo.network.items() if key != "_target_"}
    torch.manual_seed(0)
    return getattr(nets, zoo.network["_target_"].rpartition(".")[2])(**arguments).eval()


def bundle(tmp_path: Path, zoo: Zoo = UNET, **how: Any) -> Path:
    return zoo_bundles.write(tmp_path / "a-bundle", zoo, network_of(zoo).state_dict(), **how)


def changed(folder: Path, change: Any, file: str = "inference.json") -> Path:
    """The same bundle with its configuration changed in place by a function."""
    path = folder / "configs" / file
    values = json.loads(path.read_text())
    path.write_text(json.dumps(change(values) or values))
    return folder


def test_a_bundle_becomes_a_description(tmp_path):
    folder = bundle(tmp_path)
    assert IMPORTER.recognises(folder)
    found = IMPORTER.read(folder, NO_CHOICES).description
    assert (found.name, found.version, found.licence, found.modality) == (
        "a-bundle",
        "0.4.2",
        "Apache-2.0",
        "CT",
    )
    assert found.architecture.name == "UNet"
    assert found.channels == 3
    assert found.activation == "softmax"
    assert found.window is not None
    assert (found.window.roi, found.window.overlap, found.window.mode) == ((32, 32, 32), 0.5, "constant")
    assert [segment.name for segment in found.segments] == ["bright_ball", "pale_ball"]
    assert found.input.steps == (
        Orient(axes="RAS"),
        Resample(spacing_mm=(1.5, 1.5, 2.0), grid="monai"),
        FixedRange(lower=-160, upper=240),
    )


def test_yaml_says_the_same_as_json(tmp_path):
    one = IMPORTER.read(bundle(tmp_path / "json"), NO_CHOICES)
    other = IMPORTER.read(bundle(tmp_path / "yaml", as_yaml=True), NO_CHOICES)
    assert one.description == other.description


@pytest.mark.parametrize("zoo", ZOO, ids=lambda zoo: zoo.name)
def test_weights_fill_the_same_network(zoo, tmp_path):
    """MONAI's own module and ours give the same numbers."""
    theirs = network_of(zoo)
    folder = zoo_bundles.write(
        tmp_path / "b", zoo, {"module." + k: v for k, v in theirs.state_dict().items()}
    )
    order = zoo.channels if zoo is REGIONS else ()
    found = IMPORTER.read(folder, ImportChoices(order=order))
    ours = build(found.description.architecture, 1, found.description.channels).eval()
    missing = ours.load_state_dict(dict(found.state_dicts[0]), strict=False)
    assert not missing.unexpected_keys
    roi = zoo.inferer.get("roi_size", [16, 16, 16])
    image = torch.randn(1, 1, *roi, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(ours(image), theirs(image))


@pytest.mark.parametrize("kept", ["scripted", "traced"])
def test_torchscript_gives_the_same_tensors(kept, tmp_path):
    network = network_of(UNET)
    folder = bundle(tmp_path)
    plain = IMPORTER.read(folder, NO_CHOICES)
    (folder / "models" / "model.pt").unlink()
    example = torch.zeros(1, 1, 16, 16, 16)
    script = torch.jit.script(network) if kept == "scripted" else torch.jit.trace(network, example)
    script.save(str(folder / "models" / "model.ts"))
    found = IMPORTER.read(folder, NO_CHOICES)
    assert found.state_dicts[0].keys() == plain.state_dicts[0].keys()
    assert all(torch.equal(t, plain.state_dicts[0][name]) for name, t in found.state_dicts[0].items())


@pytest.mark.parametrize("key", ["model", "state_dict", "network"])
def test_weights_among_other_things_are_found(key, tmp_path):
    folder = bundle(tmp_path)
    weights = torch.load(folder / "models" / "model.pt", weights_only=True)
    torch.save({key: weights, "epoch": 3}, folder / "models" / "model.pt")
    assert IMPORTER.read(folder, NO_CHOICES).state_dicts[0]


def test_overlapping_channels_need_an_order_and_follow_it(tmp_path):
    folder = bundle(tmp_path, REGIONS)
    with pytest.raises(ConfigError, match="--order"):
        IMPORTER.read(folder, NO_CHOICES)
    as_is = IMPORTER.read(folder, ImportChoices(order=("bright ball", "any ball")))
    turned = IMPORTER.read(folder, ImportChoices(order=("any_ball", "bright_ball")))
    assert as_is.description.regions == (1, 2)
    assert turned.description.regions == (2, 1)
    image = torch.randn(1, 1, 16, 16, 16)
    outputs = []
    for found in (as_is, turned):
        network = build(found.description.architecture, 1, 2).eval()
        network.load_state_dict(dict(found.state_dicts[0]))
        with torch.no_grad():
            outputs.append(network(image))
    assert torch.allclose(outputs[0], outputs[1].flip(1), atol=1e-6)


def test_the_order_that_a_bundle_states_is_taken(tmp_path):
    joined = "$lambda x: torch.where(x[[0]] > 0, 4, torch.where(x[[1]] > 0, 2, 0))"
    step = {"_target_": "Lambdad", "keys": "pred", "func": joined}
    folder = changed(bundle(tmp_path, REGIONS), lambda c: c["postprocessing"]["transforms"].append(step))
    found = IMPORTER.read(folder, NO_CHOICES).description
    assert found.regions == (2, 4)
    assert [(s.label, s.name) for s in found.segments] == [(2, "any_ball"), (4, "bright_ball")]


def test_replicated_borders_become_a_pad(tmp_path):
    folder = changed(bundle(tmp_path), _set("inferer", "padding_mode", to="replicate"))
    assert IMPORTER.read(folder, NO_CHOICES).description.input.steps[-1] == Pad(
        at_least=(32, 32, 32), value="edge"
    )


def test_references_of_all_kinds_are_followed(tmp_path):
    def change(config: dict[str, Any]) -> None:
        config["shape"] = {"roi": "$list(range(32, 35))[0]", "list": ["%shape::roi", "@shape#roi", 32]}
        config["inferer"]["roi_size"] = "@shape::list"
        config["inferer"]["overlap"] = "%other.json::overlap"
        config["preprocessing"]["transforms"].insert(2, "@crop")
        config["crop"] = {
            "_target_": "CropForegroundd",
            "keys": ["image", "label"],
            "source_key": "image",
            "select_fn": "$lambda x: x > -500",
            "margin": 2,
        }

    folder = changed(bundle(tmp_path), change)
    (folder / "configs" / "other.json").write_text('{"overlap": 0.75}')
    found = IMPORTER.read(folder, NO_CHOICES).description
    assert found.window is not None
    assert (found.window.roi, found.window.overlap) == ((32, 32, 32), 0.75)
    assert CropForeground(above=-500, margin=(2, 2, 2), beyond="pad") in found.input.steps


def test_expressions_are_told_by_their_form():
    known = {"a": [1, 2], "path": "x", "off": False}
    assert recognised("[1.5, 1.5] if @off else [3.0, 3.0]", known.get) == [3.0, 3.0]
    assert recognised("@path + '/models/' + 'm.pt'", known.get) == "x/models/m.pt"
    assert recognised("@a[0] * -2", known.get) == -2
    assert recognised("lambda x: x > -3.5", known.get) == Above(-3.5)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "os.system('true')",
        "import os",
        "open('/etc/passwd').read()",
        "(lambda: 1)()",
        "[x for x in range(9)]",
        "@a.__class__",
        "'a' * 1000000000",
        "9**9**9",
        "list(range(10**9))",
        "print(1)",
        "f'{1}'",
        "(" * 400 + ")" * 400,
        "1" * 2000,
        "lambda x, y=print(1): x > 0",
    ],
)
def test_other_expressions_are_refused_by_name(text):
    with pytest.raises(ModelError, match="expression"):
        recognised(text, {"a": [1]}.get)


def _set(*place: Any, to: Any) -> Any:
    def change(config: dict[str, Any]) -> None:
        here: Any = config
        for key in place[:-1]:
            here = here[key]
        if to is None:
            del here[place[-1]]
        else:
            here[place[-1]] = to

    return change


STEPS = ("preprocessing", "transforms")
BAD = {
    "no network": (_set("network_def", to=None), "network_def"),
    "no preprocessing": (_set("preprocessing", to=None), "preprocessing"),
    "no inferer": (_set("inferer", to=None), "inferer"),
    "no postprocessing": (_set("postprocessing", to=None), "postprocessing"),
    "a process": (
        _set("network_def", to={"_target_": "subprocess.run", "args": ["touch CANARY"]}),
        "subprocess",
    ),
    "a shell": (_set("network_def", "channels", to="$__import__('os').system('touch CANARY')"), "expression"),
    "an import": (_set("network_def", "channels", to="$import os; os.system('touch CANARY')"), "expression"),
    "a shell in a step": (
        _set(*STEPS, 3, "pixdim", to="$[open('CANARY', 'w').close() or 1.0] * 3"),
        "expression",
    ),
    "a foreign module": (_set("network_def", "_target_", to="evil.networks.nets.UNet"), "evil"),
    "a foreign transform": (_set(*STEPS, 2, "_target_", to="scripts.custom.Orientationd"), "Orientationd"),
    "an unknown transform": (_set(*STEPS, 2, "_target_", to="RandGaussianNoised"), "RandGaussianNoised"),
    "an unknown argument": (_set(*STEPS, 3, "scale_extent_too", to=1), "scale_extent_too"),
    "an unknown argument of the network": (_set("network_def", "cheese", to=1), "cheese"),
    "a meaningful argument": (_set(*STEPS, 3, "align_corners", to=True), "align_corners"),
    "two dimensions": (_set("network_def", "spatial_dims", to=2), "spatial_dims"),
    "a slice inferer": (_set("inferer", "_target_", to="SliceInferer"), "SliceInferer"),
    "another padding": (_set("inferer", "padding_mode", to="reflect"), "padding_mode"),
    "another function": (
        _set(
            "postprocessing",
            "transforms",
            0,
            to={"_target_": "Lambdad", "keys": "pred", "func": "$lambda x: x + 1"},
        ),
        "expression",
    ),
    "no decision": (_set("postprocessing", "transforms", to=[]), "AsDiscrete"),
    "another threshold": (
        _set(
            "postprocessing", "transforms", to=[{"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.3}]
        ),
        "threshold",
    ),
    "a circle": (_set("network_def", "channels", to="@network_def::channels"), "circle"),
    "nowhere": (_set("network_def", "channels", to="@not_here"), "not_here"),
    "a file outside": (_set("network_def", "channels", to="%../../secret.json::a"), "leads out"),
    "weights outside": (_set("checkpointloader", "load_path", to="../../weights.pt"), "leads out"),
    "weights elsewhere": (_set("checkpointloader", "load_path", to="/etc/weights.pt"), "leads out"),
    "deep lists": (_set("network_def", "channels", to=json.loads("[" * 90 + "]" * 90)), "nested|circle"),
    "a width that no memory holds": (
        _set("network_def", "channels", to=[4096, 4096, 4096]),
        "not",
    ),
    "an impossible width": (_set("network_def", "channels", to=[10**9, 4, 4]), "channels"),
    "a text for a number": (_set("network_def", "in_channels", to="one"), "in_channels"),
    "a roi that doesn't divide": (_set("inferer", "roi_size", to=[30, 31, 32]), "roi"),
    "another shape": (_set("network_def", "channels", to=[8, 16, 32]), "not"),
    "another number of outputs": (_set("network_def", "out_channels", to=4), "channel_def"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_not_understood_is_refused_and_nothing_runs(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    change, told = BAD[case]
    folder = changed(bundle(tmp_path), change)
    with pytest.raises(TomosurfError, match=told):
        IMPORTER.read(folder, NO_CHOICES)
    assert not list(tmp_path.rglob("CANARY"))


class Payload:
    """Pickled, it would make a file when it is read."""

    def __reduce__(self) -> Any:
        return (Path.touch, (Path("CANARY"),))


@pytest.mark.parametrize("suffix", ["pt", "ts"])
def test_a_pickled_payload_is_refused(suffix, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = bundle(tmp_path)
    (folder / "models" / "model.pt").unlink()
    torch.save({"model": Payload()}, folder / "models" / f"model.{suffix}")
    with pytest.raises(ModelError, match=r"[nN]othing"):
        IMPORTER.read(folder, NO_CHOICES)
    assert not list(tmp_path.rglob("CANARY"))


def test_a_link_out_of_the_folder_is_not_followed(tmp_path):
    folder = bundle(tmp_path)
    (folder / "models" / "model.pt").rename(tmp_path / "weights.pt")
    (folder / "models" / "model.pt").symlink_to(tmp_path / "weights.pt")
    with pytest.raises(ModelError, match="leads out"):
        IMPORTER.read(folder, NO_CHOICES)


@pytest.mark.parametrize(
    "content",
    [b"{", b"\xff\xfe\x00", b"[1, 2]", b"[" * 100_000, b"a: 1", b'{"a": ' * 3000 + b"1" + b"}" * 3000],
    ids=["cut", "binary", "list", "brackets", "yaml", "deep"],
)
def test_broken_configurations_are_told(content, tmp_path):
    folder = bundle(tmp_path)
    (folder / "configs" / "inference.json").write_bytes(content)
    with pytest.raises(ModelError):
        IMPORTER.read(folder, NO_CHOICES)


def test_a_billion_laughs_are_cut_short(tmp_path):
    folder = bundle(tmp_path, as_yaml=True)
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    path = folder / "configs" / "inference.yaml"
    text = path.read_text().replace("channels:\n  - 8\n  - 16\n  - 24\n", "channels: '@a8'\n")
    path.write_text("\n".join(lines) + "\n" + text)
    with pytest.raises(ModelError, match="more values"):
        IMPORTER.read(folder, NO_CHOICES)


def test_large_files_are_refused_by_size(tmp_path):
    folder = bundle(tmp_path)
    with (folder / "configs" / "inference.json").open("r+b") as file:
        file.truncate(5 << 20)
    with pytest.raises(ModelError, match="larger"):
        IMPORTER.read(folder, NO_CHOICES)


def test_tensors_that_do_not_fit_are_named(tmp_path):
    weights = dict(network_of(UNET).state_dict())
    first = next(iter(weights))
    for spoilt, told in (
        ({k: v for k, v in weights.items() if k != first}, "missing"),
        ({**weights, "more": torch.zeros(1)}, "unknown"),
        ({**weights, first: weights[first] * torch.nan}, "finite"),
        ({**weights, first: weights[first][:1]}, "not"),
        ({**weights, first: weights[first].to(torch.int64)}, "not"),
    ):
        folder = tmp_path / told / str(len(list(tmp_path.rglob("*"))))
        zoo_bundles.write(folder, UNET, spoilt)
        with pytest.raises(ModelError, match=told):
            IMPORTER.read(folder, NO_CHOICES)


def test_a_searched_topology_is_read_from_its_file(tmp_path):
    """As the Model Zoo's DiNTS bundles keep it: numpy arrays in a file beside the weights."""
    from monai.networks.nets import DiNTS, TopologyInstance

    random = np.random.default_rng(0)
    paths, operations = np.ones((3, 7)), random.integers(0, 5, (3, 7)).astype(float)
    nodes = np.ones((4, 3))
    space = {
        "_target_": "monai.networks.nets.TopologyInstance",
        "channel_mul": 0.125,
        "num_blocks": 3,
        "num_depths": 3,
        "use_downsample": True,
        "arch_code": ["$@arch_ckpt['arch_code_a']", "$@arch_ckpt['arch_code_c']"],
        "device": "$torch.device('cuda')",
    }
    zoo = Zoo(
        "dints",
        {
            "_target_": "monai.networks.nets.DiNTS",
            "dints_space": "@dints_space",
            "in_channels": 1,
            "num_classes": 3,
            "use_downsample": True,
            "node_a": "$torch.from_numpy(@arch_ckpt['node_a'])",
        },
        UNET.preprocessing,
        UNET.inferer,
        UNET.postprocessing,
        extra={
            "arch_ckpt_path": "/workspace/models/search_code.pt",
            "arch_ckpt": "$torch.load(@arch_ckpt_path, map_location=torch.device('cuda'))",
            "dints_space": space,
        },
    )
    topology = TopologyInstance([paths, operations], 0.125, num_blocks=3, num_depths=3)
    theirs = DiNTS(topology, 1, 3, node_a=torch.from_numpy(nodes)).eval()
    folder = zoo_bundles.write(tmp_path / "dints", zoo, theirs.state_dict())
    codes = {"arch_code_a": paths, "arch_code_c": operations, "node_a": nodes}
    torch.save(codes, folder / "models" / "search_code.pt")
    found = IMPORTER.read(folder, NO_CHOICES)
    ours = build(found.description.architecture, 1, 3).eval()
    ours.load_state_dict(dict(found.state_dicts[0]))
    image = torch.randn(1, 1, 32, 32, 32)
    with torch.no_grad():
        assert torch.equal(ours(image), theirs(image))


def test_missing_weights_say_where_they_may_be(tmp_path):
    folder = bundle(tmp_path)
    (folder / "models" / "model.pt").unlink()
    with pytest.raises(ModelError, match="large_files"):
        IMPORTER.read(folder, NO_CHOICES)


def test_choices_go_before_the_folder(tmp_path):
    folder = bundle(tmp_path, WHOLE_BODY)
    (folder / "LICENSE").unlink()
    found = IMPORTER.read(folder, NO_CHOICES)
    assert found.description.licence == "not stated"
    assert any("licence" in note for note in found.notes)
    chosen = IMPORTER.read(folder, ImportChoices(name="mine", licence="CC0-1.0", modality="MR")).description
    assert (chosen.name, chosen.licence, chosen.modality) == ("mine", "CC0-1.0", "MR")


def test_every_part_may_be_missing_one_value_without_a_crash(tmp_path):
    """Each key of the configuration's four parts, taken away in turn, is refused in words or changes nothing."""
    folder = bundle(tmp_path)
    path = folder / "configs" / "inference.json"
    whole = json.loads(path.read_text())
    for part in ("network_def", "inferer"):
        for key in whole[part]:
            less = copy.deepcopy(whole)
            del less[part][key]
            path.write_text(json.dumps(less))
            try:
                IMPORTER.read(folder, NO_CHOICES)
            except TomosurfError as error:
                assert str(error)

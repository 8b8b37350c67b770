"""Imported bundles give what MONAI gives when it runs them itself, on an image that lies across the patient.

Weights are fitted for a moment to the image's own balls, so that boundaries are smooth and not noise. MONAI
reads the image from a NIfTI file and runs the bundle's own components, as its configuration says.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests import zoo_bundles
from tests.zoo_bundles import ZOO, Zoo
from tomosurf.config import NetworkMethod
from tomosurf.data.geometry import Geometry
from tomosurf.data.volume import Volume
from tomosurf.export.nifti import write_volume
from tomosurf.progress import silent
from tomosurf.refine.refine import refine
from tomosurf.segment.bundle import IMPORTER
from tomosurf.segment.engine import slabs
from tomosurf.segment.model import library
from tomosurf.segment.model.imported import ImportChoices
from tomosurf.segment.model.spec import load_spec
from tomosurf.segment.network import segment
from tomosurf.segment.options import SegmentOptions
from tomosurf.segment.outputs.slab import Slab
from tomosurf.segment.prepare.pad import unpadded, without_padding
from tomosurf.segment.prepare.prepare import prepare

LARGEST_DIFFERENCE = 1e-3
"""Between our logits and MONAI's, float32."""

LEAST_EQUAL = 0.999
"""Share of the image's voxels with the same label."""

BALLS = ((np.array([-9.0, -6.0, 4.0]), 13.0, 260.0), (np.array([13.0, 9.0, -5.0]), 10.0, 110.0))
"""Centre (LPS mm), radius (mm), level."""

TO_RAS = np.array([-1.0, -1.0, 1.0])


def oblique() -> Geometry:
    """Anisotropic, tilted about two axes, the stack running down and the rows to the front: no RAS."""
    a, b = np.deg2rad((14.0, -9.0))
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]]) @ np.array(
        [[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]]
    )
    axes = turn @ np.array([[0, 1, 0], [-1, 0, 0], [0, 0, -1]], float)
    shape, affine = (46, 52, 21), np.eye(4)
    affine[:3, :3] = axes * (1.3, 1.1, 2.7)
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Geometry(shape, affine)


def truth(points: np.ndarray) -> np.ndarray:
    """0, 1 (bright) or 2 (paler) at LPS points (n, 3)."""
    labels = np.zeros(len(points), np.int64)
    for label, (centre, radius, _) in enumerate(BALLS, 1):
        labels[np.linalg.norm(points - centre, axis=1) < radius] = label
    return labels


def points_of(geometry: Geometry) -> np.ndarray:
    index = np.stack(np.meshgrid(*(np.arange(n) for n in geometry.shape), indexing="ij"), axis=-1)
    return geometry.to_world(index.reshape(-1, 3))


@pytest.fixture(scope="module")
def volume() -> Volume:
    """The balls in noise, inside a wide ball of tissue, with air around."""
    geometry = oblique()
    points = points_of(geometry)
    values = np.where(np.linalg.norm(points, axis=1) < 27, 0.0, -600.0)
    for centre, radius, level in BALLS:
        inside = np.clip((radius - np.linalg.norm(points - centre, axis=1)) / 2 + 0.5, 0, 1)
        values = values * (1 - inside) + level * inside
    values += np.random.default_rng(0).normal(0, 5, len(values))
    array = values.astype(np.float32).reshape(geometry.shape)
    return Volume(geometry, np.asfortranarray(array), "")


@dataclass
class Original:
    """A bundle run by MONAI."""

    logits: np.ndarray
    labels: np.ndarray
    shape_seen: tuple[int, ...]
    weights: dict[str, torch.Tensor]


def run_by_monai(zoo: Zoo, folder: Path, image: Path) -> Original:
    """Read by MONAI's own parser, fitted, run and inverted as the configuration says."""
    from monai.bundle import ConfigParser
    from monai.data import MetaTensor

    parser = ConfigParser()
    parser.read_config(str(folder / "configs" / "inference.json"))
    torch.manual_seed(3)
    network = parser.get_parsed_content("network_def")
    case = parser.get_parsed_content("preprocessing")({"image": str(image)})
    fit(network, case["image"], zoo)
    with torch.no_grad():
        outputs = parser.get_parsed_content("inferer")(case["image"].as_tensor()[None], network)[0]
    case["pred"] = MetaTensor(outputs)
    shape = tuple(case["image"].shape[1:])
    done = parser.get_parsed_content("postprocessing")(case)
    return Original(
        outputs.numpy(),
        np.asarray(done["pred"]).astype(int),
        shape,
        {name: tensor.detach().clone() for name, tensor in network.state_dict().items()},
    )


def fit(network: Any, image: Any, zoo: Zoo) -> None:
    """A few steps on windows of the image that MONAI prepared, each around some voxel of a ball."""
    affine = np.diag([*TO_RAS, 1]) @ np.asarray(image.affine, np.float64)
    shape = tuple(image.shape[1:])
    wanted = truth(points_of(Geometry((shape[0], shape[1], shape[2]), affine))).reshape(shape)
    roi = zoo.inferer.get("roi_size", (24, 24, 24))
    pad = [(0, max(r - n, 0)) for r, n in zip(roi, shape, strict=True)]
    values = torch.from_numpy(np.pad(image.numpy(), [(0, 0), *pad]))
    labels = torch.from_numpy(np.pad(wanted, pad))
    random = np.random.default_rng(1)
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.01)
    network.train()
    for step in range(STEPS.get(zoo.name, 24)):
        middle = random.choice(np.argwhere(wanted == 1 + step % 2))
        start = [
            int(np.clip(m - r // 2, 0, n - r)) for m, r, n in zip(middle, roi, labels.shape, strict=True)
        ]
        cut = tuple(slice(a, a + r) for a, r in zip(start, roi, strict=True))
        output = network(values[(None, slice(None), *cut)])
        output = output[0] if isinstance(output, list) else output
        loss = loss_of(output, labels[cut][None])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    network.eval()


STEPS = {"swin_unetr_abdomen": 24, "dynunet_cropped": 100, "segresnet_whole_body": 48, "unetr_ct": 36}


def loss_of(output: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Smoothed, so that outputs stay as soft as those of a network that saw many patients."""
    if output.shape[1] == 3:
        return torch.nn.functional.cross_entropy(
            output, labels, weight=torch.tensor([1.0, 2.0, 3.0]), label_smoothing=0.1
        )
    regions = torch.stack([labels == 1, labels > 0], dim=1)[:, : output.shape[1]].float()
    return torch.nn.functional.binary_cross_entropy_with_logits(output, regions * 0.9 + 0.05)


def logits_of(folder: Path, volume: Volume, zoo: Zoo) -> tuple[np.ndarray, tuple[int, ...]]:
    """Ours, whole, in the order of the network's outputs here; MONAI takes an inferer's padding off itself."""
    spec = load_spec(folder)
    seen = prepare([volume], spec.input)
    options = SegmentOptions(device="cpu", precision="float32")
    outputs: Iterable[Slab] = slabs(folder, spec, seen, options, silent)
    if "padding_mode" in zoo.inferer:
        outputs, seen = unpadded(outputs, seen), without_padding(seen)
    parts = list(outputs)
    return torch.cat([part.values for part in parts], dim=1 + parts[0].axis).numpy(), seen.image.shape[1:]


@pytest.mark.parametrize("zoo", ZOO[:7], ids=lambda zoo: zoo.name)
def test_an_imported_bundle_agrees_with_monai(zoo, volume, tmp_path, monkeypatch):
    monkeypatch.setenv("TOMOSURF_MODELS", str(tmp_path / "models"))
    image = tmp_path / "image.nii.gz"
    write_volume(volume, image)
    folder = zoo_bundles.write(tmp_path / zoo.name, zoo)
    original = run_by_monai(zoo, folder, image)
    torch.save(original.weights, folder / "models" / "model.pt")

    order = tuple(reversed(zoo.channels)) if len(zoo.channels) == 2 else ()
    imported = IMPORTER.read(folder, ImportChoices(order=order))
    installed = library.install(imported)

    ours, shape = logits_of(installed, volume, zoo)
    assert tuple(shape) == original.shape_seen
    theirs = original.logits[::-1] if order else original.logits
    assert np.ptp(theirs) > 1, "the network learned nothing"
    assert np.abs(ours - theirs).max() <= LARGEST_DIFFERENCE

    found = segment(
        volume,
        NetworkMethod(method="network", model=str(installed)),
        SegmentOptions(device="cpu", precision="float32"),
    )
    found = refine(found, load_spec(installed).refine)
    expected = original.labels
    if order:  # painted in order: any ball first, the bright one over it
        expected = np.where(expected[0] > 0, 1, np.where(expected[1] > 0, 2, 0))[None]
    assert {1, 2} <= set(np.unique(expected)) or zoo.network["out_channels"] == 1
    assert np.mean(found.labels == expected[0]) >= LEAST_EQUAL

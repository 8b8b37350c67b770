"""The network segmenter: labels follow the anatomy, whatever the grid."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings

from tests.two_balls import LEVELS, SPACING, description, grid, image, truth
from tests.unit.conftest import Trained
from tomosurf.components import component_sizes, label_components
from tomosurf.config import NetworkMethod
from tomosurf.data.geometry import Geometry
from tomosurf.data.segmentation import Segmentation
from tomosurf.data.volume import Volume
from tomosurf.errors import ConfigError, DataError, InputRefused, ModelError, UnknownNameError
from tomosurf.segment.device import choose_device
from tomosurf.segment.engine.tiles import tiling
from tomosurf.segment.model.spec import Window, load_spec
from tomosurf.segment.model.steps import Orient
from tomosurf.segment.model.weights import load_networks
from tomosurf.segment.network import segment
from tomosurf.segment.options import SegmentOptions
from tomosurf.segment.prepare.model_grid import covering, oriented
from tomosurf.segment.prepare.prepare import prepare
from tomosurf.testing import strategies

CPU = SegmentOptions(device="cpu", precision="float32")
TURNS = [(axes, flips) for axes in permutations(range(3)) for flips in product((1, -1), repeat=3)]


def found(volume: Volume, model: Path) -> Segmentation:
    return segment(volume, NetworkMethod(method="network", model=str(model)), CPU)


def dice(ours: np.ndarray, theirs: np.ndarray, label: int) -> float:
    return 2 * ((ours == label) & (theirs == label)).sum() / ((ours == label).sum() + (theirs == label).sum())


def turned(volume: Volume, axes: tuple[int, ...], flips: tuple[int, ...]) -> tuple[Volume, tuple[slice, ...]]:
    """The same voxels in the same places, stored with axes permuted and flipped."""
    change = np.zeros((4, 4))
    change[3, 3] = 1
    for axis, (source, flip) in enumerate(zip(axes, flips, strict=True)):
        change[source, axis] = flip
        change[source, 3] = 0 if flip > 0 else volume.geometry.shape[source] - 1
    cut = tuple(slice(None, None, flip) for flip in flips)
    array = volume.array.transpose(axes)[cut]
    return Volume(Geometry(array.shape, volume.geometry.affine @ change), array, "MR"), cut


def test_it_finds_what_is_there(trained: Trained) -> None:
    volume = image(grid())
    result = found(volume, trained.model)
    assert result.labels.dtype == np.uint8
    assert result.labels.flags.f_contiguous
    assert [item.name for item in result.segments] == ["bright", "dark"]
    for label in LEVELS:
        assert dice(result.labels, truth(volume.geometry), label) > 0.9


def test_labels_are_where_margins_are_above_zero(trained: Trained) -> None:
    result = found(image(grid()), trained.model)
    assert set(result.margins) == {1, 2}
    for label, margin in result.margins.items():
        whole = np.zeros(result.labels.shape, bool)
        start = np.rint(result.geometry.to_index([margin.geometry.origin])[0]).astype(int)
        cut = tuple(slice(a, a + n) for a, n in zip(start, margin.values.shape, strict=True))
        whole[cut] = margin.values > 0
        assert np.array_equal(whole, result.labels == label)
        assert margin.values.shape < result.labels.shape
        border = margin.values.copy()
        border[1:-1, 1:-1, 1:-1] = -1
        assert border.max() < 0


@pytest.fixture(scope="module")
def upright(trained: Trained) -> Segmentation:
    """Both balls on the model's own grid."""
    return found(image(grid()), trained.model)


@pytest.mark.parametrize(("axes", "flips"), TURNS)
def test_labels_move_with_the_anatomy(
    trained: Trained, upright: Segmentation, axes: tuple[int, ...], flips: tuple[int, ...]
) -> None:
    other, cut = turned(image(grid()), axes, flips)
    ours, theirs = found(other, trained.model), upright
    assert np.array_equal(ours.labels, theirs.labels.transpose(axes)[cut])
    for label in LEVELS:
        middle = np.argwhere(ours.labels == label).mean(axis=0)
        np.testing.assert_allclose(other.geometry.to_world([middle])[0], LEVELS[label][0].centre, atol=0.75)
        a, b = ours.margins[label], theirs.margins[label]
        assert np.sort(a.geometry.corners(), axis=0) == pytest.approx(np.sort(b.geometry.corners(), axis=0))


def test_the_network_sees_what_monai_would_show_it(trained: Trained) -> None:
    """Our frame bookkeeping against MONAI's own Orientation and sliding window on the same oblique stack."""
    from monai.data import MetaTensor
    from monai.inferers import sliding_window_inference
    from monai.transforms import Orientation

    spec = load_spec(trained.model)
    volume, _ = turned(image(grid()), (2, 0, 1), (-1, 1, -1))
    tilt = np.eye(4)
    tilt[:2, :2] = [[np.cos(0.2), -np.sin(0.2)], [np.sin(0.2), np.cos(0.2)]]
    volume = replace(volume, geometry=Geometry(volume.geometry.shape, tilt @ volume.geometry.affine))
    ours = prepare((volume,), spec.input).image[0]
    ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.geometry.affine
    tensor = MetaTensor(torch.from_numpy(volume.array.copy())[None], affine=torch.from_numpy(ras))
    theirs = Orientation(axcodes="RAS", labels=None)(tensor)
    theirs = (theirs - theirs.mean()) / theirs.std(unbiased=False)
    np.testing.assert_allclose(ours, theirs[0].numpy(), atol=1e-4)
    (network,) = load_networks(trained.model, spec)
    with torch.inference_mode():
        logits = sliding_window_inference(theirs[None].as_tensor(), (20, 20, 16), 1, network, 0.5, "gaussian")
    winner = MetaTensor(logits[0].argmax(dim=0)[None], affine=theirs.affine)
    back = Orientation(axcodes="".join(_codes(ras)), labels=None)(winner)
    assert np.array_equal(back[0].numpy().astype(np.uint8), found(volume, trained.model).labels)


def _codes(affine: np.ndarray) -> tuple[str, ...]:
    import nibabel

    return tuple(nibabel.aff2axcodes(affine))


@pytest.mark.parametrize(
    ("shape", "spacing"),
    [((60, 54, 50), (0.7, 0.85, 0.95)), ((16, 15, 14), (2.6, 3.0, 3.4)), ((60, 15, 48), (0.7, 3.0, 1.0))],
)
def test_an_image_of_another_spacing_is_resampled_in_place(
    trained: Trained, shape: tuple[int, int, int], spacing: tuple[float, float, float]
) -> None:
    volume = image(grid(shape, spacing))
    result = found(volume, trained.model)
    assert result.provenance["resampled"] is True
    for label, (ball, _) in LEVELS.items():
        assert result.margins[label].geometry.spacing == pytest.approx(SPACING)
        assert abs(_volume(result, label) / ball.volume - 1) < 0.12
        assert np.linalg.norm(_centroid(result, label) - ball.centre) < 0.6
        # Labels and margins tell of the same place: read each margin at the voxels' centres.
        inside = _read(result, label)
        assert np.mean((inside > 0) == (result.labels == label)) > 0.998


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(affine=strategies.affines(spacing=(1.2, 2.6)))
def test_any_affine_shear_included(trained: Trained, affine: np.ndarray) -> None:
    """Oblique, flipped, sheared stacks: each ball is found where it is, and reaches no farther than it does.

    Coarse images blur the balls, and so small a network also takes a stray voxel elsewhere: the largest piece
    counts, to a voxel's size. A mix-up of axes or a wrong scale would be off by a ball's radius.
    """
    index_edges = np.linalg.norm(affine[:3, :3], axis=0)
    shape = tuple(int(np.ceil(58 / edge)) for edge in index_edges)
    affine = affine.copy()
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    volume = image(Geometry(shape, affine))
    result = found(volume, trained.model)
    diagonal = np.linalg.norm(np.abs(affine[:3, :3]).sum(axis=1))
    for label, (ball, _) in LEVELS.items():
        numbered = label_components(np.asfortranarray(result.labels == label))
        largest = numbered == component_sizes(numbered).argmax()
        points = volume.geometry.to_world(np.argwhere(largest))
        assert np.linalg.norm(points.mean(axis=0) - ball.centre) < diagonal / 2
        assert ball.signed_distance(points).max() < diagonal
        assert largest.sum() * volume.geometry.voxel_volume > ball.volume / 2


def test_a_sheared_stack_has_nothing_outside_its_slices(trained: Trained) -> None:
    """The network's upright grid reaches beyond a leaning stack: there, nothing is inside a structure."""
    affine = np.diag([*SPACING, 1.0])
    affine[1, 2] = 0.9  # leans so far that the stack cuts the dark ball
    affine[:3, 3] = -affine[:3, :3] @ ((np.array((28, 14, 24)) - 1) / 2)
    volume = image(Geometry((28, 14, 24), affine))
    assert not volume.geometry.is_orthogonal
    result = found(volume, trained.model)
    for margin in result.margins.values():
        inside = margin.geometry.to_world(np.argwhere(margin.values > 0))
        index = volume.geometry.to_index(inside)
        assert (index >= -0.5 - 1e-6).all()
        assert (index <= np.array(volume.geometry.shape) - 0.5 + 1e-6).all()


@pytest.mark.parametrize("spacing", [SPACING, (1.2, 1.2, 1.2)])
def test_padding_gets_no_label(trained: Trained, spacing: tuple[float, float, float]) -> None:
    volume = image(grid((36, 38, 40), spacing))
    padding = np.zeros(volume.geometry.shape, bool, order="F")
    padding[volume.geometry.shape[0] // 2 :] = True  # hides the dark ball
    array = volume.array.copy(order="F")
    array[padding] = 30000.0
    result = found(replace(volume, array=array, padding=padding), trained.model)
    assert not result.labels[padding].any()
    assert (result.labels == 1).sum() * volume.geometry.voxel_volume > 0.8 * LEVELS[1][0].volume


def test_what_is_not_there_is_not_invented(trained: Trained) -> None:
    values = np.random.default_rng(1).normal(0, 4, grid().shape).astype(np.float32)
    values[5:12, 5:12, 5:12] += 100
    result = found(Volume(grid(), values, "MR"), trained.model)
    assert len(result.segments) == 2
    assert 2 not in result.margins
    assert not (result.labels == 2).any()


def test_the_same_bytes_twice(trained: Trained) -> None:
    volume = image(grid((30, 30, 30), (1.3, 1.3, 1.3)))
    one, other = found(volume, trained.model), found(volume, trained.model)
    assert one.labels.tobytes() == other.labels.tobytes()
    assert {k: m.values.tobytes() for k, m in one.margins.items()} == {
        k: m.values.tobytes() for k, m in other.margins.items()
    }


def test_it_says_how_it_was_made_and_how_far_it_is(trained: Trained) -> None:
    seen: list[tuple[str, float]] = []
    method = NetworkMethod(method="network", model=str(trained.model))
    volume = replace(image(grid()), series="abc")
    result = segment(volume, method, CPU, lambda stage, part: seen.append((stage, part)))
    assert result.series == "abc"
    assert result.provenance["model"] == "two-balls"
    assert result.provenance["weights_sha256"] == [load_spec(trained.model).weights[0].sha256]
    assert result.provenance["device"] == "cpu"
    told = result.provenance["doubt"]
    assert told["calibrated"] is True
    assert told["sources"] == ["network"]
    for label, name in ((1, "bright"), (2, "dark")):
        assert 0 < told["doubtful_mm3"][name] < LEVELS[label][0].volume
    parts = [part for _, part in seen]
    assert len(parts) == tiling((28, 26, 24), Window(roi=(20, 20, 16))).count == 8
    assert parts == sorted(parts)
    assert parts[-1] == 1.0


def test_refusals_are_clear(trained: Trained) -> None:
    ct = replace(image(grid()), modality="CT", unit="HU")
    with pytest.raises(ModelError, match="is for MR; this volume is CT"):
        found(ct, trained.model)
    flat = Volume(grid(), np.zeros(grid().shape, np.int16), "MR")
    with pytest.raises(DataError, match="no contrast"):
        found(flat, trained.model)
    holes = image(grid()).array.copy()
    holes[3, 3, 3] = np.nan
    with pytest.raises(DataError, match="finite"):
        found(Volume(grid(), holes, "MR"), trained.model)
    with pytest.raises(UnknownNameError, match="known: mr-hippocampus"):
        segment(image(grid()), NetworkMethod(method="network", model="nowhere"), CPU)
    with pytest.raises(ConfigError, match="auto, cpu or cuda"):
        choose_device("gpu")


@pytest.mark.parametrize(
    ("letters", "spacing", "axes"),
    [
        ("LPS", SPACING, np.eye(3)),
        ("RAS", SPACING, np.diag([-1, -1, 1])),
        ("SLA", (2.0, 1.5, 1.75), np.array([[0, 1, 0], [0, 0, -1], [1, 0, 0]])),
    ],
)
def test_a_model_orientation_is_obeyed(
    letters: str, spacing: tuple[float, float, float], axes: np.ndarray
) -> None:
    """Letters say where the network's axes run towards, in the patient."""
    chosen = covering(oriented(grid(), letters), spacing)
    np.testing.assert_allclose(chosen.directions, axes, atol=1e-12)
    assert chosen.spacing == pytest.approx(spacing)


def test_a_model_that_fits_no_two_axes_is_refused() -> None:
    for letters in ("RLS", "RA", "XAS", "RASI"):
        with pytest.raises(ValueError, match="one each of R/L, A/P and S/I"):
            Orient(axes=letters)
    with pytest.raises(ValueError, match="divisible"):
        description(window={"roi": (25, 24, 24)})


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_real_crop(shared_data: Path, number: int) -> None:
    from tomosurf.components import component_sizes, label_components
    from tomosurf.ingest.read import read
    from tomosurf.volume.build import build

    folder = shared_data / "dicom" / f"mr-hippocampus-crop-{number}"
    if not folder.is_dir():
        pytest.skip("the hippocampus crops aren't among the real studies")
    volume = build(read(folder).studies[0].series[0])
    result = segment(volume, NetworkMethod(method="network", model="mr-hippocampus"), CPU)
    assert {item.name for item in result.segments} == {"hippocampus_anterior", "hippocampus_posterior"}
    total = int((result.labels > 0).sum()) * volume.geometry.voxel_volume
    assert 2000 < total < 5000
    front, back = _centroid(result, 1), _centroid(result, 2)
    assert front[1] < back[1] - 8, "the anterior part lies in front: y runs to the back"
    for label in (1, 2):
        sizes = component_sizes(label_components(np.asfortranarray(result.labels == label)))
        assert max(sizes) > 0.97 * sum(sizes)


def _volume(result: Segmentation, label: int) -> float:
    return float((result.labels == label).sum()) * result.geometry.voxel_volume


def _centroid(result: Segmentation, label: int) -> np.ndarray:
    return result.geometry.to_world([np.argwhere(result.labels == label).mean(axis=0)])[0]


def _read(result: Segmentation, label: int) -> np.ndarray:
    """The margin, trilinear, at the voxels' centres; far below zero outside its box."""
    from scipy.ndimage import map_coordinates

    margin = result.margins[label]
    index = np.stack(np.meshgrid(*(np.arange(n) for n in result.geometry.shape), indexing="ij"), axis=-1)
    places = margin.geometry.to_index(result.geometry.to_world(index.reshape(-1, 3)))
    values = map_coordinates(margin.values, places.T, order=1, cval=-1e3)
    return values.reshape(result.geometry.shape)


def test_a_model_for_crops_refuses_a_whole_head() -> None:
    values = np.random.default_rng(1).normal(size=(90, 60, 60)).astype(np.float32)
    head = Volume(Geometry(values.shape, np.eye(4)), np.asfortranarray(values), "MR")
    with pytest.raises(InputRefused, match="crops of at most 80 mm; this volume is 90 mm"):
        segment(head, NetworkMethod(method="network", model="mr-hippocampus"), CPU)

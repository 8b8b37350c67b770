"""Outputs on a network's grid to labels on an image's: exact against interpolating everything everywhere."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from collections.abc import Iterator
from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.two_balls import description
from tomosurf.config import CodeSpec, SegmentSpec
from tomosurf.data.geometry import Geometry
from tomosurf.data.segmentation import Code, Margin, Segment, Segmentation
from tomosurf.data.volume import Volume
from tomosurf.errors import ModelError
from tomosurf.segment.model.spec import InputSpec, ModelDescription
from tomosurf.segment.model.steps import Resample
from tomosurf.segment.outputs.collect import Collected, collect
from tomosurf.segment.outputs.decision import decision_of
from tomosurf.segment.outputs.extents import by_planes, by_tables
from tomosurf.segment.outputs.label_map import LabelMap
from tomosurf.segment.outputs.part import part_of
from tomosurf.segment.outputs.slab import Slab
from tomosurf.segment.prepare.model_grid import covering
from tomosurf.segment.prepare.prepare import Prepared
from tomosurf.surface.extract import extract
from tomosurf.testing import strategies


def model(
    labels: tuple[int, ...], channels: int, regions: tuple[int, ...] = (), **changes: object
) -> ModelDescription:
    """A model with these labels; with ``regions`` a sigmoid."""
    code = CodeSpec(value="x", meaning="Something", scheme="99TEST")
    segments = tuple(
        SegmentSpec(label=label, name=f"s{label}", code=code, colour=(1, 2, 3)) for label in labels
    )
    how = {"activation": "sigmoid", "regions": regions} if regions else {}
    return description(channels=channels, segments=segments, **how, **changes)


def volume(geometry: Geometry, padding: np.ndarray | None = None) -> Volume:
    """An image of nothing on ``geometry``."""
    return Volume(geometry, np.zeros(geometry.shape, np.int16, order="F"), "MR", padding=padding)


def slabs(logits: torch.Tensor, axis: int = 0, thickness: int = 1 << 20) -> Iterator[Slab]:
    """``logits`` cut into slabs, each with memory of its own."""
    for start in range(0, logits.shape[1 + axis], thickness):
        count = min(thickness, logits.shape[1 + axis] - start)
        yield Slab(axis, start, logits.narrow(1 + axis, start, count).clone())


def collected(
    logits: torch.Tensor,
    grid: Geometry,
    image: Geometry,
    spec: ModelDescription,
    cut: tuple[int, int] = (0, 1 << 20),
) -> Collected:
    """All of it, in slabs of ``cut``: axis and thickness."""
    return collect(slabs(logits, *cut), Prepared(np.zeros(1), grid), volume(image), spec)


def everything(
    logits: torch.Tensor, grid: Geometry, image: Geometry, spec: ModelDescription, nearest: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Labels by interpolating every channel at every voxel in float64, and where that is no tie."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in image.shape), indexing="ij")).reshape(3, -1)
    places = grid.to_index(image.to_world(index.T)).T
    ends = np.array(grid.shape)[:, None] - 1
    seen = ((places > -0.5 - 1e-6) & (places < ends + 0.5 + 1e-6)).all(axis=0)
    places = np.clip(places, 0, ends)
    if nearest is not None:
        places[nearest] = np.floor(places[nearest] + 0.5)
    lower = np.minimum(np.floor(places + 1e-9).astype(int), np.maximum(ends - 1, 0))
    fraction = places - lower
    values = np.zeros((len(logits), index.shape[1]))
    for corner in np.ndindex(2, 2, 2):
        at = np.minimum(lower + np.array(corner)[:, None], ends)
        weight = np.where(np.array(corner)[:, None], fraction, 1 - fraction).prod(axis=0)
        values += weight * logits.double().numpy()[(slice(None), *at)]
    named = {segment.label for segment in spec.segments}
    if spec.activation == "softmax":
        first, second = np.sort(values, axis=0)[[-1, -2]]
        found = values.argmax(axis=0)
        clear = first - second > 1e-5
    else:
        found = np.zeros(values.shape[1], int)
        for channel, label in enumerate(spec.regions):
            found[values[channel] > 0] = label
        clear = (np.abs(values) > 1e-5).all(axis=0)
    labels = np.where(np.isin(found, list(named)) & seen, found, 0)
    return labels.reshape(image.shape), clear.reshape(image.shape)


def random_logits(channels: int, shape: tuple[int, ...], seed: int = 0, scale: float = 3.0) -> torch.Tensor:
    """Smooth in places, noise in others, with structures of a single node."""
    random = torch.Generator().manual_seed(seed)
    values = torch.randn((channels, *shape), generator=random) * scale
    smooth = torch.nn.functional.avg_pool3d(values[None], 3, 1, 1)[0] * 4
    half = shape[0] // 2
    values[:, :half] = smooth[:, :half]
    values[0, half:] += scale
    return values


GRID = Geometry((11, 9, 8), np.diag([1.5, 1.75, 2.0, 1.0]))


def scaled(grid: Geometry, shape: tuple[int, int, int], axes: tuple[int, ...] = (0, 1, 2)) -> Geometry:
    """The box of ``grid`` divided otherwise, axes permuted, one of them flipped."""
    change = np.zeros((4, 4))
    change[3, 3] = 1
    for axis, source in enumerate(axes):
        step = grid.shape[source] / shape[axis]
        change[source, axis], change[source, 3] = step, (step - 1) / 2
    change[axes[1], 3] = grid.shape[axes[1]] - 1 - change[axes[1], 3]
    change[axes[1], 1] *= -1
    return Geometry(shape, grid.affine @ change)


@pytest.mark.parametrize("spec", [model((1, 2, 3, 4, 5), 6), model((2, 4), 6), model((1, 300), 301)])
@pytest.mark.parametrize("axes", list(permutations(range(3))))
def test_labels_are_those_of_interpolating_everything(spec: ModelDescription, axes: tuple[int, ...]) -> None:
    logits = random_logits(spec.channels, GRID.shape)
    image = scaled(GRID, (23, 14, 25), axes)
    labels, clear = everything(logits, GRID, image, spec)
    ours = collected(logits, GRID, image, spec).labels
    assert ours.flags.f_contiguous
    assert ours.dtype == (np.uint8 if max(s.label for s in spec.segments) < 256 else np.uint16)
    assert clear.mean() > 0.999
    assert np.array_equal(ours[clear], labels[clear])
    assert len(np.unique(labels)) > 2


@pytest.mark.parametrize("nearest", [None, 1])
@pytest.mark.parametrize("cut", [(0, 99), (1, 2), (2, 3)])
@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1)])
def test_whole_boxes_give_the_same_labels(
    axes: tuple[int, ...], cut: tuple[int, int], nearest: int | None
) -> None:
    """What a GPU does, on the CPU: equal to the last voxel, ties and structures of a single node included."""
    image = scaled(GRID, (23, 14, 25), axes)
    for spec in (model((1, 2, 4, 5), 6), model((1, 2, 4), 4, regions=(2, 1, 4, 1))):
        decision = decision_of(spec)
        logits = random_logits(spec.channels, GRID.shape).round()
        found = []
        for dense in (False, True):
            label_map = LabelMap(image, GRID, decision, nearest, dense)
            for slab in slabs(logits, *cut):
                label_map.add(part_of(slab, decision, None))
            found.append(label_map.labels)
        assert np.array_equal(*found)
        assert len(np.unique(found[0])) > 3


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_where_segments_win_is_the_same_by_tables_and_by_planes(axis: int) -> None:
    winner = torch.from_numpy(np.random.default_rng(1).integers(-30, 6, (5, 6, 7)).clip(0).astype(np.int16))
    planes = winner.movedim(axis, 0)
    for spec in (model((1, 2, 3, 4, 5), 6), model((1, 3), 5, regions=(1, 3, 2, 1, 3))):
        decision = decision_of(spec)
        tables, each = (
            {(label, plane): ends.tolist() for label, plane, ends in found}
            for found in (by_tables(planes, decision), by_planes(planes.numpy(), decision))
        )
        assert tables == each
        assert len(each) > 5


@settings(max_examples=12, deadline=None)
@given(affine=strategies.affines(spacing=(0.8, 2.6)), seed=st.integers(0, 9))
def test_any_affine_shear_included(affine: np.ndarray, seed: int) -> None:
    spec = model((1, 2, 3), 4)
    image = Geometry((17, 15, 19), affine)
    nodes = covering(image, (1.5, 1.75, 2.0))
    logits = random_logits(4, nodes.shape, seed)
    labels, clear = everything(logits, nodes, image, spec)
    for cut in ((0, 99), (2, 3)):
        ours = collected(logits, nodes, image, spec, cut).labels
        assert np.array_equal(ours[clear], labels[clear])


def test_regions_are_painted_after_interpolating() -> None:
    spec = model((1, 2, 4), 4, regions=(2, 1, 4, 1))
    logits = random_logits(4, GRID.shape)
    logits -= 0.5
    image = scaled(GRID, (20, 21, 15))
    labels, clear = everything(logits, GRID, image, spec)
    ours = collected(logits, GRID, image, spec).labels
    assert np.array_equal(ours[clear], labels[clear])
    assert set(np.unique(labels)) == {0, 1, 2, 4}


def test_a_channel_that_wins_at_no_node_may_win_between_them() -> None:
    """One cell: 0.91 everywhere beats two that are 1 on one side and 0 on the other, in the middle only."""
    line = Geometry((2, 1, 1), np.eye(4))
    logits = torch.tensor([[-9.0, -9], [1, 0], [0, 1], [0.91, 0.91]])[:, :, None, None]
    fine = Geometry((21, 1, 1), np.diag([1 / 20, 1, 1, 1]))
    found = collected(logits, line, fine, model((1, 2, 3), 4))
    assert found.labels[:, 0, 0].tolist() == [1] * 2 + [3] * 17 + [2] * 2
    assert set(found.margins) == {1, 2}


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("thickness", [1, 2, 3, 5])
def test_slabs_change_nothing_but_what_lies_far_outside(axis: int, thickness: int) -> None:
    """Labels, doubt and surfaces are the same bytes; a margin differs only where no contour looks."""
    for spec in (model((1, 2, 3), 4), model((1, 3), 3, regions=(1, 3, 1))):
        logits = torch.nn.functional.avg_pool3d(random_logits(spec.channels, GRID.shape)[None], 3, 1, 1)[0]
        for image in (scaled(GRID, (17, 15, 13)), GRID):
            whole = collected(logits, GRID, image, spec)
            parts = collected(logits, GRID, image, spec, (axis, thickness))
            assert np.array_equal(whole.labels, parts.labels)
            assert np.array_equal(whole.doubt.values, parts.doubt.values)
            assert whole.doubt.geometry.coincides(parts.doubt.geometry)
            assert set(whole.margins) == set(parts.margins)
            for label, margin in whole.margins.items():
                other = parts.margins[label]
                assert margin.geometry.coincides(other.geometry)
                assert np.array_equal(margin.values > 0, other.values > 0)
                near = margin.values != other.values
                assert (margin.values[near] < 0).all()
                assert (other.values[near] < 0).all()
            assert surfaces(whole, image, spec) == surfaces(parts, image, spec)


def surfaces(found: Collected, image: Geometry, spec: ModelDescription) -> list[bytes]:
    """The vertices and faces of all surfaces."""
    segments = tuple(Segment(s.label, s.name, Code("x", "x", "99TEST"), (1, 2, 3)) for s in spec.segments)
    scene = extract(Segmentation(image, found.labels, segments, found.margins))
    return [array.tobytes() for mesh in scene.meshes for array in (mesh.vertices, mesh.faces)]


def reference_margin(logits: torch.Tensor, label: int) -> np.ndarray:
    """By its definition."""
    rivals = [n for n in range(len(logits)) if n != label]
    return (logits[label] - logits[rivals].amax(dim=0)).numpy()


def test_margins_are_kept_in_the_box_of_their_segment() -> None:
    spec = model((1, 2, 3), 4)
    logits = random_logits(4, GRID.shape)
    logits[0] += 4
    found = collected(logits, GRID, GRID, spec)
    for label, margin in found.margins.items():
        whole = reference_margin(logits, label)
        index = np.argwhere(logits.argmax(dim=0).numpy() == label)
        start = np.maximum(index.min(axis=0) - 2, 0)
        stop = np.minimum(index.max(axis=0) + 3, GRID.shape)
        cut = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
        assert np.array_equal(margin.values, whole[cut])
        assert margin.geometry.origin == pytest.approx(GRID.to_world([start])[0])
        assert margin.values.flags.f_contiguous


def test_margins_of_regions_exclude_each_other() -> None:
    """Exactly one of all labels and background is above zero, and it is the one that is painted."""
    spec = model((1, 2), 3, regions=(2, 1, 2))
    logits = random_logits(3, GRID.shape)
    found = collected(logits, GRID, GRID, spec)
    painted = np.zeros(GRID.shape, int)
    for channel, label in enumerate(spec.regions):
        painted[logits[channel].numpy() > 0] = label
    assert np.array_equal(found.labels, painted)
    fields = {label: whole(margin) for label, margin in found.margins.items()}
    for label, field in fields.items():
        assert np.array_equal(field > 0, painted == label)
    one, two = fields[1], fields[2]
    touching = (one > 0) & (two == -one)  # where the other label is the runner-up, they share their boundary
    assert touching.sum() > 20


def whole(margin: Margin) -> np.ndarray:
    """A margin on all of GRID, far below zero outside its box."""
    values = np.full(GRID.shape, -99.0, np.float32)
    start = np.rint(GRID.to_index([margin.geometry.origin])[0]).astype(int)
    values[tuple(slice(a, a + n) for a, n in zip(start, margin.values.shape, strict=True))] = margin.values
    return values


def test_a_models_padding_is_not_read() -> None:
    """Padding around a coarser grid: labels as without it, and no margin above zero in it."""
    spec = model((1, 2, 3), 4)
    logits = random_logits(4, GRID.shape)
    padded = GRID.cropped((-3, -1, 0), (16, 11, 10))
    around = torch.zeros((4, 16, 11, 10))
    around[1] = 9
    around[:, 3:14, 1:10, :8] = logits
    image = scaled(GRID, (23, 14, 25))
    ours, plain = (collected(*given, image, spec) for given in ((around, padded), (logits, GRID)))
    assert np.array_equal(ours.labels, plain.labels)
    for margin in ours.margins.values():
        places = GRID.to_index(margin.geometry.to_world(np.argwhere(margin.values > 0)))
        assert places.min() > -0.01
        assert (places < np.array(GRID.shape) - 0.99).all()


@pytest.mark.parametrize(("low", "high"), [((2, 1, 0), (3, 0, 2)), ((-3, 0, -1), (0, -4, -2))])
def test_a_cut_or_padded_grid_keeps_the_images_voxels(low: tuple[int, ...], high: tuple[int, ...]) -> None:
    """Cut: no label outside. Padded: nothing outside of the image, and the same labels inside."""
    spec = model((1, 2, 3), 4)
    shape = tuple(n - a - b for n, a, b in zip(GRID.shape, low, high, strict=True))
    grid = GRID.cropped(low, shape)
    logits = random_logits(4, shape)
    found = collected(logits, grid, GRID, spec)
    expected = np.zeros(GRID.shape, int)
    winner = logits.argmax(dim=0).numpy()
    inside = tuple(slice(max(a, 0), n - max(b, 0)) for a, b, n in zip(low, high, GRID.shape, strict=True))
    there = tuple(slice(max(-a, 0), n - max(-b, 0)) for a, b, n in zip(low, high, shape, strict=True))
    expected[inside] = winner[there]
    assert np.array_equal(found.labels, expected)
    for label, margin in found.margins.items():
        places = GRID.to_index(margin.geometry.corners())
        assert places.min() > -1e-6
        assert (places < np.array(GRID.shape) - 1 + 1e-6).all()
        own = np.zeros(GRID.shape, bool)
        start = np.rint(places.min(axis=0)).astype(int)
        own[tuple(slice(a, a + n) for a, n in zip(start, margin.values.shape, strict=True))] = (
            margin.values > 0
        )
        assert np.array_equal(own, expected == label)
    assert (GRID.to_index(found.doubt.geometry.corners()) > -1e-6).all()


def test_nothing_is_read_outside_the_networks_box() -> None:
    spec = model((1,), 2)
    grid = GRID.cropped((3, 2, 2), (4, 4, 4))
    logits = torch.stack([torch.zeros(4, 4, 4), torch.ones(4, 4, 4)])
    image = scaled(GRID, (44, 36, 32))
    labels = collected(logits, grid, image, spec).labels
    places = grid.to_index(image.to_world(np.argwhere(labels)))
    assert places.min() > -0.51
    assert places.max() < 3.51
    assert labels.sum() == (4 * 4) ** 3


def test_thick_slices_are_taken_whole_where_the_model_does_so() -> None:
    """nnU-Net's way back for anisotropic images: linear within slices, the nearest one between them."""
    grid = Geometry((11, 9, 5), np.diag([1.0, 1.0, 4.0, 1.0]))
    steps = (Resample(spacing_mm=(1.0, 1.0, 4.0), grid="nnunet", separate_axis="auto"),)
    spec = model((1, 2, 3), 4, input=InputSpec(steps=steps))
    logits = random_logits(4, grid.shape)
    image = scaled(grid, (15, 14, 13))
    for cut in ((0, 99), (2, 1), (2, 2), (1, 4)):
        labels, clear = everything(logits, grid, image, spec, nearest=2)
        ours = collected(logits, grid, image, spec, cut).labels
        assert np.array_equal(ours[clear], labels[clear])
    otherwise, _ = everything(logits, grid, image, spec)
    assert (otherwise != labels).any()


def test_padding_gets_no_label() -> None:
    spec = model((1,), 2)
    logits = torch.stack([torch.zeros(GRID.shape), torch.ones(GRID.shape)])
    image = scaled(GRID, (20, 20, 20))
    padding = np.zeros(image.shape, bool, order="F")
    padding[3:9] = True
    found = collect(slabs(logits), Prepared(np.zeros(1), GRID), volume(image, padding), spec)
    assert np.array_equal(found.labels == 0, padding)


@pytest.mark.parametrize("regions", [(), (1, 2, 1)])
def test_what_was_not_measured_is_no_segment_and_not_in_doubt(regions: tuple[int, ...]) -> None:
    spec = model((1, 2), 3, regions)
    measured = np.ones(GRID.shape, bool)
    measured[:, 4:] = False
    seen = Prepared(np.zeros(1), GRID, measured)
    logits = random_logits(3, GRID.shape)
    found = collect(slabs(logits, 1, 3), seen, volume(GRID), spec)
    plain = collected(logits, GRID, GRID, spec)
    assert np.array_equal(found.labels, np.where(measured, plain.labels, 0))
    doubt = np.zeros(GRID.shape, np.float16)
    start = np.rint(GRID.to_index([found.doubt.geometry.origin])[0]).astype(int)
    doubt[tuple(slice(a, a + n) for a, n in zip(start, found.doubt.values.shape, strict=True))] = (
        found.doubt.values
    )
    assert not doubt[~measured].any()
    assert doubt[measured].any()


def test_flat_grids_and_single_nodes() -> None:
    for shape in ((1, 9, 8), (11, 1, 1), (1, 1, 1)):
        grid = Geometry(shape, GRID.affine)
        spec = model((1, 2), 3)
        logits = torch.randn((3, *shape), generator=torch.Generator().manual_seed(1))
        image = scaled(grid, (4, 18, 5))
        labels, clear = everything(logits, grid, image, spec)
        assert np.array_equal(collected(logits, grid, image, spec, (0, 2)).labels[clear], labels[clear])


def test_a_slab_is_gone_before_the_next_is_asked_for() -> None:
    """Not even the garbage collector is waited for: a slab may be most of a GPU's memory."""
    logits, alive = random_logits(4, GRID.shape), []

    def made() -> Iterator[Slab]:
        for start in range(0, GRID.shape[0], 4):
            assert not [own for own in alive if own() is not None]
            memory = logits[:, start : start + 4].numpy().copy()
            alive.append(weakref.ref(memory))  # it goes with the last tensor that looks at it
            held = [Slab(0, start, torch.from_numpy(memory))]
            del memory
            yield held.pop()

    gc.disable()
    try:
        collect(made(), Prepared(np.zeros(1), GRID), volume(scaled(GRID, (20, 20, 20))), model((1, 2, 3), 4))
    finally:
        gc.enable()
    assert len(alive) == 3


def test_slabs_that_do_not_make_up_the_grid_are_refused() -> None:
    spec, seen = model((1, 2), 3), Prepared(np.zeros(1), GRID)
    logits = random_logits(3, GRID.shape)
    cut = list(slabs(logits, 0, 4))
    for wrong in ([], cut[:2], [cut[0], cut[2]]):
        with pytest.raises(ModelError, match="outputs"):
            collect(wrong, seen, volume(GRID), spec)


def test_the_rule_of_a_model_names_its_choices() -> None:
    assert decision_of(model((1, 3), 5)).labels == (0, 1, 0, 3, 0)
    assert decision_of(model((1, 3), 3, regions=(3, 2, 1))).labels == (0, 3, 0, 1)


def test_the_way_back_needs_no_viewer_no_reader_and_no_monai() -> None:
    """Machines that only compute lack these; torch's own helpers that load sympy are avoided, too."""
    code = (
        "import sys, tomosurf.segment.outputs.collect, tomosurf.segment.outputs.calibrate;"
        "print([m for m in ('vtk', 'SimpleITK', 'pydicom', 'monai', 'nibabel', 'sympy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

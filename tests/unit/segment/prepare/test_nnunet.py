"""What an nnU-Net sees is what nnU-Net's own preprocessing makes of the same file, to 1e-5 of its largest value."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.nnunet_results import Task, balls, dataset_of, grid, plans_of, write_images
from tomosurf.data.geometry import Geometry
from tomosurf.data.volume import Volume
from tomosurf.image_file import read_volume
from tomosurf.segment.grids import thick_axis
from tomosurf.segment.model.spec import InputSpec
from tomosurf.segment.nnunet.planned_input import planned_steps
from tomosurf.segment.nnunet.plans import Configuration, Plans, configuration_values, told
from tomosurf.segment.outputs.reading import reading_of
from tomosurf.segment.prepare.channels import filled
from tomosurf.segment.prepare.nnunet import same_box
from tomosurf.segment.prepare.prepare import prepare
from tomosurf.segment.prepare.spline_matrix import nearest_places, resized

MASKED = Task(channels=("T1", "T2"), schemes=("ZScoreNormalization",) * 2, masked=(True, True))
GRIDS = [
    grid((40, 41, 43), (1.3, 1.4, 1.5)),
    grid((50, 52, 11), (1.1, 1.0, 5.5), (1, -1, 1)),
    grid((12, 55, 53), (4.9, 1.1, 1.2), (-1, 1, -1)),
    grid((33, 33, 33), (2.0, 2.0, 2.0)),
]
TASKS = {
    "ct": Task(),
    "thick": Task(spacing=(5.0, 1.5, 1.25)),
    "turned": Task(spacing=(5.0, 1.5, 1.25), forward=(2, 0, 1)),
    "reoriented": Task(reader="NibabelIOWithReorient", forward=(1, 0, 2)),
    "reoriented by ITK": Task(reader="SimpleITKIOWithReorient"),
    "nibabel": Task(reader="NibabelIO"),
    "masked": MASKED,
    "half masked": replace(MASKED, masked=(False, True)),
    "mixed": replace(MASKED, schemes=("NoNormalization", "RescaleTo01Normalization"), masked=(False, False)),
    "whole": replace(MASKED, masked=(False, False)),
}


@pytest.mark.parametrize("geometry", GRIDS, ids=lambda g: "x".join(map(str, g.shape)))
@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS.keys())
def test_the_input_is_nnunets(task, geometry, tmp_path):
    volumes, _ = balls(geometry, task, seed=2)
    volumes = [_with_a_hole(volume) for volume in volumes]
    files = write_images(tmp_path, volumes)
    theirs = _preprocessed(task, files)
    back = [read_volume(Path(file), volumes[0].modality) for file in files]
    seen = prepare(back, _input(task))
    assert seen.image.shape == theirs.shape
    assert np.abs(seen.image - theirs).max() <= 1e-5 * max(1, np.abs(theirs).max())


def _with_a_hole(volume: Volume) -> Volume:
    """Zeros that the body encloses: inside nnU-Net's mask."""
    values = volume.array.copy()
    middle = tuple(slice(n // 2 - 2, n // 2 + 2) for n in values.shape)
    values[middle] = 0
    return Volume(volume.geometry, values, volume.modality, volume.unit)


def _input(task: Task) -> InputSpec:
    plans = told(Plans, plans_of(task), "plans.json")
    configuration = told(Configuration, configuration_values(plans, "3d_fullres"), "plans.json")
    count = len(task.channels)
    return InputSpec(channels=count, steps=planned_steps(plans, configuration, count, None))


def _preprocessed(task: Task, files: list[str]) -> np.ndarray:
    from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    plans = PlansManager(plans_of(task))
    data, properties = plans.image_reader_writer_class().read_images(files)
    done, _, _ = DefaultPreprocessor(verbose=False).run_case_npy(
        data, None, properties, plans, plans.get_configuration("3d_fullres"), dataset_of(task)
    )
    return np.asarray(done)


edges = st.integers(1, 24)
steps = st.floats(0.3, 8).map(lambda step: round(step, 2))
triples = st.tuples(edges, edges, edges)
spacings = st.tuples(steps, steps, steps)


@given(triples, spacings, spacings, st.sampled_from([0, 1, 3]), st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_resizing_is_nnunets(shape, own, wanted, order, seed):
    from nnunetv2.preprocessing.resampling.default_resampling import (
        compute_new_shape,
        resample_data_or_seg_to_shape,
    )

    target = np.maximum(compute_new_shape(shape, own, wanted), 1)
    if target.prod() > 100_000:
        target = np.minimum(target, 40)
    image = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    theirs = resample_data_or_seg_to_shape(image[None], target, own, wanted, False, order, 0, None)[0]
    ours = resized(torch.from_numpy(image), target.tolist(), order, thick_axis(own, wanted))
    assert np.abs(ours.numpy() - theirs).max() <= 1e-5


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 1 << 30))
@settings(max_examples=60, deadline=None)
def test_the_nearest_slice_is_the_same_there_and_back(before, after, seed):
    """Exactly halfway between two slices it is the later one, whatever noise an affine brings.

    There nnU-Net's own arithmetic errs to either side where the ratio is no binary fraction.
    """
    rng = np.random.default_rng(seed)
    axes, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    affine = np.eye(4)
    affine[:3, :3] = axes * (0.7, 0.7, 5.0)
    affine[:3, 3] = rng.normal(size=3) * 200
    image = Geometry((3, 3, after), affine)
    reading = reading_of(same_box(image, (3, 3, before)), image, nearest=2)
    along = next(along for along in reading.along if along.axis == 2)
    odd = (2 * np.arange(after) + 1) * before
    halfway = odd % (2 * after) == 0
    assert np.array_equal(along.lower[~halfway], nearest_places(before, after)[~halfway])
    assert np.array_equal(along.lower[halfway], (odd // (2 * after))[halfway])


@given(st.integers(0, 1 << 30))
@settings(max_examples=25, deadline=None)
def test_what_a_mask_encloses_is_scipys(seed):
    from scipy import ndimage

    mask = np.random.default_rng(seed).random((7, 8, 6)) > 0.4
    assert np.array_equal(filled(mask), ndimage.binary_fill_holes(mask))


def test_the_same_box_has_the_same_faces():
    geometry = grid((10, 11, 12), (1.0, 2.0, 3.0), (1, -1, 1))
    finer = same_box(geometry, (17, 5, 12))
    for ends in ((-0.5, -0.5, -0.5), (9.5, 10.5, 11.5)):
        place = [
            (end + 0.5) * m / n - 0.5 for end, n, m in zip(ends, geometry.shape, finer.shape, strict=True)
        ]
        assert np.allclose(geometry.to_world([ends]), finer.to_world([place]))

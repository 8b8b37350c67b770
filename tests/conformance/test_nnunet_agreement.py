"""nnU-Net's own predictor and ours give the same labels: same folder, same files, every kind of grid."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.nnunet_results import (
    CASCADE,
    LOWRES,
    Task,
    balls,
    grid,
    make_results,
    predicted,
    write_images,
)
from tomosurf.config import NetworkMethod
from tomosurf.image_file import read_volume
from tomosurf.progress import silent
from tomosurf.segment.engine import slabs
from tomosurf.segment.inference import Inference
from tomosurf.segment.model.imported import ImportChoices
from tomosurf.segment.model.library import write
from tomosurf.segment.model.spec import load_earlier, load_spec
from tomosurf.segment.network import segment
from tomosurf.segment.nnunet import IMPORTER
from tomosurf.segment.options import SegmentOptions
from tomosurf.segment.outputs.collect import collect
from tomosurf.segment.prepare.nnunet import resized_labels
from tomosurf.segment.prepare.prepare import prepare

ISOTROPIC = grid((56, 58, 60), (1.1, 1.1, 1.1))
THICK = grid((72, 76, 13), (0.8, 0.8, 5.0))
ODD = grid((47, 53, 41), (1.37, 1.21, 1.6), (1, -1, 1))
TWICE = grid((60, 62, 12), (1.0, 1.0, 6.0))
"""Its slices are twice as thick as the plan's: each lies halfway between two of the network's."""

ACROSS = grid((60, 14, 62), (1.0, 4.4, 1.1), (-1, 1, 1))

STEP = ((1, 1, 1), (1, 2, 2), (2, 2, 2))
CT = Task()
RESIDUAL = Task(
    network="ResidualEncoderUNet", spacing=(4.5, 1.5, 1.7), patch=(10, 24, 20), strides=STEP, steps=160
)
TURNED = Task(
    spacing=(4.4, 1.5, 1.7), patch=(10, 24, 20), forward=(1, 0, 2), strides=STEP, mirror_axes=(0, 1)
)
SLABS = Task(spacing=(3.0, 1.5, 1.5), patch=(12, 20, 20), mirror_axes=None)
REGIONS = Task(
    channels=("T1", "T2"),
    schemes=("ZScoreNormalization",) * 2,
    masked=(True, True),
    reader="NibabelIOWithReorient",
    labels={"background": 0, "body": [1, 2], "dark ball": [2]},
    order=(1, 2),
    mirror_axes=None,
)
ENSEMBLE = Task(
    channels=("T1", "T2"),
    schemes=("ZScoreNormalization", "RescaleTo01Normalization"),
    masked=(False, False),
    folds=("0", "1"),
)
CASCADED = Task(lowres=(3.0, 3.0, 3.0), mirror_axes=None)
CASCADED_REGIONS = replace(REGIONS, lowres=(2.6, 2.4, 2.4), steps=160)

CASES = [
    pytest.param(CT, (ISOTROPIC, THICK, ODD), False, id="ct"),
    pytest.param(RESIDUAL, (ISOTROPIC, THICK, ODD), True, id="residual"),
    pytest.param(TURNED, (ODD, ACROSS), True, id="turned"),
    pytest.param(SLABS, (TWICE,), False, id="slabs"),
    pytest.param(REGIONS, (ISOTROPIC, ODD), False, id="regions"),
    pytest.param(ENSEMBLE, (ODD,), True, id="ensemble"),
    pytest.param(CASCADED, (THICK,), False, id="cascade"),
    pytest.param(CASCADED_REGIONS, (ODD,), False, id="cascade of regions"),
]


@pytest.fixture(autouse=True)
def one_thread():
    """Networks this small are slower with more."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize(("task", "grids", "mirrored"), CASES)
def test_labels_are_nnunets(task, grids, mirrored, tmp_path):
    cascade = task.lowres is not None
    results = [
        make_results(tmp_path, task, name) for name in ((LOWRES, CASCADE) if cascade else ("3d_fullres",))
    ]
    model = tmp_path / "model"
    model.mkdir()
    choices = ImportChoices(name="balls", configuration=CASCADE if cascade else None)
    write(model, IMPORTER.read(tmp_path, choices))
    for number, geometry in enumerate(grids):
        volumes, truth = balls(geometry, task, seed=5)
        files = write_images(tmp_path, volumes)
        back = [read_volume(Path(file), volumes[0].modality) for file in files]
        for mirror in (False, True) if mirrored else (False,):
            theirs = predicted(results, files, mirror, tmp_path / f"{number}.nii.gz")
            ours = segment(
                back[0],
                NetworkMethod(method="network", model=str(model)),
                SegmentOptions(device="cpu", mirror=mirror),
                others=back[1:],
            )
            assert np.mean(ours.labels == theirs) >= 0.999
            for label in (1, 2):
                assert _dice(theirs == label, truth == label) > 0.4, "the network learned nothing to compare"
            # a second stage this small makes much of one voxel of the first's, so stages are compared one by one
            pairs = _stages(model, results, files, back, theirs) if cascade else [(ours.labels, theirs)]
            for own, other in pairs:
                for label in (1, 2):
                    assert _dice(own == label, other == label) >= 0.99
    if cascade:
        blind = _second_stage(model, back, np.zeros(back[0].geometry.shape, np.uint8))
        assert _dice(ours.labels == 1, blind == 1) < 0.95, (
            "the second stage doesn't look at the first's labels"
        )


def _stages(model, results, files, volumes, theirs):
    """Labels of the first stage, ours and theirs, and of the second, which is shown their first both times."""
    theirs_first = predicted(results[:1], files, False, Path(files[0]).with_name("first.nii.gz"))
    first = load_earlier(model, load_spec(model))
    ours_first = Inference(*first, SegmentOptions(device="cpu")).run(volumes, volumes[0], silent).found.labels
    return [
        (ours_first, theirs_first),
        (_second_stage(model, volumes, theirs_first.astype(np.uint8)), theirs),
    ]


def _second_stage(model, volumes, first):
    """The second stage's labels when it is shown ``first``."""
    spec, options = load_spec(model), SegmentOptions(device="cpu")
    seen = prepare(volumes, spec.input, (first, spec.earlier))
    return collect(slabs(model, spec, seen, options, silent), seen, volumes[0], spec).labels


@pytest.mark.parametrize("shape", [(11, 9, 14), (24, 20, 13), (7, 10, 29)])
@pytest.mark.parametrize("planes_of", [None, 0, 2])
def test_labels_of_a_first_stage_are_resampled_as_nnunets(shape, planes_of):
    from nnunetv2.preprocessing.resampling.default_resampling import resample_data_or_seg

    labels = np.random.default_rng(3).integers(-1, 4, (6, 5, 7)).repeat(2, 0).repeat(2, 1).repeat(2, 2)
    theirs = resample_data_or_seg(
        labels[None].astype(np.float32), shape, True, planes_of, 1, planes_of is not None, 0
    )
    ours = resized_labels(labels.astype(np.int16), shape, planes_of)
    assert np.mean(ours == theirs[0]) >= 0.999
    assert len(np.unique(ours)) == 5


def _dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * np.sum(a & b) / (np.sum(a) + np.sum(b))

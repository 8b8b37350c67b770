"""nnU-Net's own predictor and ours give the same labels: same folder, same files, every kind of grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.nnunet_results import Task, balls, grid, make_results, predicted, write_images
from tomosurf.config import NetworkMethod
from tomosurf.image_file import read_volume
from tomosurf.segment.imported import ImportChoices
from tomosurf.segment.library import write
from tomosurf.segment.network import segment
from tomosurf.segment.nnunet import IMPORTER
from tomosurf.segment.options import SegmentOptions

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

CASES = [
    pytest.param(CT, (ISOTROPIC, THICK, ODD), False, id="ct"),
    pytest.param(RESIDUAL, (ISOTROPIC, THICK, ODD), True, id="residual"),
    pytest.param(TURNED, (ODD, ACROSS), True, id="turned"),
    pytest.param(SLABS, (TWICE,), False, id="slabs"),
    pytest.param(REGIONS, (ISOTROPIC, ODD), False, id="regions"),
    pytest.param(ENSEMBLE, (ODD,), True, id="ensemble"),
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
    results = make_results(tmp_path, task)
    model = tmp_path / "model"
    model.mkdir()
    write(model, IMPORTER.read(tmp_path, ImportChoices(name="balls")))
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
                assert _dice(ours.labels == label, theirs == label) >= 0.99


def _dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * np.sum(a & b) / (np.sum(a) + np.sum(b))
